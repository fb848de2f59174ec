"""Theano's older module of pooling."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.tensor.signal.pool import max_pool_2d_same_size, pool_2d

max_pool_2d = pool_2d


class DownsampleFactorMax:
    """`DownsampleFactorMax(ds, ignore_border, st, padding, mode)(x)` is
    `pool_2d(x, ds, ignore_border, st, padding, mode)`."""

    def __init__(
        self,
        ds: Any,
        ignore_border: bool = False,
        st: Any = None,
        padding: Any = (0, 0),
        mode: str = "max",
    ) -> None:
        self._how = (ds, ignore_border, st, padding, mode)

    def __call__(self, x: Any) -> Variable:
        return pool_2d(x, *self._how)


__all__ = ["DownsampleFactorMax", "max_pool_2d", "max_pool_2d_same_size"]
