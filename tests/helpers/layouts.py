"""The same values in other places: arrays with strides that no kernel expects."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.native import AnyArray


def relaid(array: AnyArray, rng: np.random.Generator) -> AnyArray:
    """A view that equals `array`: axes in another order, gaps, some axes backwards.

    What lies in the gaps is NaN or 0xAB.
    """
    order = rng.permutation(array.ndim)
    steps = rng.integers(1, 3, array.ndim)
    shape = [array.shape[axis] * steps[axis] + rng.integers(0, 2) for axis in order]
    base = np.full(shape, np.nan if array.dtype.kind == "f" else 0xAB).astype(array.dtype)
    view = base.transpose(np.argsort(order))
    index: list[Any] = []
    for axis, size in enumerate(array.shape):
        taken = slice(0, size * steps[axis], steps[axis])
        index.append(taken)
    view = view[tuple(index)]
    for axis in range(array.ndim):
        if rng.integers(0, 2):
            view = np.flip(view, axis)
    view[...] = array
    return view


def normal(
    rng: np.random.Generator, shape: tuple[int, ...], dtype: str, whole: bool = False
) -> AnyArray:
    """Normal numbers; or small integers, with which float arithmetic is exact and maxima tie."""
    if whole:
        return rng.integers(-2, 3, shape).astype(dtype)
    return rng.standard_normal(shape).astype(dtype)


def integer_matrix(
    rng: np.random.Generator, layout: str, shape: tuple[int, int], dtype: str
) -> AnyArray:
    """Integers from the whole range of the dtype; about every third bool is true.

    layout: rows or columns contiguous ("rows", "columns"), or any other word for any strides.
    """
    if dtype == "bool":
        values: AnyArray = rng.random(shape) < 0.3
    else:
        info = np.iinfo(dtype)
        values = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    if layout == "rows":
        return values
    return np.asfortranarray(values) if layout == "columns" else relaid(values, rng)
