"""Theano's `tensor.extra_ops`."""

from __future__ import annotations

from tinygrad_mnist.ops.axes import squeeze
from tinygrad_mnist.ops.creation import bartlett
from tinygrad_mnist.ops.cumprod import cumprod
from tinygrad_mnist.ops.cumsum import cumsum
from tinygrad_mnist.ops.diagonal import fill_diagonal, fill_diagonal_offset, to_one_hot
from tinygrad_mnist.ops.elementwise import identity
from tinygrad_mnist.ops.join import repeat
from tinygrad_mnist.ops.positions import bincount, diff, ravel_multi_index, unravel_index
from tinygrad_mnist.ops.selection import Unique, compress, unique
from tinygrad_mnist.ops.sort import searchsorted

cpu_contiguous = identity  # every array that a function returns is contiguous

__all__ = [
    "Unique",
    "bartlett",
    "bincount",
    "compress",
    "cpu_contiguous",
    "cumprod",
    "cumsum",
    "diff",
    "fill_diagonal",
    "fill_diagonal_offset",
    "ravel_multi_index",
    "repeat",
    "searchsorted",
    "squeeze",
    "to_one_hot",
    "unique",
    "unravel_index",
]
