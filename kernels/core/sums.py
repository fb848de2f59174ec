"""How many terms of a long sum are added in order.

A running sum of k equal terms errs by up to k roundings in one direction. So long sums are cut into
runs, and the sums of the runs are added. docs/accuracy.md states the bound.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

from .call import Function
from .device import TYPES, device

FEW_TERMS = 1024  # that may be one run
LEAST_RUN = 256


def run_length(k: int) -> int:
    """Terms of a run where a thread adds all k: there are about as many runs, or fewer."""
    return max(LEAST_RUN, isqrt(k))


def longest_run(k: int) -> int:
    """Terms that a thread may add in order where others add the rest of k."""
    return max(FEW_TERMS, isqrt(FEW_TERMS * k))


def adder(dtype: str) -> Function:
    """`add(x, y)`."""
    if dtype not in _ADDERS:
        kind = TYPES[dtype]

        def add(x: Any, y: Any) -> Any:
            return kind(x + y)

        _ADDERS[dtype] = device(add)
    return _ADDERS[dtype]


_ADDERS: dict[str, Function] = {}
