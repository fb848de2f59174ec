"""Theano's `tensor.xlogx`: products with a logarithm that are 0 where their first factor is."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import eq, log, mul, switch


def xlogx(x: Any) -> Variable:
    """x * log(x), and 0 for x = 0."""
    return xlogy0(x, x)


def xlogy0(x: Any, y: Any) -> Variable:
    """x * log(y), and 0 for x = 0, whatever y is."""
    return switch(eq(x, 0), 0, mul(x, log(y)))


__all__ = ["xlogx", "xlogy0"]
