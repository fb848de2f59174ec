"""Stabilisation: expressions built from exponentials become ones that neither overflow nor cancel,
however they are written. docs/stability.md describes the mechanism."""

from tinygrad_mnist.stability.replace import stabilise

__all__ = ["stabilise"]
