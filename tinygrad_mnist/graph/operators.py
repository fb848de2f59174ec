"""Python's operators and NumPy's methods on variables.

Each method calls a *word*: a function such as `add` or `mean` that an op's own file registers by
name (see `words`). So variables know what users may write on them, and nothing about ops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from tinygrad_mnist.graph.variables import Variable

_WORDS: dict[str, Callable[..., Any]] = {}

F = TypeVar("F", bound=Callable[..., Any])


def word(function: F) -> F:
    """Registers a function of variables under its name, so that operators can call it."""
    _WORDS[function.__name__.rstrip("_")] = function
    return function


def words(name: str) -> Callable[..., Variable]:
    """The function registered under a name."""
    return _WORDS[name]


class Operators:
    """What can be written on a variable: `x + y`, `x[1:]`, `x.sum(axis=0)`, `x.T`, ..."""

    __slots__ = ()
    __array_ufunc__ = None  # so that `np.float32(2) * x` stays symbolic

    # Comparison by == would break sets and dicts of variables; `eq` compares values, as in Theano.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other

    def __bool__(self) -> bool:
        raise TypeError(
            "a symbolic variable has no truth value before a function computes it; "
            "compare with T.eq, T.lt, ..., choose with T.switch"
        )

    def __len__(self) -> int:
        raise TypeError("a symbolic variable has no len(); use x.shape[0]")

    def __iter__(self) -> Iterator[Variable]:
        raise TypeError("a symbolic variable can't be iterated over; index it: x[0], x[1], ...")

    def __add__(self, other: Any) -> Variable:
        return words("add")(self, other)

    def __radd__(self, other: Any) -> Variable:
        return words("add")(other, self)

    def __sub__(self, other: Any) -> Variable:
        return words("sub")(self, other)

    def __rsub__(self, other: Any) -> Variable:
        return words("sub")(other, self)

    def __mul__(self, other: Any) -> Variable:
        return words("mul")(self, other)

    def __rmul__(self, other: Any) -> Variable:
        return words("mul")(other, self)

    def __truediv__(self, other: Any) -> Variable:
        return words("true_div")(self, other)

    def __rtruediv__(self, other: Any) -> Variable:
        return words("true_div")(other, self)

    def __floordiv__(self, other: Any) -> Variable:
        return words("int_div")(self, other)

    def __rfloordiv__(self, other: Any) -> Variable:
        return words("int_div")(other, self)

    def __mod__(self, other: Any) -> Variable:
        return words("mod")(self, other)

    def __rmod__(self, other: Any) -> Variable:
        return words("mod")(other, self)

    def __pow__(self, other: Any) -> Variable:
        return words("pow")(self, other)

    def __rpow__(self, other: Any) -> Variable:
        return words("pow")(other, self)

    def __matmul__(self, other: Any) -> Variable:
        return words("dot")(self, other)

    def __rmatmul__(self, other: Any) -> Variable:
        return words("dot")(other, self)

    def __and__(self, other: Any) -> Variable:
        return words("and")(self, other)

    def __rand__(self, other: Any) -> Variable:
        return words("and")(other, self)

    def __or__(self, other: Any) -> Variable:
        return words("or")(self, other)

    def __ror__(self, other: Any) -> Variable:
        return words("or")(other, self)

    def __xor__(self, other: Any) -> Variable:
        return words("xor")(self, other)

    def __rxor__(self, other: Any) -> Variable:
        return words("xor")(other, self)

    def __divmod__(self, other: Any) -> tuple[Variable, Variable]:
        return words("int_div")(self, other), words("mod")(self, other)

    def __rdivmod__(self, other: Any) -> tuple[Variable, Variable]:
        return words("int_div")(other, self), words("mod")(other, self)

    def __neg__(self) -> Variable:
        return words("neg")(self)

    def __abs__(self) -> Variable:
        return words("abs")(self)

    def __invert__(self) -> Variable:
        return words("invert")(self)

    def __pos__(self) -> Self:
        return self

    def __round__(self, ndigits: None = None) -> Variable:
        if ndigits is not None:
            raise TypeError(
                "round() of a symbolic variable rounds to integers; it takes no ndigits"
            )
        return words("round")(self)

    def __lt__(self, other: Any) -> Variable:
        return words("lt")(self, other)

    def __le__(self, other: Any) -> Variable:
        return words("le")(self, other)

    def __gt__(self, other: Any) -> Variable:
        return words("gt")(self, other)

    def __ge__(self, other: Any) -> Variable:
        return words("ge")(self, other)

    def __getitem__(self, key: Any) -> Variable:
        return words("getitem")(self, key)

    @property
    def shape(self) -> Variable:
        """The shape as a symbolic int64 vector."""
        return words("shape")(self)

    @property
    def T(self) -> Variable:  # noqa: N802
        """The variable with its axes in reverse order."""
        return words("transpose")(self)

    def transpose(self, *axes: Any) -> Variable:
        return words("transpose")(self, *axes)

    def dot(self, other: Any) -> Variable:
        return words("dot")(self, other)

    def reshape(self, shape: Any, ndim: int | None = None) -> Variable:
        return words("reshape")(self, shape, ndim)

    def dimshuffle(self, *pattern: Any) -> Variable:
        return words("dimshuffle")(self, *pattern)

    def flatten(self, ndim: int = 1) -> Variable:
        return words("flatten")(self, ndim)

    def ravel(self) -> Variable:
        return words("flatten")(self)

    def astype(self, dtype: str) -> Variable:
        return words("cast")(self, dtype)

    def copy(self) -> Variable:
        """A new variable of the same value."""
        return words("identity")(self)

    def clip(self, low: Any, high: Any) -> Variable:
        return words("clip")(self, low, high)

    def round(self, mode: str = "half_to_even") -> Variable:
        return words("round")(self, mode)

    def arccos(self) -> Variable:
        return words("arccos")(self)

    def arccosh(self) -> Variable:
        return words("arccosh")(self)

    def arcsin(self) -> Variable:
        return words("arcsin")(self)

    def arcsinh(self) -> Variable:
        return words("arcsinh")(self)

    def arctan(self) -> Variable:
        return words("arctan")(self)

    def arctanh(self) -> Variable:
        return words("arctanh")(self)

    def ceil(self) -> Variable:
        return words("ceil")(self)

    def cos(self) -> Variable:
        return words("cos")(self)

    def cosh(self) -> Variable:
        return words("cosh")(self)

    def deg2rad(self) -> Variable:
        return words("deg2rad")(self)

    def exp(self) -> Variable:
        return words("exp")(self)

    def exp2(self) -> Variable:
        return words("exp2")(self)

    def expm1(self) -> Variable:
        return words("expm1")(self)

    def floor(self) -> Variable:
        return words("floor")(self)

    def log(self) -> Variable:
        return words("log")(self)

    def log10(self) -> Variable:
        return words("log10")(self)

    def log1p(self) -> Variable:
        return words("log1p")(self)

    def log2(self) -> Variable:
        return words("log2")(self)

    def rad2deg(self) -> Variable:
        return words("rad2deg")(self)

    def sin(self) -> Variable:
        return words("sin")(self)

    def sinh(self) -> Variable:
        return words("sinh")(self)

    def sqrt(self) -> Variable:
        return words("sqrt")(self)

    def tan(self) -> Variable:
        return words("tan")(self)

    def tanh(self) -> Variable:
        return words("tanh")(self)

    def trunc(self) -> Variable:
        return words("trunc")(self)

    def sum(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
        return words("sum")(self, axis, dtype, keepdims)

    def prod(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
        return words("prod")(self, axis, dtype, keepdims)

    def mean(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
        return words("mean")(self, axis, dtype, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("max")(self, axis, keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("min")(self, axis, keepdims)

    def all(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("all")(self, axis, keepdims)

    def any(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("any")(self, axis, keepdims)

    def var(
        self, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False
    ) -> Variable:
        return words("var")(self, axis, ddof, keepdims, corrected)

    def std(
        self, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False
    ) -> Variable:
        return words("std")(self, axis, ddof, keepdims, corrected)

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("argmax")(self, axis, keepdims)

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("argmin")(self, axis, keepdims)

    def zeros_like(self, dtype: str | None = None) -> Variable:
        return words("zeros_like")(self, dtype)

    def ones_like(self, dtype: str | None = None) -> Variable:
        return words("ones_like")(self, dtype)

    def fill(self, value: Any) -> Variable:
        return words("fill")(self, value)

    def take(self, indices: Any, axis: int | None = None) -> Variable:
        return words("take")(self, indices, axis)

    def repeat(self, repeats: Any, axis: int | None = None) -> Variable:
        return words("repeat")(self, repeats, axis)

    def eval(self, inputs_to_values: dict[Any, Any] | None = None) -> Any:
        """The value, given values of the inputs it depends on: `(x * 2).eval({x: 3})`."""
        return words("eval")(self, inputs_to_values)
