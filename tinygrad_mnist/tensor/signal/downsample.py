"""Theano's older home of pooling."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.tensor.signal.pool import pool_2d


def max_pool_2d(
    input: Any,
    ds: Any,
    ignore_border: bool = False,
    st: Any = None,
    padding: Any = (0, 0),
    mode: str = "max",
) -> Variable:
    """Pools `ds` windows by their maximum, as `pool.pool_2d` does."""
    return pool_2d(input, ds, ignore_border, st, padding, mode)


__all__ = ["max_pool_2d"]
