"""Theano's `tensor.nnet.neighbours`: neighbourhoods of pixels as rows of a matrix."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable, constant
from tinygrad_mnist.graph.values import choice, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.neighbours import IMAGES_OF, MODES, NEIGHBOURHOODS
from tinygrad_mnist.ops.shape import alloc, shape_scalars


def _pair(value: Any, name: str) -> list[Variable]:
    scalars = shape_scalars(value, 2)
    if len(scalars) != 2:
        raise ArgumentError(f"{name} is {shown(value)}; it is a height and a width")
    return scalars


def images2neibs(
    ten4: Any, neib_shape: Any, neib_step: Any = None, mode: str = "valid"
) -> Variable:
    """The neighbourhoods of the pixels of images, as rows.

    ten4: (batch, channels, height, width), of any dtype. neib_shape: height and width of a
    neighbourhood. neib_step: the distances between them, by default neib_shape. Both are ints or
    integer scalars, or a vector of two.

    mode: 'valid': neighbourhoods inside the image, which they cover wholly; 'ignore_borders': what
    is left over at the end is left out; 'half' and 'full': as 'valid', with size // 2 or size - 1
    zeros around the image; 'wrap_centered': centred on every neib_step-th pixel, and continued on
    the other side of the image; the sizes are odd.

    Returns (batch * channels * rows * columns, height * width of a neighbourhood). Raises
    GraphTypeError, ShapeError where neighbourhoods don't fit.
    """
    images = as_variable(ten4)
    if images.ndim != 4:
        raise GraphTypeError(f"ten4 has to have four dimensions; it is {images.type}")
    choice(mode, MODES, "the mode of images2neibs")
    size = _pair(neib_shape, "neib_shape")
    step = size if neib_step is None else _pair(neib_step, "neib_step")
    return NEIGHBOURHOODS(images, *size, *step, mode=mode)


def neibs2images(neibs: Any, neib_shape: Any, original_shape: Any, mode: str = "valid") -> Variable:
    """The inverse of `images2neibs` with neighbourhoods side by side.

    neibs: a matrix. original_shape: the four lengths of the images. mode: 'valid'; or
    'ignore_borders', where pixels outside of neighbourhoods are zeros. Raises GraphTypeError,
    ShapeError.
    """
    rows = as_variable(neibs)
    if rows.ndim != 2:
        raise GraphTypeError(f"neibs has to be a matrix; it is {rows.type}")
    choice(mode, ("valid", "ignore_borders"), "the mode of neibs2images")
    lengths = shape_scalars(original_shape, 4)
    if len(lengths) != 4:
        raise ArgumentError(f"original_shape is {shown(original_shape)}; it has four lengths")
    size = _pair(neib_shape, "neib_shape")
    like = alloc(constant(0, rows.dtype), *lengths)
    return IMAGES_OF(rows, like, *size, *size, mode=mode)


class Images2Neibs:
    """`Images2Neibs(mode)(ten4, neib_shape, neib_step)` is `images2neibs`."""

    def __init__(self, mode: str = "valid") -> None:
        self.mode = choice(mode, MODES, "the mode of Images2Neibs")

    def __call__(self, ten4: Any, neib_shape: Any, neib_step: Any = None) -> Variable:
        return images2neibs(ten4, neib_shape, neib_step, self.mode)


__all__ = ["Images2Neibs", "images2neibs", "neibs2images"]
