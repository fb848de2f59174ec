"""Arithmetic of sizes: the numbers of elements and bytes of arrays, and their limit.

Python's integers don't wrap, unlike NumPy's. So all products of lengths are computed here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

LIMIT = 2**63
"""What sizes, in elements or bytes, and strides stay below: they are int64 in native code."""


def n_elements(shape: Iterable[int]) -> int:
    """The number of elements of an array."""
    return math.prod(map(int, shape))


def fits(shape: Iterable[int], itemsize: int) -> bool:
    """Whether the bytes of an array of this shape stay below the limit. A length of 0 counts as 1,
    as NumPy has it, because strides are made of the other lengths."""
    return n_elements(max(n, 1) for n in shape) * itemsize < LIMIT
