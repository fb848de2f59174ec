"""Memory layouts in which a kernel is checked: the same values with other strides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array


def _contiguous(array: Array) -> Array:
    return np.ascontiguousarray(array).reshape(array.shape)


def _transposed(array: Array) -> Array:
    """The axes in the opposite order."""
    return np.ascontiguousarray(array.T).T


def _channels_last(array: Array) -> Array:
    """Axis 1 innermost."""
    if array.ndim < 3:
        return _transposed(array)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def _gaps(array: Array) -> Array:
    """Every second element of an array that is twice as long along each axis."""
    base = np.zeros([2 * n for n in array.shape], array.dtype)
    every_second: Any = (slice(None, None, 2),) * array.ndim
    view: Array = base[every_second]
    view[...] = array
    return view


def _reversed(array: Array) -> Array:
    """All axes backwards."""
    return np.flip(np.ascontiguousarray(np.flip(array)))


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": _contiguous,
    "transposed": _transposed,
    "channels-last": _channels_last,
    "gaps": _gaps,
    "reversed": _reversed,
}
