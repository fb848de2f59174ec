"""How a function's arguments become arrays: checked against the declared types, never guessed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.contracts.base import Array
from tinygrad_mnist.errors import GraphTypeError, ShapeError
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.types import BOOL, INTEGERS
from tinygrad_mnist.graph.variables import Variable

_RANGES = {dtype: (np.iinfo(dtype).min, np.iinfo(dtype).max) for dtype in INTEGERS}


def convert(value: Any, variable: Variable, label: str, allow_downcast: bool | None) -> Array:
    """`value` as a C-contiguous array of the variable's type.

    A dtype that loses values is refused unless `allow_downcast` is true; Python numbers and lists
    may become floats of less precision. Raises GraphTypeError or ShapeError, naming the argument,
    what it is and what it should be, and the user's line that declared it.
    """
    if isinstance(value, Variable):
        raise GraphTypeError(f"{label} got a symbolic variable; functions take values")
    array = np.asarray(value)
    if array.ndim != variable.ndim:
        raise GraphTypeError(
            f"{label} has {variable.ndim} dimensions ({variable.type}); the value has "
            f"{array.ndim}, shape {array.shape}{at(variable.source)}"
        )
    if array.dtype != variable.dtype:
        array = _converted(array, value, variable, label, allow_downcast)
    for axis, fixed in enumerate(variable.broadcastable):
        if fixed and array.shape[axis] != 1:
            raise ShapeError(
                f"{label} broadcasts along axis {axis}; the value's shape is {array.shape}"
                f"{at(variable.source)}"
            )
    return np.ascontiguousarray(array).reshape(array.shape)


def _converted(
    array: Array, value: Any, variable: Variable, label: str, allow_downcast: bool | None
) -> Array:
    dtype = variable.dtype
    if array.dtype.kind not in "biuf":
        raise GraphTypeError(f"{label} is {dtype}; the value is {array.dtype}{at(variable.source)}")
    if allow_downcast or np.can_cast(array.dtype, dtype, "safe"):
        return array.astype(dtype)
    is_python = not isinstance(value, np.ndarray | np.generic)
    if is_python and array.dtype.kind == "f" and variable.type.is_float and allow_downcast is None:
        return array.astype(dtype)
    if array.dtype.kind in "biu" and dtype != BOOL:
        converted = array.astype(dtype)
        if np.array_equal(converted, array):
            return converted
        raise GraphTypeError(
            f"{label} is {dtype}, which can't hold the values of the {array.dtype} array that "
            f"came{at(variable.source)}"
        )
    raise GraphTypeError(
        f"{label} is {dtype}; the value is {array.dtype}, which would lose precision: convert it "
        f"with .astype({dtype!r}) or pass allow_input_downcast=True{at(variable.source)}"
    )


def host_integer(value: Any, variable: Variable, label: str) -> int | None:
    """`value` as a Python int where the variable is an integer scalar and the value fits."""
    if variable.ndim or variable.dtype not in INTEGERS:
        return None
    if type(value) is not int:
        if not isinstance(value, np.integer):
            return None
        value = int(value)
    low, high = _RANGES[variable.dtype]
    if not low <= value <= high:
        raise GraphTypeError(f"{label} is {variable.dtype}; {value} doesn't fit in it")
    return int(value)


def has_steps(value: Any, variable: Variable) -> bool:
    """Whether an argument of a sweep gives an integer scalar one value per step."""
    if variable.ndim or variable.dtype not in INTEGERS:
        return False
    return isinstance(value, range | list | tuple) or (
        isinstance(value, np.ndarray) and value.ndim == 1
    )


def steps_of(value: Any, variable: Variable, label: str) -> Array:
    """The values per step as an int64 vector; GraphTypeError where they are no integers or don't
    fit in the variable's dtype."""
    array = np.asarray(value if len(value) else np.empty(0, dtype=np.int64))
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise GraphTypeError(f"{label} takes integers per step, not {array.dtype}")
    info = np.iinfo(variable.dtype)
    if array.size and not (info.min <= array.min() and array.max() <= info.max):
        raise GraphTypeError(f"{label} is {variable.dtype}; not all values per step fit in it")
    return array.astype(np.int64)
