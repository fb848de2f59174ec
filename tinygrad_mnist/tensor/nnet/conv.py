"""Theano's older module of conv2d, with the older order of its arguments."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.tensor.nnet import abstract_conv

# Choices of how Theano's op computes, not of what.
OPTIONS = ("openmp", "unroll_batch", "unroll_kern", "unroll_patch", "verbose", "version")


def check_options(options: dict[str, Any]) -> None:
    """Raises GraphTypeError for a keyword that is none of `OPTIONS`, which change no result."""
    for name in options:
        if name not in OPTIONS:
            raise GraphTypeError(f"conv2d has no argument {name!r}")


def conv2d(
    input: Any,
    filters: Any,
    image_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: tuple[int, int] = (1, 1),
    **options: Any,
) -> Variable:
    """`nnet.conv2d` with flipped filters: `conv.conv2d(input=x, filters=w,
    filter_shape=..., image_shape=...)`. options: `OPTIONS`, without effect here."""
    check_options(options)
    return abstract_conv.conv2d(input, filters, image_shape, filter_shape, border_mode, subsample)


__all__ = ["conv2d"]
