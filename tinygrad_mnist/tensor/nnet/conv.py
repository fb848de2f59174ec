"""Theano's older module of conv2d, with the older order of its arguments."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.tensor.nnet import abstract_conv


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
    filter_shape=..., image_shape=...)`. options: as of `nnet.conv2d`."""
    return abstract_conv.conv2d(
        input, filters, image_shape, filter_shape, border_mode, subsample, **options
    )


__all__ = ["conv2d"]
