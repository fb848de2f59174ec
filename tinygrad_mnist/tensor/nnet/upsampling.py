"""Bilinear upsampling of images, as a transposed convolution."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.op import constant
from tinygrad_mnist.graph.values import flag, integer, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.shape import dimshuffle, length, reshape
from tinygrad_mnist.tensor.nnet.convolution import AbstractConv2d_gradInputs, floats_of_images

MAX_RATIO = 1 << 16


def _bilinear_weights(ratio: Any) -> Array:
    """1, 2, ..., ratio, ..., 2, 1."""
    n = integer(ratio, "ratio", 1)
    if n > MAX_RATIO:
        raise ArgumentError(f"ratio is {n}; it is at most {MAX_RATIO}")
    return np.concatenate([np.arange(1.0, n + 1), np.arange(n - 1.0, 0, -1)])


def bilinear_kernel_1D(ratio: int, normalize: bool = True) -> Variable:  # noqa: N802
    """The weights 1, 2, ..., ratio, ..., 2, 1 of a linear interpolation between pixels that are
    `ratio` apart; normalize: divided by `ratio`. A vector of floatX."""
    weights = _bilinear_weights(ratio)
    return constant(
        weights / int(ratio) if flag(normalize, "normalize") else weights, config.floatX
    )


def bilinear_kernel_2D(ratio: int, normalize: bool = True) -> Variable:  # noqa: N802
    """The products of the weights of `bilinear_kernel_1D` for rows and for columns: a matrix."""
    weights = bilinear_kernel_1D(ratio, normalize)
    return dimshuffle(weights, 0, "x") * dimshuffle(weights, "x", 0)


def bilinear_upsampling(
    input: Any,
    ratio: Any = None,
    frac_ratio: Any = None,
    batch_size: int | None = None,
    num_input_channels: int | None = None,
    use_1D_kernel: bool = True,  # noqa: N803
) -> Variable:
    """Images (batch, channels, height, width) with `ratio` times the rows and columns.

    Pixel (r, c) becomes pixel (r * ratio + (ratio - 1) // 2, ...); those between are interpolated
    linearly, and those before the first pixel or behind the last repeat it. ratio: an int. The
    other arguments are there for Theano's programs: frac_ratio is None, and the rest changes no
    result. Raises GraphTypeError.
    """
    if frac_ratio is not None:
        raise ArgumentError(
            f"frac_ratio is {shown(frac_ratio)}; only an integer ratio is supported"
        )
    (x,) = floats_of_images(input=input)
    n = integer(ratio, "ratio", 1)
    flag(use_1D_kernel, "use_1D_kernel")
    weights = constant(_bilinear_weights(n) / n, x.dtype)
    channels = [length(x, 0), length(x, 1)]
    y = reshape(x, [channels[0] * channels[1], 1, length(x, 2), length(x, 3)])
    padding = 2 * n - (n - 1) // 2 - 1
    for axis in (2, 3):
        every = (slice(None),) * axis
        extended = concatenate([y[(*every, slice(0, 1))], y, y[(*every, slice(-1, None))]], axis)
        is_along = [i == axis for i in range(4)]
        transposed = AbstractConv2d_gradInputs(
            border_mode=[padding if along else 0 for along in is_along[2:]],
            subsample=[n if along else 1 for along in is_along[2:]],
        )
        filters = dimshuffle(weights, *(0 if along else "x" for along in is_along))
        lengths = [length(y, i) * n if along else length(y, i) for i, along in enumerate(is_along)]
        y = transposed.gradient(filters, extended, lengths)
    return reshape(y, [*channels, length(y, 2), length(y, 3)])


__all__ = ["bilinear_kernel_1D", "bilinear_kernel_2D", "bilinear_upsampling"]
