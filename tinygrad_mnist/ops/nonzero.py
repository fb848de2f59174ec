"""Host ops that give the indices of elements: how many there are depends on values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, Params
from tinygrad_mnist.errors import IndexOutOfRangeError, ShapeError
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.types import tensor_type
from tinygrad_mnist.graph.variables import HostValues, Node, Op, Variable

_INDICES = tensor_type("int64", (False,))

# an array -> an index vector per axis: where it isn't 0, in C order
NONZERO = register_op(
    Op(
        "nonzero",
        lambda params, types: [_INDICES] * types[0].ndim,
        None,
        host=lambda params, arrays: np.nonzero(arrays[0]),
    )
)


def _repeated_indices(params: Params, arrays: Sequence[Array]) -> list[Array]:
    repeats, length = arrays
    if len(repeats) not in (1, length) or (len(repeats) and repeats.min() < 0):
        raise ShapeError(f"repeats {repeats} for an axis of length {length}: one number >= 0 each")
    return [np.repeat(np.arange(int(length)), repeats)]


# how often to repeat each element of an axis, the axis's length -> the indices that do it
REPEATED_INDICES = register_op(
    Op("repeated_indices", lambda params, types: [_INDICES], None, host=_repeated_indices)
)


# --- masks ----------------------------------------------------------------------------------------


def _mask_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    indices, mask, x = inputs
    first: int = node.params["axis"]
    lengths = x.type.static_shape[first : first + mask.ndim]
    if mask.type.static_shape != lengths:
        raise IndexOutOfRangeError(
            f"a mask of shape {mask.type.static_shape} doesn't fit axes of lengths {lengths}"
        )
    return [indices]


# index vector of a mask, the mask, the array that it indexes -> the vector; the shapes of both must
# agree from params["axis"] on
MASK_INDICES = register_op(
    Op(
        "mask_indices",
        lambda params, types: [types[0]],
        None,
        specialise=_mask_specialise,
        infix=lambda node, written: written(node.inputs[0]),
    )
)


def mask_indices(mask: Variable, x: Variable, axis: int) -> list[Variable]:
    """The index vectors for which `x[..., mask]` is `x[..., *vectors]`; `axis` is the first of the
    axes that the mask is for."""
    return [MASK_INDICES(v, mask, x, axis=axis) for v in NONZERO.node(mask).outputs]
