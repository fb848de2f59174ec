"""Geometry of pools for the tests of the kernels."""

from __future__ import annotations

from hypothesis import strategies as st

PAIRS = st.tuples(st.integers(1, 5), st.integers(1, 5))
Pair = tuple[int, int]


def pooled_size(image: Pair, window: Pair, stride: Pair, padding: Pair, whole: bool) -> Pair:
    """Windows along each axis: those that fit, or those that begin inside the padded image."""
    slack = (0, 0) if whole else (window[0] - 1, window[1] - 1)
    rows, columns = (
        max(0, (image[i] + 2 * padding[i] + slack[i] - window[i]) // stride[i] + 1) for i in (0, 1)
    )
    return rows, columns
