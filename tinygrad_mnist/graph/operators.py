"""Python's operators and NumPy's methods on variables.

Each method calls a *word*: a function such as `add` or `mean` that an op's own file registers by
name (see `words`). So variables know what users may write on them, and nothing about ops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tinygrad_mnist.graph.variables import Variable

_WORDS: dict[str, Callable[..., Any]] = {}

F = TypeVar("F", bound=Callable[..., Any])


def word(function: F) -> F:
    """Registers a function of variables under its name, so that operators can call it."""
    _WORDS[function.__name__.rstrip("_")] = function
    return function


def words(name: str) -> Callable[..., Any]:
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
        return words("add")(self, other)  # type: ignore[no-any-return]

    def __radd__(self, other: Any) -> Variable:
        return words("add")(other, self)  # type: ignore[no-any-return]

    def __sub__(self, other: Any) -> Variable:
        return words("sub")(self, other)  # type: ignore[no-any-return]

    def __rsub__(self, other: Any) -> Variable:
        return words("sub")(other, self)  # type: ignore[no-any-return]

    def __mul__(self, other: Any) -> Variable:
        return words("mul")(self, other)  # type: ignore[no-any-return]

    def __rmul__(self, other: Any) -> Variable:
        return words("mul")(other, self)  # type: ignore[no-any-return]

    def __truediv__(self, other: Any) -> Variable:
        return words("true_div")(self, other)  # type: ignore[no-any-return]

    def __rtruediv__(self, other: Any) -> Variable:
        return words("true_div")(other, self)  # type: ignore[no-any-return]

    def __floordiv__(self, other: Any) -> Variable:
        return words("int_div")(self, other)  # type: ignore[no-any-return]

    def __rfloordiv__(self, other: Any) -> Variable:
        return words("int_div")(other, self)  # type: ignore[no-any-return]

    def __mod__(self, other: Any) -> Variable:
        return words("mod")(self, other)  # type: ignore[no-any-return]

    def __rmod__(self, other: Any) -> Variable:
        return words("mod")(other, self)  # type: ignore[no-any-return]

    def __pow__(self, other: Any) -> Variable:
        return words("pow")(self, other)  # type: ignore[no-any-return]

    def __rpow__(self, other: Any) -> Variable:
        return words("pow")(other, self)  # type: ignore[no-any-return]

    def __neg__(self) -> Variable:
        return words("neg")(self)  # type: ignore[no-any-return]

    def __abs__(self) -> Variable:
        return words("abs")(self)  # type: ignore[no-any-return]

    def __lt__(self, other: Any) -> Variable:
        return words("lt")(self, other)  # type: ignore[no-any-return]

    def __le__(self, other: Any) -> Variable:
        return words("le")(self, other)  # type: ignore[no-any-return]

    def __gt__(self, other: Any) -> Variable:
        return words("gt")(self, other)  # type: ignore[no-any-return]

    def __ge__(self, other: Any) -> Variable:
        return words("ge")(self, other)  # type: ignore[no-any-return]

    def __getitem__(self, key: Any) -> Variable:
        return words("getitem")(self, key)  # type: ignore[no-any-return]

    @property
    def shape(self) -> Variable:
        """The shape as a symbolic int64 vector."""
        return words("shape")(self)  # type: ignore[no-any-return]

    @property
    def T(self) -> Variable:  # noqa: N802
        """The variable with its axes in reverse order."""
        return words("transpose")(self)  # type: ignore[no-any-return]

    def transpose(self, *axes: Any) -> Variable:
        return words("transpose")(self, *axes)  # type: ignore[no-any-return]

    def dot(self, other: Any) -> Variable:
        return words("dot")(self, other)  # type: ignore[no-any-return]

    def reshape(self, shape: Any, ndim: int | None = None) -> Variable:
        return words("reshape")(self, shape, ndim)  # type: ignore[no-any-return]

    def dimshuffle(self, *pattern: Any) -> Variable:
        return words("dimshuffle")(self, *pattern)  # type: ignore[no-any-return]

    def flatten(self, ndim: int = 1) -> Variable:
        return words("flatten")(self, ndim)  # type: ignore[no-any-return]

    def astype(self, dtype: str) -> Variable:
        return words("cast")(self, dtype)  # type: ignore[no-any-return]

    def sum(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
        return words("sum")(self, axis, dtype, keepdims)  # type: ignore[no-any-return]

    def prod(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
        return words("prod")(self, axis, dtype, keepdims)  # type: ignore[no-any-return]

    def mean(self, axis: Any = None, dtype: str | None = None, keepdims: bool = False) -> Variable:
        return words("mean")(self, axis, dtype, keepdims)  # type: ignore[no-any-return]

    def max(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("max")(self, axis, keepdims)  # type: ignore[no-any-return]

    def min(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("min")(self, axis, keepdims)  # type: ignore[no-any-return]

    def all(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("all")(self, axis, keepdims)  # type: ignore[no-any-return]

    def any(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("any")(self, axis, keepdims)  # type: ignore[no-any-return]

    def var(
        self, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False
    ) -> Variable:
        return words("var")(self, axis, ddof, keepdims, corrected)  # type: ignore[no-any-return]

    def std(
        self, axis: Any = None, ddof: int = 0, keepdims: bool = False, corrected: bool = False
    ) -> Variable:
        return words("std")(self, axis, ddof, keepdims, corrected)  # type: ignore[no-any-return]

    def argmax(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("argmax")(self, axis, keepdims)  # type: ignore[no-any-return]

    def argmin(self, axis: Any = None, keepdims: bool = False) -> Variable:
        return words("argmin")(self, axis, keepdims)  # type: ignore[no-any-return]

    def zeros_like(self, dtype: str | None = None) -> Variable:
        return words("zeros_like")(self, dtype)  # type: ignore[no-any-return]

    def ones_like(self, dtype: str | None = None) -> Variable:
        return words("ones_like")(self, dtype)  # type: ignore[no-any-return]

    def fill(self, value: Any) -> Variable:
        return words("fill")(self, value)  # type: ignore[no-any-return]

    def take(self, indices: Any, axis: int | None = None) -> Variable:
        return words("take")(self, indices, axis)  # type: ignore[no-any-return]

    def repeat(self, repeats: Any, axis: int | None = None) -> Variable:
        return words("repeat")(self, repeats, axis)  # type: ignore[no-any-return]

    def eval(self, inputs_to_values: dict[Any, Any] | None = None) -> Any:
        """The value, given values of the inputs it depends on: `(x * 2).eval({x: 3})`."""
        return words("eval")(self, inputs_to_values)
