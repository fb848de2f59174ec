"""Python's operators and NumPy's methods on variables.

Each method looks up an *API function*, such as `add` or `mean`, which an op's own file registers
by name with `@api_function`: see `graph.api`.
"""

from __future__ import annotations

from typing import Any, Generic, Self, TypeVar, cast

from tinygrad_mnist.graph.api import api_function, lookup
from tinygrad_mnist.graph.protocols import Protocols

__all__ = ["Operators", "api_function", "lookup"]

V = TypeVar("V")


class Operators(Protocols, Generic[V]):
    """The operators and methods of a variable: `x + y`, `x[1:]`, `x.sum(axis=0)`, `x.T`, ...

    V: the type of their results, which is `Variable`.
    """

    __slots__ = ()

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
        return self._compared(lookup("lt")(self, other))

    def __le__(self, other: Any) -> V:
        return self._compared(lookup("le")(self, other))

    def __gt__(self, other: Any) -> V:
        return self._compared(lookup("gt")(self, other))

    def __ge__(self, other: Any) -> V:
        return self._compared(lookup("ge")(self, other))

    @staticmethod
    def _compared(result: Any) -> V:
        """The result of a comparison, marked so that `a < b < c` doesn't mean `b < c`."""
        result._is_comparison = True
        return cast(V, result)

    def __bool__(self) -> bool:
        """True, so that `if x:` asks whether there is a variable; TypeError for `x < y`."""
        if getattr(self, "_is_comparison", False):
            raise TypeError(
                "a symbolic comparison has no truth value before a function computes it; choose "
                "with T.switch, combine with & and |, or compute it with .eval()"
            )
        return True

    def __ceil__(self) -> V:
        return lookup("ceil")(self)

    def __floor__(self) -> V:
        return lookup("floor")(self)

    def __trunc__(self) -> V:
        return lookup("trunc")(self)

    def __getitem__(self, key: Any) -> V:
        return lookup("getitem")(self, key)

    @property
    def shape(self) -> V:
        """The shape as a symbolic int64 vector."""
        return lookup("shape")(self)

    @property
    def size(self) -> V:
        """The number of elements, a symbolic integer."""
        return lookup("prod")(lookup("shape")(self))

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

    def flatten(self, ndim: int | None = None, outdim: int | None = None) -> V:
        return lookup("flatten")(self, ndim, outdim)

    def ravel(self) -> V:
        return lookup("flatten")(self)

    def astype(self, dtype: str) -> V:
        return lookup("cast")(self, dtype)

    def copy(self, name: str | None = None) -> V:
        """A new variable of the same value."""
        result: Any = lookup("identity")(self)
        result.name = name
        return cast(V, result)

    def clip(self, a_min: Any, a_max: Any) -> V:
        return lookup("clip")(self, a_min, a_max)

    def round(self, mode: str | None = None) -> V:
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

    def sum(
        self,
        axis: Any = None,
        dtype: str | None = None,
        keepdims: bool = False,
        acc_dtype: str | None = None,
    ) -> V:
        return lookup("sum")(self, axis, dtype, keepdims, acc_dtype)

    def prod(
        self,
        axis: Any = None,
        dtype: str | None = None,
        keepdims: bool = False,
        acc_dtype: str | None = None,
    ) -> V:
        return lookup("prod")(self, axis, dtype, keepdims, acc_dtype)

    def cumsum(self, axis: int | None = None) -> V:
        return lookup("cumsum")(self, axis)

    def cumprod(self, axis: int | None = None) -> V:
        return lookup("cumprod")(self, axis)

    def norm(self, L: Any, axis: Any = None, keepdims: bool = False) -> V:  # noqa: N803
        return lookup("norm")(self, L, axis, keepdims)

    def ptp(self, axis: Any = None) -> V:
        return lookup("ptp")(self, axis)

    def mean(
        self,
        axis: Any = None,
        dtype: str | None = None,
        keepdims: bool = False,
        acc_dtype: str | None = None,
    ) -> V:
        return lookup("mean")(self, axis, dtype, keepdims=keepdims, acc_dtype=acc_dtype)

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

    def take(self, indices: Any, axis: int | None = None, mode: str = "raise") -> V:
        return lookup("take")(self, indices, axis, mode)

    def repeat(self, repeats: Any, axis: int | None = None) -> V:
        return lookup("repeat")(self, repeats, axis)

    def sort(self, axis: int | None = -1, kind: str = "quicksort", order: Any = None) -> V:
        return lookup("sort")(self, axis, kind, order)

    def argsort(self, axis: int | None = -1, kind: str = "quicksort", order: Any = None) -> V:
        return lookup("argsort")(self, axis, kind, order)

    def squeeze(self) -> V:
        return lookup("squeeze")(self)

    def swapaxes(self, axis1: int, axis2: int) -> V:
        return lookup("swapaxes")(self, axis1, axis2)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> V:
        return lookup("diagonal")(self, offset, axis1, axis2)

    def trace(self) -> V:
        return lookup("trace")(self)

    def nonzero(self, return_matrix: bool = False) -> Any:
        return lookup("nonzero")(self, return_matrix)

    def nonzero_values(self) -> V:
        return lookup("nonzero_values")(self)

    def choose(self, choices: Any, out: None = None, mode: str = "raise") -> V:
        return lookup("choose")(self, choices, out, mode)

    def compress(self, a: Any, axis: int | None = None) -> V:
        """The elements of `a` along `axis` where this condition is true."""
        return lookup("compress")(self, a, axis)

    def searchsorted(self, v: Any, side: str = "left", sorter: Any = None) -> V:
        return lookup("searchsorted")(self, v, side, sorter)

    def conj(self) -> Self:
        """The variable itself, since it is real."""
        return self

    conjugate = conj

    @property
    def real(self) -> Self:
        """The variable itself, since it is real."""
        return self

    @property
    def imag(self) -> V:
        """Zeros, since the variable is real."""
        return lookup("zeros_like")(self)

    def transfer(self, target: str | None) -> Self:
        """The variable itself: a function decides where it is computed."""
        return self

    def get_scalar_constant_value(self) -> Any:
        return lookup("get_scalar_constant_value")(self)

    def eval(self, inputs_to_values: dict[Any, Any] | None = None) -> Any:
        """The value, given values of the inputs it depends on: `(x * 2).eval({x: 3})`."""
        return lookup("eval")(self, inputs_to_values)
