"""Theano's `tensor.nnet.abstract_conv`: convolution in two dimensions and its gradients."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.values import choice, integer, is_integer, several, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.shape import as_integer_scalar, dimshuffle, integer_pair
from tinygrad_mnist.tensor.nnet import upsampling
from tinygrad_mnist.tensor.nnet.convolution import (
    AbstractConv2d,
    AbstractConv2d_gradInputs,
    AbstractConv2d_gradWeights,
    border_of,
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


# --- convolutions made of `conv2d` ----------------------------------------------------------------


def separable_conv2d(
    input: Any,
    depthwise_filters: Any,
    pointwise_filters: Any,
    num_channels: int,
    input_shape: Any = None,
    depthwise_filter_shape: Any = None,
    pointwise_filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: Any = (1, 1),
    filter_flip: bool = True,
    filter_dilation: Any = (1, 1),
) -> Variable:
    """A convolution of each channel with filters of its own, then one of all channels with filters
    of one pixel.

    input: (batch, num_channels, height, width). depthwise_filters: (num_channels * m, 1, h, w).
    pointwise_filters: (filters, num_channels * m, 1, 1). The other arguments are those of `conv2d`,
    for the first convolution. Returns (batch, filters, height, width). Raises GraphTypeError,
    ShapeError.
    """
    of_channels = conv2d(
        input,
        depthwise_filters,
        input_shape,
        depthwise_filter_shape,
        border_mode,
        subsample,
        filter_flip,
        filter_dilation=filter_dilation,
        num_groups=num_channels,
    )
    return conv2d(of_channels, pointwise_filters, filter_shape=pointwise_filter_shape)


def causal_conv1d(
    input: Any,
    filters: Any,
    filter_shape: Any,
    input_shape: Any = None,
    subsample: int = 1,
    filter_flip: bool = True,
    filter_dilation: int = 1,
    num_groups: int = 1,
    unshared: bool = False,
) -> Variable:
    """A convolution along time whose result at each time depends on that and on earlier times.

    input: (batch, channels, time). filters: (filters, channels / num_groups, length). filter_shape:
    of the filters; its length is a number. The other arguments are those of `conv2d`, along one
    axis. Returns (batch, filters, time). Raises GraphTypeError, ShapeError.
    """
    x, w = as_variable(input), as_variable(filters)
    for v, name in ((x, "input"), (w, "filters")):
        if v.ndim != 3:
            raise GraphTypeError(f"{name} has to have three dimensions; it is {v.type}")
    images_shape, lengths = (
        None if shape is None else [*several(shape, what, "three lengths"), 1]
        for shape, what in ((input_shape, "input_shape"), (filter_shape, "filter_shape"))
    )
    if lengths is None or len(lengths) != 4 or lengths[2] is None:
        raise ArgumentError(f"filter_shape is {shown(filter_shape)}; it has to give the length")
    spacing = integer(filter_dilation, "filter_dilation", 1)
    before = spacing * (integer(lengths[2], "the length in filter_shape", 1) - 1)
    y = conv2d(
        dimshuffle(x, 0, 1, 2, "x"),
        dimshuffle(w, 0, 1, 2, "x"),
        images_shape,
        lengths,
        border_mode=((before, 0), (0, 0)),
        subsample=(integer(subsample, "subsample", 1), 1),
        filter_flip=filter_flip,
        filter_dilation=(spacing, 1),
        num_groups=num_groups,
        unshared=unshared,
    )
    return y[:, :, :, 0]


# --- shapes of results ----------------------------------------------------------------------------


def _length(value: Any, what: str) -> Any:
    """A length as a number, an integer scalar or None."""
    return value if value is None or is_integer(value) else as_integer_scalar(value, what)


def get_conv_shape_1axis(
    image_shape: Any, kernel_shape: Any, border_mode: Any, subsample: int, dilation: int = 1
) -> Any:
    """The length of a convolution's result along one axis, None where one of the lengths is None.

    image_shape, kernel_shape: ints or integer scalars. border_mode: 'valid', 'full', 'half', an
    int, or a pair (before, after). Raises GraphTypeError.
    """
    n, taps = _length(image_shape, "image_shape"), _length(kernel_shape, "kernel_shape")
    stride, spacing = integer(subsample, "subsample", 1), integer(dilation, "dilation", 1)
    is_named = isinstance(border_mode, str)
    if is_named:
        choice(border_mode, ("valid", "full", "half"), "border_mode")
    before, after = (0, 0) if is_named else integer_pair(border_mode, "border_mode", 0)
    if n is None or taps is None:
        return None
    size = (taps - 1) * spacing + 1
    if is_named:
        before = after = {"valid": 0, "full": size - 1, "half": size // 2}[border_mode]
    return (n + before + after - size) // stride + 1


def get_conv_output_shape(
    image_shape: Any,
    kernel_shape: Any,
    border_mode: Any,
    subsample: Any,
    filter_dilation: Any = None,
) -> tuple[Any, ...]:
    """The shape of `conv2d`'s result: of images (batch, channels, height, width) and filters
    (filters, channels, h, w); lengths may be ints, integer scalars or None. The other arguments are
    those of `conv2d`. Raises GraphTypeError."""
    images, filters = (
        several(shape, what, "four lengths")
        for shape, what in ((image_shape, "image_shape"), (kernel_shape, "kernel_shape"))
    )
    if len(images) != 4 or len(filters) != 4:
        raise ArgumentError(
            f"image_shape and kernel_shape have {len(images)} and {len(filters)} "
            "lengths; both have four"
        )
    border, zeros = border_of(border_mode)
    borders = [
        border if isinstance(border, str) else (border[k] + zeros[k][0], border[k] + zeros[k][1])
        for k in (0, 1)
    ]
    strides = integer_pair(subsample, "subsample", 1)
    dilation = (1, 1) if filter_dilation is None else filter_dilation
    dilations = integer_pair(dilation, "filter_dilation", 1)
    return (
        _length(images[0], "the batch"),
        _length(filters[0], "the number of filters"),
        *(
            get_conv_shape_1axis(
                images[2 + k], filters[2 + k], borders[k], strides[k], dilations[k]
            )
            for k in (0, 1)
        ),
    )


__all__ = [
    "AbstractConv2d",
    "AbstractConv2d_gradInputs",
    "AbstractConv2d_gradWeights",
    "causal_conv1d",
    "conv2d",
    "conv2d_grad_wrt_inputs",
    "conv2d_grad_wrt_weights",
    "conv2d_transpose",
    "get_conv_output_shape",
    "get_conv_shape_1axis",
    "separable_conv2d",
]
__all__ += upsampling.__all__
