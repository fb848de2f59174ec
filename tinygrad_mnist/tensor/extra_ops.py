"""Theano's `tensor.extra_ops`."""

from __future__ import annotations

from tinygrad_mnist.ops.cumsum import cumsum
from tinygrad_mnist.ops.diagonal import to_one_hot
from tinygrad_mnist.ops.join import repeat
from tinygrad_mnist.ops.selection import Unique, compress, unique

__all__ = ["Unique", "compress", "cumsum", "repeat", "to_one_hot", "unique"]
