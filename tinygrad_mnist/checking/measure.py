"""Errors of a result against exact values."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from tinygrad_mnist.contracts.core.base import Array

#: Largest allowed norm of the error relative to that of the result, in roundings of the dtype.
ROUNDINGS = 32


class Error(NamedTuple):
    """How far a result is from the exact one.

    ulp: of the worst element, in units of the last place of the exact value; NaN for integers.
    norm: norm of the difference, divided by the norm of the exact result; of integers the share of
    elements that differ. bound: the largest `norm` that passes. wrong: elements that must be equal
    and differ: integers, NaN and infinities. used: the error of the worst element, as a share of
    its bound in `bounds.BOUNDS`; NaN where it has none.
    """

    ulp: float
    norm: float
    bound: float
    wrong: int
    used: float = math.nan

    @property
    def passes(self) -> bool:
        """Whether the error is within its bounds."""
        return self.wrong == 0 and self.norm <= self.bound and not self.used > 1


def share_of(result: Array, exact: Array, largest: Array) -> float:
    """The largest |result - exact|, as a share of the largest error that an element may have, among
    the elements that are finite; infinite where it may have none, or where that is NaN."""
    with np.errstate(all="ignore"):
        finite = np.isfinite(exact.astype(result.dtype)) & np.isfinite(result)
        error = np.abs(result[finite].astype(exact.dtype) - exact[finite])
        allowed = np.broadcast_to(largest, exact.shape)[finite]
        share = np.where(error > 0, error / allowed, 0)
        share[np.isnan(allowed)] = np.inf
    return float(np.max(share, initial=0))


def error_of(
    result: Array, exact: Array, roundings: float = ROUNDINGS, largest: Array | None = None
) -> Error:
    """The error of `result`, whose dtype may be narrower than that of `exact`.

    roundings: the bound of its norm, in roundings of the result's dtype. largest: the bound of each
    element, if there is one.
    """
    if result.dtype.kind != "f":
        wrong = int(np.count_nonzero(result != exact))
        return Error(float("nan"), wrong / max(result.size, 1), 0.0, wrong)
    info = np.finfo(result.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = exact.astype(result.dtype)
    finite = np.isfinite(rounded)
    wrong = int(np.count_nonzero(~_same(result[~finite], rounded[~finite])))
    got, wanted = result[finite].astype(exact.dtype), exact[finite]
    used = math.nan if largest is None else share_of(result, exact, largest)
    if got.size == 0:
        return Error(0.0, 0.0, roundings * float(info.eps), wrong, used)
    wrong += int(np.count_nonzero(~np.isfinite(got)))
    spacing = np.maximum(np.spacing(np.abs(rounded[finite])), info.smallest_subnormal)
    with np.errstate(invalid="ignore"):
        ulp = float(np.max(np.abs(got - wanted) / spacing.astype(exact.dtype)))
    scale = float(np.max(np.abs(wanted))) or 1.0  # squares must not overflow
    difference = float(np.linalg.norm(got / scale - wanted / scale))
    size = float(np.linalg.norm(wanted / scale)) or 1.0
    return Error(ulp, difference / size, roundings * float(info.eps), wrong, used)


def _same(a: Array, b: Array) -> Array:
    return np.asarray((a == b) | (np.isnan(a) & np.isnan(b)))
