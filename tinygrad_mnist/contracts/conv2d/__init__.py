"""Convolutions, their gradients, and the forms fused with a max-pool."""

from . import conv2d

__all__ = ["conv2d"]
