"""Terms of long sums, and the error of a sum against the bound of docs/accuracy.md."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

DTYPES = ("float32", "float64")
# A constant is the hard case: within a power of two all roundings of a running sum are equal.
KINDS = ("random", "positive", "constant")
LARGEST = 4  # error of a sum of k terms, in sqrt(k) eps times the sum of their magnitudes


def terms(kind: str, shape: tuple[int, ...], dtype: str, seed: int = 0) -> Array:
    """Numbers of about 0.1 to 1 that float32 holds, so that float64 has their products exactly."""
    rng = np.random.default_rng(seed)
    if kind == "constant":
        values = np.full(shape, 0.1)
    elif kind == "positive":
        values = rng.random(shape)
    else:
        values = rng.standard_normal(shape)
    return values.astype(np.float32).astype(dtype)


def wide(array: Array) -> Array:
    """The array in a dtype in which the error of a sum doesn't count."""
    return array.astype(np.float64 if array.dtype == np.float32 else np.longdouble)


def error(result: Array, exact: Array, magnitude: Array) -> float:
    """The largest error, in eps of the result's dtype times the sum of the terms' magnitudes."""
    eps = float(np.finfo(result.dtype).eps)
    return float(np.max(np.abs(wide(result) - exact) / magnitude)) / eps


def assert_accurate(result: Array, terms: Array, axis: int | tuple[int, ...]) -> None:
    """That `result`, without the axes, is the sum of `terms` (`wide`) to the documented bound."""
    k = terms.size // result.size
    magnitude = np.abs(terms).sum(axis)
    found = error(result, terms.sum(axis).reshape(result.shape), magnitude.reshape(result.shape))
    assert found <= LARGEST * sqrt(k)
