"""How many values a layer gives for an image, read from its symbolic output."""

from __future__ import annotations

import math

from tinygrad_mnist.compile.specialise import ValuesNeededError, specialise
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.traversal import leaves
from tinygrad_mnist.graph.variables import Constant, Variable


def values_per_image(
    output: Variable, x: Variable, mini_batch_size: int, pixels: int
) -> int | None:
    """The number of values that `output` has for an image; see `shape_of`."""
    shape = shape_of(output, x, mini_batch_size, pixels)
    return math.prod(shape) // mini_batch_size if shape else None


def shape_of(
    output: Variable, x: Variable, mini_batch_size: int, pixels: int
) -> tuple[int, ...] | None:
    """The shape of an output for a mini-batch x of images with so many pixels; None where it
    depends on values that aren't known before the network runs.

    Raises ShapeError, with the user's line, where shapes in the layer don't fit each other.
    """
    shapes: dict[Variable, tuple[int, ...]] = {}
    scalars: dict[Variable, int] = {}
    for leaf in leaves([output]):
        if leaf is x:
            shapes[leaf] = (mini_batch_size, pixels)
        elif isinstance(leaf, SharedVariable):
            value = leaf.host_array
            shapes[leaf] = value.shape
            if value.ndim == 0 and leaf.type.is_discrete:
                scalars[leaf] = int(value)
        elif not isinstance(leaf, Constant):
            return None
    try:
        (found,) = specialise([output], shapes, scalars).outputs
    except ValuesNeededError:
        return None
    shape = tuple(n for n in found.type.shape if n is not None)
    return shape if len(shape) == found.ndim else None
