"""Theano's older module of pooling."""

from __future__ import annotations

from tinygrad_mnist.tensor.signal.pool import max_pool_2d_same_size, pool_2d

max_pool_2d = pool_2d

__all__ = ["max_pool_2d", "max_pool_2d_same_size"]
