"""Theano's `tensor.signal.conv`: convolutions of images without channels."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.values import several, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.shape import dimshuffle
from tinygrad_mnist.tensor.nnet import abstract_conv


def _with_channel(x: Any, shape: Any, name: str) -> tuple[Variable, tuple[Any, ...] | None]:
    """A matrix or several as images of one channel, and their declared shape."""
    variable = as_variable(x)
    if variable.ndim not in (2, 3):
        raise GraphTypeError(f"{name} has to be a matrix or have three axes; it is {variable.type}")
    lengths = None if shape is None else several(shape, f"the shape of {name}")
    if lengths is not None and len(lengths) != variable.ndim:
        raise ArgumentError(
            f"the shape of {name} is {shown(shape)}; it has {variable.ndim} numbers"
        )
    images = dimshuffle(variable, *("x", "x", 0, 1) if variable.ndim == 2 else (0, "x", 1, 2))
    if lengths is None:
        return images, None
    return images, (1 if variable.ndim == 2 else lengths[0], 1, *lengths[-2:])


def conv2d(
    input: Any,
    filters: Any,
    image_shape: Any = None,
    filter_shape: Any = None,
    border_mode: Any = "valid",
    subsample: tuple[int, int] = (1, 1),
    **options: Any,
) -> Variable:
    """Convolves an image (height, width), or several (images, height, width), with a flipped filter
    (h, w), or with several (filters, h, w).

    image_shape, filter_shape: two or three lengths, with None for unknown ones. border_mode,
    subsample: as of `nnet.conv2d`. options: as of `nnet.conv2d`.

    Returns (images, filters, height, width) without the axes that its operands lack. Raises
    GraphTypeError, ShapeError.
    """
    images, images_shape = _with_channel(input, image_shape, "input")
    flipped, filters_shape = _with_channel(filters, filter_shape, "filters")
    y = abstract_conv.conv2d(
        images, flipped, images_shape, filters_shape, border_mode, subsample, **options
    )
    kept = [axis for axis, v in ((0, input), (1, filters)) if as_variable(v).ndim == 3]
    return dimshuffle(y, *kept, 2, 3)


__all__ = ["conv2d"]
