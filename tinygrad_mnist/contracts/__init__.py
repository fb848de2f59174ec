"""What every kernel computes, whoever implements it."""

from __future__ import annotations

# Each family registers its contracts when it is imported.
from . import (
    argmax,
    average_pool2d,
    batch_norm,
    check_range,
    conv2d,
    elementwise,
    gather,
    gemm,
    grouped_reduce,
    pool2d,
    reduce,
    scatter,
    softmax,
)
from .base import CONTRACTS, Array, ArraySpec, Contract, Params

__all__ = [
    "CONTRACTS",
    "Array",
    "ArraySpec",
    "Contract",
    "Params",
    "argmax",
    "average_pool2d",
    "batch_norm",
    "check_range",
    "conv2d",
    "elementwise",
    "gather",
    "gemm",
    "grouped_reduce",
    "pool2d",
    "reduce",
    "scatter",
    "softmax",
]
