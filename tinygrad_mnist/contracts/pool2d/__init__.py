"""Pooling without a convolution."""

from . import average_pool2d, pool2d

__all__ = ["average_pool2d", "pool2d"]
