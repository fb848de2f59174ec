"""Every op, one file per family; importing this package fills the registry."""

from tinygrad_mnist.ops import (
    conv,
    elementwise,
    fused,
    index,
    kernels,
    linalg,
    log,
    pool,
    random,
    reduce,
    shape,
    softmax,
)

__all__ = [
    "conv",
    "elementwise",
    "fused",
    "index",
    "kernels",
    "linalg",
    "log",
    "pool",
    "random",
    "reduce",
    "shape",
    "softmax",
]
