"""Values as TensorFlow gives them: arrays with its methods, and the dtypes of its names."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.graph.variables import Variable

F = TypeVar("F", bound=Callable[..., Any])

#: TensorFlow's names of dtypes. A string is bytes.
DTYPES = {
    **{
        name: np.dtype(name)
        for name in (
            *("float16", "float32", "float64", "int8", "int16", "int32", "int64"),
            *("uint8", "uint16", "uint32", "uint64", "bool", "complex64", "complex128"),
        )
    },
    "half": np.dtype("float16"),
    "double": np.dtype("float64"),
    "string": np.dtype("S"),
}


def dtype_of(value: Any) -> np.dtype[Any]:
    """The dtype that a name, a dtype or a NumPy type means; GraphTypeError for others."""
    if isinstance(value, str) and value in DTYPES:
        return DTYPES[value]
    try:
        kind: np.dtype[Any] = np.dtype(value)
    except TypeError:
        raise GraphTypeError(f"{shown(value)} is no dtype; it can be {', '.join(DTYPES)}") from None
    return kind


_OPERANDS = (np.ndarray, np.generic, int, float, complex, list, tuple)


class Tensor(np.ndarray[Any, Any]):
    """An array that can't be changed: `x += 1` makes a new one, as in TensorFlow.

    Integers are divided as in TensorFlow: those of 8 and 16 bits give float32, others float64.
    Elements and rows are Tensors too, so that a number keeps its dtype beside others.
    """

    def __array_finalize__(self, obj: Any) -> None:
        pass

    def numpy(self) -> Any:
        """A copy as a NumPy array, or as a scalar without dimensions; strings are bytes."""
        if self.dtype.kind == "V":
            strings = np.empty(self.shape, object)
            strings[...] = [row.tobytes() for row in self] if self.ndim else self.tobytes()
            return strings if self.ndim else strings.item()
        copied = np.array(self, copy=True, subok=False)
        return copied if self.ndim else copied[()]

    def eval(self) -> Any:
        """The same as `numpy`: an expression's value, as Theano and TensorFlow 1 give it."""
        return self.numpy()

    def get_shape(self) -> tuple[int, ...]:
        return tuple(self.shape)

    def __getitem__(self, key: Any) -> Any:
        return tensor(super().__getitem__(key))

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __truediv__(self, other: Any) -> Any:
        return tensor(divide(self, other)) if isinstance(other, _OPERANDS) else NotImplemented

    def __rtruediv__(self, other: Any) -> Any:
        return tensor(divide(other, self)) if isinstance(other, _OPERANDS) else NotImplemented


def _new(name: str) -> Callable[[Any, Any], Any]:
    """The operator in place, which makes a new tensor."""
    function = getattr(operator, name)

    def method(self: Any, other: Any) -> Any:
        return function(self, other)

    return method


_OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor")
for _name in (*_OPERATORS, "lshift", "rshift", "matmul"):
    setattr(Tensor, f"__i{_name.rstrip('_')}__", _new(_name))


def tensor(value: Any, dtype: Any = None) -> Tensor:
    """A value as a Tensor, a view of it where it is an array of that dtype.

    Without dtype, Python's floats become float32 and its integers int32, or int64 where they don't
    fit; arrays and NumPy's scalars keep theirs. Texts become bytes (UTF-8).
    """
    if isinstance(value, Tensor) and (dtype is None or value.dtype == dtype):
        return value
    array = _array(value)
    if dtype is not None:
        array = array.astype(dtype_of(dtype), copy=False)
    result = array.view(Tensor)
    result.flags.writeable = False
    return result


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, bytes):
        string = np.empty((), object)
        string[()] = value
        return string
    array = np.asarray(value)
    if array.dtype.kind in "US":
        encoded = np.empty(array.size, object)
        encoded[:] = [v.encode() if isinstance(v, str) else v for v in array.ravel().tolist()]
        return encoded.reshape(array.shape)
    if isinstance(value, np.ndarray | np.generic) or _has_numpy(value):
        return array
    if array.dtype == object and array.size and not isinstance(array.flat[0], bytes | str):
        raise GraphTypeError(f"{shown(value)} is no array: its rows differ in length")
    if array.dtype == np.float64:
        return array.astype(np.float32)
    if array.dtype == np.int64 and _fits(array):
        return array.astype(np.int32)
    return array


def of_arrays(expression: F) -> F:
    """A function that makes an expression of variables, and a Tensor, its value, where no argument
    is a variable: of arrays, numbers, and lists, which have `tensor`'s dtypes."""

    @functools.wraps(expression)
    def apply(*arguments: Any, **options: Any) -> Any:
        if has_variable(*arguments, *options.values()):
            return expression(*arguments, **options)
        arguments = tuple(_listed(v) for v in arguments)
        made = expression(*arguments, **{name: _listed(v) for name, v in options.items()})
        return tensor(made.eval()) if isinstance(made, Variable) else made

    return cast(F, apply)


def has_variable(*values: Any) -> bool:
    """Whether there is a symbolic variable among arguments, or in lists of them."""
    return any(
        isinstance(v, Variable) or (isinstance(v, list | tuple) and has_variable(*v))
        for v in values
    )


def _listed(value: Any) -> Any:
    return tensor(value) if isinstance(value, list | tuple) else value


def _has_numpy(value: Any) -> bool:
    """Whether a list has NumPy's values, whose dtype then counts."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return isinstance(value, np.ndarray | np.generic)


def _fits(array: NDArray[Any]) -> bool:
    limits = np.iinfo(np.int32)
    return not array.size or bool(limits.min <= array.min() and array.max() <= limits.max)


def divide(x: Any, y: Any) -> NDArray[Any]:
    """x / y; integers by integers or Python's numbers as TensorFlow divides them."""
    x, y = (np.asarray(v) if isinstance(v, np.ndarray | list | tuple) else v for v in (x, y))
    kinds = {v.dtype for v in (x, y) if isinstance(v, np.ndarray | np.generic)}
    if kinds and all(kind.kind in "iu" for kind in kinds):
        small = all(kind.itemsize <= 2 for kind in kinds)
        quotient = np.dtype(np.float32 if small else np.float64)
        x, y = (v.astype(quotient) if isinstance(v, np.ndarray | np.generic) else v for v in (x, y))
    return np.asarray(np.true_divide(x, y))
