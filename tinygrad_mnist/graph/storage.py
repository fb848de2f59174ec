"""The arrays that shared variables keep: their memory, and which values they take."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.api import api_function
from tinygrad_mnist.graph.types import FLOATS, INTEGERS, TensorType
from tinygrad_mnist.graph.values import plain_array

CACHE_LINE = 64  # bytes


class DeviceCopy(Protocol):
    """A shared variable's value in the memory of a device.

    is_newer: whether the device has changed it since it was last the same as the host's.
    """

    is_newer: bool

    def fetch(self, array: Array) -> None:
        """Copies the value to an array of the host."""


def aligned_copy(value: Array, dtype: str) -> Array:
    """A C-contiguous copy that begins at a cache line.

    NumPy's arrays begin 16 bytes after one, so every other vector of a row would straddle two
    lines. That costs the product of a layer 10 to 20 %.
    """
    nbytes = value.size * np.dtype(dtype).itemsize
    memory = np.empty(nbytes + CACHE_LINE, np.uint8)
    begin = -memory.__array_interface__["data"][0] % CACHE_LINE
    array: Array = memory[begin : begin + nbytes].view(dtype).reshape(value.shape)
    array[...] = value
    return array


@api_function
def storable(
    value: Any, type: TensorType, label: str, strict: bool = False, downcast: bool | None = None
) -> Array:
    """`value` as an array that a shared variable of `type` can store; its shape may be any.

    An array's dtype may be narrower than the variable's; integers need only fit. Python's floats,
    and lists of them, are rounded. strict: only arrays of exactly that dtype. downcast: any value,
    however much of it is lost. Raises GraphTypeError, which begins with `label`.
    """
    array = plain_array(value, f"the new value of {label}")
    if array.ndim != type.ndim:
        raise GraphTypeError(f"{label} has {type.ndim} dimensions; the new value has {array.ndim}")
    if strict and not (isinstance(value, np.ndarray | np.generic) and array.dtype == type.dtype):
        raise GraphTypeError(f"{label} is strict: it takes only {type.dtype} arrays")
    if array.dtype.kind == "c":
        raise GraphTypeError(f"{label} is {type.dtype}: complex numbers are not supported")
    if array.dtype != type.dtype and not downcast:
        _check_kept(value, array, type.dtype, label)
    for axis, fixed in enumerate(type.broadcastable):
        if fixed and array.shape[axis] != 1:
            raise GraphTypeError(
                f"{label} broadcasts along axis {axis}, so its length there stays 1; "
                f"the new value's shape is {array.shape}"
            )
    return array


def _check_kept(value: Any, array: Array, dtype: str, label: str) -> None:
    """Raises GraphTypeError for values that lose precision in `dtype`."""
    if np.can_cast(array.dtype, dtype, "safe"):
        return
    if array.dtype.kind in "iu" and dtype in INTEGERS:
        info = np.iinfo(dtype)
        if array.size and not (info.min <= array.min() and array.max() <= info.max):
            raise GraphTypeError(f"{label} is {dtype}, which can't hold the new value")
        return
    if dtype in FLOATS and not (isinstance(value, np.ndarray) and value.ndim):
        return  # Python's floats, lists of them, and scalars
    raise GraphTypeError(
        f"{label} is {dtype}; the new value is {array.dtype}, which would lose precision: convert "
        f"it with .astype({dtype!r})"
    )
