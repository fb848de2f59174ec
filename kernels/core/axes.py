"""Axes of arrays as pairs (length, stride), outermost first; no device code, and no Numba."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

Axes = list[tuple[int, int]]


def merged(shape: Sequence[int], strides: Sequence[int]) -> Axes:
    """The axes of an array: neighbours that can be walked as one are joined, and those of length 1
    are left out."""
    axes: Axes = []
    for n, s in zip(shape, strides, strict=True):
        if n == 1:
            continue
        if axes and axes[-1][1] == n * s:
            axes[-1] = (axes[-1][0] * n, s)
        else:
            axes.append((n, s))
    return axes


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Whether the elements of an array lie next to each other in C order."""
    size = prod(shape)
    return size == 0 or merged(shape, strides) in ([], [(size, 1)])


def kept_and_reduced(shape: Sequence[int], mask: int) -> tuple[Axes, Axes]:
    """The kept and the reduced axes of a reduction. Bit d of `mask`: whether axis d is reduced.

    The stride of an axis is the distance, in C order of the full shape, from one element to the
    next along it.
    """
    strides = [prod(shape[d + 1 :]) for d in range(len(shape))]

    def chosen(reduced: int) -> Axes:
        dims = [d for d in range(len(shape)) if mask >> d & 1 == reduced]
        return merged([shape[d] for d in dims], [strides[d] for d in dims])

    return chosen(0), chosen(1)
