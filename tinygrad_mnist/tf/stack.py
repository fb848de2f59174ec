"""Many elements of a data set as one: a function of an element, computed for all at once.

A `Stack` takes the place of an element in a function that `map` was given. What is done with it is
done with each row, by one of two ways:

- operations that have the same bits for a whole array as for its rows are applied to the array;
- every other operation is applied to the rows, one after the other, and its results are stacked.

What a row could answer but a stack can't (its values, the branch of an `if`) raises `PerElement`:
then the function is called for every element. So it has the same results either way.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.keras.tensors import Tensor, divide, tensor

Array = NDArray[Any]

#: Ufuncs that round each element correctly, or not at all: their bits don't depend on the place of
#: an element in an array. The minimum and the maximum of 0.0 and -0.0 do.
EXACT = {
    *(np.add, np.subtract, np.multiply, np.true_divide, np.floor_divide, np.remainder),
    *(np.negative, np.positive, np.absolute, np.square, np.sqrt, np.floor, np.ceil, np.rint),
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(np.logical_and, np.logical_or, np.logical_not, np.bitwise_and, np.bitwise_or),
    *(np.bitwise_xor, np.invert),
}


class Trace:
    """A function's call with stacks. is_refused: whether it has asked for elements."""

    is_refused = False


_trace: ContextVar[Trace | None] = ContextVar("trace", default=None)


class PerElement(BaseException):  # not an error, and not for `except Exception`
    """A function needs the elements one by one; so it is noted, if the function catches this."""

    def __init__(self) -> None:
        trace = _trace.get()
        if trace is not None:
            trace.is_refused = True


def needs_elements() -> None:
    """Raises PerElement where a function is being applied to a stack; for random numbers."""
    if _trace.get() is not None:
        raise PerElement


@contextmanager
def tracing() -> Iterator[Trace]:
    """While a function is applied to a stack."""
    trace = Trace()
    token = _trace.set(trace)
    try:
        yield trace
    finally:
        _trace.reset(token)


class Stack:
    """Elements of one shape and dtype, `rows` (n, …); to a function it is one element."""

    __slots__ = ("rows",)
    rows: Array

    def __init__(self, rows: Array) -> None:
        self.rows = rows

    @property
    def shape(self) -> tuple[int, ...]:
        return self.rows.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.rows.dtype

    @property
    def ndim(self) -> int:
        return self.rows.ndim - 1

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=int))

    def numpy(self) -> Any:
        raise PerElement

    def get_shape(self) -> tuple[int, ...]:
        return self.shape

    @property
    def T(self) -> Stack:  # noqa: N802
        return Stack(self.rows.transpose(0, *range(self.ndim, 0, -1)))

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """`isinstance` asks for it, where the stack's type isn't the one in question."""
        raise PerElement

    def astype(self, dtype: Any, *options: Any, **named: Any) -> Any:
        if options or named or not _is_exact(self.rows, np.dtype(dtype)):
            return by_row(lambda x: x.astype(dtype, *options, **named), self)
        return Stack(self.rows.astype(dtype))

    def reshape(self, *shape: Any, **options: Any) -> Any:
        lengths = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        if options or not len(self.rows):
            return by_row(lambda x: x.reshape(*shape, **options), self)
        lengths = tensor(self.rows[0]).reshape(lengths).shape
        return Stack(self.rows.reshape(len(self.rows), *lengths))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of an element without dimensions")
        return self.shape[0]

    def __iter__(self) -> Iterator[Stack]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> Any:
        plain = key if isinstance(key, tuple) else (key,)
        if all(isinstance(k, int | slice) or k is None or k is Ellipsis for k in plain) and not any(
            isinstance(k, bool) for k in plain
        ):
            return Stack(self.rows[(slice(None), *plain)])
        return by_row(operator.getitem, self, key)

    def __repr__(self) -> str:
        return f"<an element of shape {self.shape} and dtype {self.dtype}>"

    def __array_ufunc__(self, ufunc: Any, method: str, *operands: Any, **options: Any) -> Any:
        if method != "__call__" or "out" in options:
            raise PerElement
        if ufunc in EXACT and not options:
            return elementwise(ufunc, *operands)
        return by_row(ufunc, *operands, **options)

    def __array_function__(
        self, function: Any, types: Any, operands: Any, options: dict[str, Any]
    ) -> Any:
        return by_row(function, *operands, **options)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # NumPy's protocols; __array__ is below
            raise AttributeError(name)
        if not callable(getattr(Tensor, name)):  # AttributeError as of a tensor
            raise PerElement
        return lambda *operands, **options: by_row(
            lambda x, *others, **named: getattr(x, name)(*others, **named),
            self,
            *operands,
            **options,
        )


def _is_exact(rows: Array, dtype: np.dtype[Any]) -> bool:
    """Whether a cast gives the same for an array as for its rows. A float that no integer of the
    dtype stands for becomes one or another, as the processor's instruction has it."""
    if dtype.kind not in "iu" or rows.dtype.kind != "f":
        return dtype.kind in "biufc" and rows.dtype.kind in "biufc"
    limits = np.iinfo(dtype)
    return bool(np.all((rows >= limits.min) & (rows < float(limits.max) + 1)))


def _unknown(self: Any, *operands: Any) -> Any:
    """What only an element can answer."""
    raise PerElement


for _name in (
    *("array", "bool", "int", "float", "complex", "index", "setitem", "bytes", "hash"),
    *("contains", "copy", "deepcopy", "reduce_ex", "format"),
):
    setattr(Stack, f"__{_name}__", _unknown)


def _operator(function: Any, *, reflected: bool = False, exact: bool = True) -> Any:
    apply = elementwise if exact else by_row

    def method(self: Stack, *others: Any) -> Any:
        return apply(function, *others, self) if reflected else apply(function, self, *others)

    return method


def elementwise(function: Callable[..., Any], *operands: Any) -> Any:
    """A function of elements in the same place, for all rows at once; operands are broadcast.

    function: of arrays; its bits don't depend on the place of an element.
    """
    stacks = [x for x in operands if type(x) is Stack]
    others = [x for x in operands if type(x) is not Stack]
    if any(isinstance(x, list | tuple | str | bytes) or x is None for x in others) or any(
        x.dtype.kind in "OV" for x in stacks
    ):
        return by_row(function, *operands)
    ndim = max(x.ndim if type(x) is Stack else np.ndim(x) for x in operands)
    aligned = [_with_ndim(x, ndim) if type(x) is Stack else x for x in operands]
    result = function(*aligned)
    if not isinstance(result, np.ndarray) or len(result) != len(stacks[0].rows):
        raise PerElement
    return Stack(np.asarray(result))


def _with_ndim(x: Stack, ndim: int) -> Array:
    """The rows, with axes of length 1 in front of their own."""
    return x.rows.reshape(len(x.rows), *[1] * (ndim - x.ndim), *x.shape)


def by_row(function: Callable[..., Any], *operands: Any, **options: Any) -> Any:
    """A function of elements, applied to the rows in turn.

    Raises PerElement unless all results are tensors of one shape and dtype.
    """
    lengths: set[int] = set()
    _visit((operands, options), lambda stack: lengths.add(len(stack.rows)))
    if len(lengths) != 1 or not (n := lengths.pop()):
        raise PerElement
    results = []
    for i in range(n):
        row, named = _visit((operands, options), _row(i))
        result = function(*row, **named)
        if not isinstance(result, Tensor):
            raise PerElement
        results.append(np.asarray(result))
    first = results[0]
    if any((x.shape, x.dtype) != (first.shape, first.dtype) for x in results):
        raise PerElement
    return Stack(np.stack(results))


def _row(i: int) -> Callable[[Stack], Tensor]:
    return lambda stack: tensor(stack.rows[i])


def _visit(value: Any, change: Callable[[Stack], Any]) -> Any:
    """Nested arguments, their stacks replaced."""
    if type(value) is Stack:
        return change(value)
    if type(value) in (list, tuple):
        return type(value)(_visit(v, change) for v in value)
    if type(value) is dict:
        return {name: _visit(v, change) for name, v in value.items()}
    if type(value) is slice and any(
        type(v) is Stack for v in (value.start, value.stop, value.step)
    ):
        raise PerElement
    return value


def has_stack(*values: Any) -> bool:
    """Whether there is a stack among arguments, or in lists of them."""
    return any(type(v) is Stack or (type(v) in (list, tuple) and has_stack(*v)) for v in values)


for _name in ("add", "sub", "mul", "floordiv", "mod", "and_", "or_", "xor"):
    _function = getattr(operator, _name)
    setattr(Stack, f"__{_name.rstrip('_')}__", _operator(_function))
    setattr(Stack, f"__r{_name.rstrip('_')}__", _operator(_function, reflected=True))
for _name in ("eq", "ne", "lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"):
    setattr(Stack, f"__{_name}__", _operator(getattr(operator, _name)))
for _name in ("pow", "matmul"):
    _function = getattr(operator, _name)
    setattr(Stack, f"__{_name}__", _operator(_function, exact=False))
    setattr(Stack, f"__r{_name}__", _operator(_function, reflected=True, exact=False))
for _name in ("lshift", "rshift", "divmod"):
    setattr(Stack, f"__{_name}__", _unknown)
    setattr(Stack, f"__r{_name}__", _unknown)
for _name, _is_reflected in (("truediv", False), ("rtruediv", True)):
    setattr(Stack, f"__{_name}__", _operator(divide, reflected=_is_reflected))
