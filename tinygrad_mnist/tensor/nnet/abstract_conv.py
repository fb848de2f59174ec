"""Theano's `tensor.nnet.abstract_conv`: convolution in two dimensions and its gradients."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import choice
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.tensor.nnet import upsampling
from tinygrad_mnist.tensor.nnet.convolution import (
    AbstractConv2d,
    AbstractConv2d_gradInputs,
    AbstractConv2d_gradWeights,
    declared_shape,
)
from tinygrad_mnist.tensor.nnet.upsampling import *  # noqa: F403

# Keywords for how Theano's older ops compute, not for what.
OPTIONS = ("openmp", "unroll_batch", "unroll_kern", "unroll_patch", "verbose", "version")


def conv2d(
    input: Any,
    filters: Any,
    input_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    image_shape: Any = None,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
    **options: Any,
) -> Variable:
    """Convolves images (batch, channels, height, width) with filters (filters, channels, h, w).

    input_shape (older name: image_shape) and filter_shape: the shapes, with None for unknown
    lengths, checked when the function runs. border_mode: zeros around the images: 'valid' (none),
    'full' (h - 1, w - 1), 'half' (h // 2, w // 2), an int, a pair (rows, columns), or a pair of
    pairs ((above, below), (left, right)). subsample: the strides. filter_flip: flip the filters in
    both axes, as convolution proper does. filter_dilation: the distance of a filter's elements on
    the image; h and w above are then (h - 1) * dilation + 1. num_groups: channels and filters are
    cut into so many groups, and filters (filters, channels / num_groups, h, w) see their own group.
    unshared: only False. options: keywords of Theano's older ops (`OPTIONS`), without effect here.

    Returns (batch, filters, height, width) in the inputs' dtype. Raises GraphTypeError for
    operands without four dimensions, ShapeError where shapes don't fit.
    """
    if image_shape is not None and input_shape is not None:
        raise ArgumentError("conv2d got input_shape and image_shape, two names of one argument")
    for name in options:
        if name not in OPTIONS:
            raise GraphTypeError(f"conv2d has no argument {name!r}")
    op = AbstractConv2d(
        declared_shape(image_shape if input_shape is None else input_shape, "input_shape"),
        declared_shape(filter_shape, "filter_shape"),
        border_mode,
        subsample,
        filter_flip,
        filter_dilation,
        num_groups,
        unshared,
    )
    return op(input, filters)


def conv2d_grad_wrt_inputs(
    output_grad: Any,
    filters: Any,
    input_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """The gradient of `conv2d` with respect to its images: a transposed convolution.

    output_grad: (batch, filters, height, width), of the convolution's result. input_shape: of the
    images, ints or integer scalars; batch and channels may be None. The other arguments are those
    of `conv2d`. Returns an array of input_shape. Raises GraphTypeError, ShapeError.
    """
    op = AbstractConv2d_gradInputs(
        None,
        declared_shape(filter_shape, "filter_shape"),
        border_mode,
        subsample,
        filter_flip,
        filter_dilation,
        num_groups,
        unshared,
    )
    return op.gradient(filters, output_grad, input_shape)


def conv2d_grad_wrt_weights(
    input: Any,
    output_grad: Any,
    filter_shape: Any,
    input_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """The gradient of `conv2d` with respect to its filters.

    output_grad: (batch, filters, height, width), of the convolution's result. filter_shape: of the
    filters, ints or integer scalars; filters and channels may be None. The other arguments are
    those of `conv2d`. Returns an array of filter_shape. Raises GraphTypeError, ShapeError.
    """
    op = AbstractConv2d_gradWeights(
        declared_shape(input_shape, "input_shape"),
        None,
        border_mode,
        subsample,
        filter_flip,
        filter_dilation,
        num_groups,
        unshared,
    )
    return op.gradient(input, output_grad, filter_shape)


def conv2d_transpose(
    input: Any,
    filters: Any,
    output_shape: Any,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    input_dilation: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """`conv2d_grad_wrt_inputs`, called a transposed convolution: `input` takes the place of the
    gradient of a convolution's result, and input_dilation is that convolution's `subsample`.

    input: (batch, filters, height, width). filters: (filters, channels, h, w). output_shape:
    (batch, channels, height, width), ints or integer scalars; batch and channels may be None.
    Returns an array of output_shape. Raises GraphTypeError, ShapeError.
    """
    return conv2d_grad_wrt_inputs(
        input,
        filters,
        output_shape,
        filter_shape,
        border_mode,
        input_dilation,
        filter_flip,
        filter_dilation,
        num_groups,
        unshared,
    )


# --- shapes of results ----------------------------------------------------------------------------


def get_conv_shape_1axis(
    image_shape: Any, kernel_shape: Any, border_mode: Any, subsample: Any, dilation: int = 1
) -> Any:
    """The length of a convolution's result along one axis, None where one of the lengths is None.

    image_shape, kernel_shape, subsample: ints or integer scalars. border_mode: 'valid', 'full',
    'half', an int, or a pair (before, after).
    """
    if None in (image_shape, kernel_shape):
        return None
    size = (kernel_shape - 1) * dilation + 1
    if isinstance(border_mode, str):
        choice(border_mode, ("valid", "full", "half"), "border_mode")
        border_mode = {"valid": 0, "full": size - 1, "half": size // 2}[border_mode]
    pair = border_mode if isinstance(border_mode, list | tuple) else (border_mode, border_mode)
    return (image_shape + pair[0] + pair[1] - size) // subsample + 1


def get_conv_output_shape(
    image_shape: Any,
    kernel_shape: Any,
    border_mode: Any,
    subsample: Any,
    filter_dilation: Any = (1, 1),
) -> tuple[Any, ...]:
    """The shape of `conv2d`'s result: of images (batch, channels, height, width) and filters
    (filters, channels, h, w); lengths may be ints, integer scalars or None. The other arguments are
    those of `conv2d`."""
    borders = border_mode if isinstance(border_mode, list | tuple) else (border_mode, border_mode)
    along = zip(
        image_shape[2:],
        kernel_shape[2:],
        borders,
        subsample,
        filter_dilation or (1, 1),
        strict=True,
    )
    return (image_shape[0], kernel_shape[0], *(get_conv_shape_1axis(*each) for each in along))


__all__ = [
    "AbstractConv2d",
    "AbstractConv2d_gradInputs",
    "AbstractConv2d_gradWeights",
    "conv2d",
    "conv2d_grad_wrt_inputs",
    "conv2d_grad_wrt_weights",
    "conv2d_transpose",
    "get_conv_output_shape",
    "get_conv_shape_1axis",
]
__all__ += upsampling.__all__
