"""Every op, one file per family; importing this package fills the registry."""

from tinygrad_mnist.ops import (
    conv,
    creation,
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
    "creation",
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
