"""Python's operators and NumPy's methods on variables.

Each method looks up an *API function*, such as `add` or `mean`, which an op's own file registers
by name with `@api_function`. So variables offer these operators without importing any op.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar

_API_FUNCTIONS: dict[str, Callable[..., Any]] = {}

_NO_NUMBER = (
    "a symbolic variable is no number before a function computes it: x.eval({inputs: values}) "
    "computes its value"
)

F = TypeVar("F", bound=Callable[..., Any])
V = TypeVar("V")


def api_function(function: F) -> F:
    """Registers a function of variables under its name, so that operators can call it."""
    _API_FUNCTIONS[function.__name__.rstrip("_")] = function
    return function


def lookup(name: str) -> Callable[..., V]:
    """The function registered under a name."""
    return _API_FUNCTIONS[name]


class Operators(Generic[V]):
    """The operators and methods of a variable: `x + y`, `x[1:]`, `x.sum(axis=0)`, `x.T`, ...

    V: the type of their results, which is `Variable`.
    """

    __slots__ = ()
    __array_ufunc__ = None  # so that `np.float32(2) * x` stays symbolic

    # Comparison by == would break sets and dicts of variables; `eq` compares values, as in Theano.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __bool__(self) -> bool:
        raise TypeError(
            "a symbolic variable has no truth value before a function computes it; "
            "compare with T.eq, T.lt, ..., choose with T.switch, or compute it with .eval()"
        )

    def __len__(self) -> int:
        raise TypeError(
            "a symbolic variable has no len(); use x.shape[0], or x.shape.eval({inputs: values}), "
            "which computes it"
        )

    def __int__(self) -> int:
        raise TypeError(f"{_NO_NUMBER}; T.cast(x, 'int64') stays symbolic")

    def __float__(self) -> float:
        raise TypeError(f"{_NO_NUMBER}; T.cast(x, 'floatX') stays symbolic")

    def __index__(self) -> int:
        raise TypeError(f"{_NO_NUMBER}; T.arange(x) and y[x] stay symbolic")

    def __iter__(self) -> Iterator[V]:
        raise TypeError("a symbolic variable can't be iterated over; index it: x[0], x[1], ...")

    def __add__(self, other: Any) -> V:
        return lookup("add")(self, other)

    def __radd__(self, other: Any) -> V:
        return lookup("add")(other, self)

    def __sub__(self, other: Any) -> V:
        return lookup("sub")(self, other)

    def __rsub__(self, other: Any) -> V:
        return lookup("sub")(other, self)

    def __mul__(self, other: Any) -> V:
        return lookup("mul")(self, other)

    def __rmul__(self, other: Any) -> V:
        return lookup("mul")(other, self)

    def __truediv__(self, other: Any) -> V:
        return lookup("true_div")(self, other)

    def __rtruediv__(self, other: Any) -> V:
        return lookup("true_div")(other, self)

    def __floordiv__(self, other: Any) -> V:
        return lookup("int_div")(self, other)

    def __rfloordiv__(self, other: Any) -> V:
        return lookup("int_div")(other, self)

    def __mod__(self, other: Any) -> V:
        return lookup("mod")(self, other)

    def __rmod__(self, other: Any) -> V:
        return lookup("mod")(other, self)

    def __pow__(self, other: Any) -> V:
        return lookup("pow")(self, other)

    def __rpow__(self, other: Any) -> V:
        return lookup("pow")(other, self)

    def __matmul__(self, other: Any) -> V:
        return lookup("dot")(self, other)

    def __rmatmul__(self, other: Any) -> V:
        return lookup("dot")(other, self)

    def __and__(self, other: Any) -> V:
        return lookup("and")(self, other)

    def __rand__(self, other: Any) -> V:
        return lookup("and")(other, self)

    def __or__(self, other: Any) -> V:
        return lookup("or")(self, other)

    def __ror__(self, other: Any) -> V:
        return lookup("or")(other, self)

    def __xor__(self, other: Any) -> V:
        return lookup("xor")(self, other)

    def __rxor__(self, other: Any) -> V:
        return lookup("xor")(other, self)

    def __divmod__(self, other: Any) -> tuple[V, V]:
        return lookup("int_div")(self, other), lookup("mod")(self, other)

    def __rdivmod__(self, other: Any) -> tuple[V, V]:
        return lookup("int_div")(other, self), lookup("mod")(other, self)

    def __neg__(self) -> V:
        return lookup("neg")(self)

    def __abs__(self) -> V:
        return lookup("abs")(self)

    def __invert__(self) -> V:
        return lookup("invert")(self)

    def __pos__(self) -> Self:
        return self

    def __round__(self, ndigits: None = None) -> V:
        if ndigits is not None:
            raise TypeError(
                "round() of a symbolic variable rounds to integers; it takes no ndigits"
            )
        return lookup("round")(self)

    def __lt__(self, other: Any) -> V:
        return lookup("lt")(self, other)

    def __le__(self, other: Any) -> V:
        return lookup("le")(self, other)

    def __gt__(self, other: Any) -> V:
        return lookup("gt")(self, other)

    def __ge__(self, other: Any) -> V:
        return lookup("ge")(self, other)

    def __getitem__(self, key: Any) -> V:
        return lookup("getitem")(self, key)

    @property
    def shape(self) -> V:
        """The shape as a symbolic int64 vector."""
        return lookup("shape")(self)

    @property
    def T(self) -> V:  # noqa: N802
        """The variable with its axes in reverse order."""
        return lookup("transpose")(self)

    def transpose(self, *axes: Any) -> V:
        return lookup("transpose")(self, *axes)

    def dot(self, other: Any) -> V:
        return lookup("dot")(self, other)

    def reshape(self, shape: Any, ndim: int | None = None) -> V:
        return lookup("reshape")(self, shape, ndim)

    def dimshuffle(self, *pattern: Any) -> V:
        return lookup("dimshuffle")(self, *pattern)

    def flatten(self, ndim: int = 1) -> V:
        return lookup("flatten")(self, ndim)

    def ravel(self) -> V:
        return lookup("flatten")(self)

    def astype(self, dtype: str) -> V:
        return lookup("cast")(self, dtype)

    def copy(self) -> V:
        """A new variable of the same value."""
        return lookup("identity")(self)

    def clip(self, low: Any, high: Any) -> V:
        return lookup("clip")(self, low, high)

    def round(self, mode: str = "half_to_even") -> V:
        return lookup("round")(self, mode)

    def arccos(self) -> V:
        return lookup("arccos")(self)

    def arccosh(self) -> V:
        return lookup("arccosh")(self)

    def arcsin(self) -> V:
        return lookup("arcsin")(self)

    def arcsinh(self) -> V:
        return lookup("arcsinh")(self)

    def arctan(self) -> V:
        return lookup("arctan")(self)

    def arctanh(self) -> V:
        return lookup("arctanh")(self)

    def ceil(self) -> V:
        return lookup("ceil")(self)

    def cos(self) -> V:
        return lookup("cos")(self)

    def cosh(self) -> V:
        return lookup("cosh")(self)

    def deg2rad(self) -> V:
        return lookup("deg2rad")(self)

    def exp(self) -> V:
        return lookup("exp")(self)

    def exp2(self) -> V:
        return lookup("exp2")(self)

    def expm1(self) -> V:
        return lookup("expm1")(self)

    def floor(self) -> V:
        return lookup("floor")(self)

    def log(self) -> V:
        return lookup("log")(self)

    def log10(self) -> V:
        return lookup("log10")(self)

    def log1p(self) -> V:
        return lookup("log1p")(self)

    def log2(self) -> V:
        return lookup("log2")(self)

    def rad2deg(self) -> V:
        return lookup("rad2deg")(self)

    def sin(self) -> V:
        return lookup("sin")(self)

    def sinh(self) -> V:
        return lookup("sinh")(self)

    def sqrt(self) -> V:
        return lookup("sqrt")(self)

    def tan(self) -> V:
        return lookup("tan")(self)

    def tanh(self) -> V:
        return lookup("tanh")(self)

    def trunc(self) -> V:
        return lookup("trunc")(self)

    def sum(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False) -> V:
        return lookup("sum")(self, axis, dtype, keepdims)

    def prod(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False) -> V:
        return lookup("prod")(self, axis, dtype, keepdims)

    def cumsum(self, axis: int | None = None) -> V:
        return lookup("cumsum")(self, axis)

    def mean(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False) -> V:
        return lookup("mean")(self, axis, dtype, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> V:
        return lookup("max")(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> V:
        return lookup("min")(self, axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> V:
        return lookup("all")(self, axis, keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> V:
        return lookup("any")(self, axis, keepdims)

    def var(
        self, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False
    ) -> V:
        return lookup("var")(self, axis, ddof, keepdims, corrected)

    def std(
        self, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False
    ) -> V:
        return lookup("std")(self, axis, ddof, keepdims, corrected)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> V:
        return lookup("argmax")(self, axis, keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> V:
        return lookup("argmin")(self, axis, keepdims)

    def zeros_like(self, dtype: str | None = None) -> V:
        return lookup("zeros_like")(self, dtype)

    def ones_like(self, dtype: str | None = None) -> V:
        return lookup("ones_like")(self, dtype)

    def fill(self, value: Any) -> V:
        return lookup("fill")(self, value)

    def take(self, indices: Any, axis: int | None = None) -> V:
        return lookup("take")(self, indices, axis)

    def repeat(self, repeats: Any, axis: int | None = None) -> V:
        return lookup("repeat")(self, repeats, axis)

    def eval(self, inputs_to_values: dict[Any, Any] | None = None) -> Any:
        """The value, given values of the inputs it depends on: `(x * 2).eval({x: 3})`."""
        return lookup("eval")(self, inputs_to_values)
