"""What every kernel computes, on every backend.

`core` says what a contract and a tape are; each family registers its contracts when it is imported.
"""

from __future__ import annotations

from . import batch_norm, conv2d, distort, gemm, index, pool2d, reduce, tape
from .core.base import CONTRACTS, Array, ArraySpec, Contract, Params

__all__ = [
    "CONTRACTS",
    "Array",
    "ArraySpec",
    "Contract",
    "Params",
    "batch_norm",
    "conv2d",
    "distort",
    "gemm",
    "index",
    "pool2d",
    "reduce",
    "tape",
]
