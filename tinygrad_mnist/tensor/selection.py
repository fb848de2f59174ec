"""Functions that choose elements by their values."""

from __future__ import annotations

from tinygrad_mnist.ops.selection import compress, flatnonzero, nonzero, nonzero_values

__all__ = ["compress", "flatnonzero", "nonzero", "nonzero_values"]
