"""Slices of arrays whose shape is known, and arrays that are made of slices.

`static_slice` is a view. `assemble` is its counterpart: an array that starts as a copy of another
one, or uninitialised, and has parts written into slices of it. A join, the gradient of a slice and
`set_subtensor` all become this one op, and a plan writes every part directly into the array.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.graph.layout import StaticSlice
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.types import TensorType, static_type
from tinygrad_mnist.graph.variables import Op, Variable

# --- a slice ----------------------------------------------------------------------------------


def _static_slice_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [static_type(types[0].dtype, params["region"].shape, params["broadcastable"])]


def _static_slice_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [np.asarray(inputs[0][params["region"].key()])]


STATIC_SLICE = register_op(
    Op(
        "static_slice",
        _static_slice_infer,
        _static_slice_reference,
        view=lambda params, layout: params["region"].layout(layout),
    )
)


def static_slice(x: Variable, region: StaticSlice, broadcastable: tuple[bool, ...]) -> Variable:
    """The slice of `x`, an array of known shape; `x` itself where that is all of it."""
    if region.covers(x.type.static_shape) and broadcastable == x.broadcastable:
        return x
    return STATIC_SLICE(x, region=region, broadcastable=broadcastable)


# --- an array made of slices ------------------------------------------------------------------


def _assemble_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    shape = params["shape"]
    parts = types[1:] if params["has_base"] else types
    if params["has_base"] and types[0].static_shape != shape:
        raise ShapeError(
            f"an array of shape {types[0].static_shape} can't be the base of one with {shape}"
        )
    for region, part in zip(params["regions"], parts, strict=True):
        if part.static_shape != region.shape:
            raise ShapeError(f"a part of shape {part.static_shape} doesn't fill {region.shape}")
    return [static_type(types[0].dtype, shape, params["broadcastable"])]


def _assemble_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    result = np.empty(outputs[0].shape, outputs[0].dtype)
    parts = list(inputs)
    if params["has_base"]:
        result[...] = parts.pop(0)
    for region, part in zip(params["regions"], parts, strict=True):
        result[region.key()] = part
    return [result]


# [base,] parts -> the base with each part written at its region. No two regions have an element
# in common, and without a base they cover everything. params regions, has_base, shape,
# broadcastable
ASSEMBLE = register_op(Op("assemble", _assemble_infer, _assemble_reference))


def assemble(
    base: Variable | None,
    parts: Sequence[tuple[Variable, StaticSlice]],
    shape: tuple[int, ...],
    broadcastable: tuple[bool, ...],
) -> Variable:
    """An array of a known shape: `base` with parts written over it, or parts that cover it all. No
    two regions have an element in common."""
    inputs = [part for part, _ in parts]
    return ASSEMBLE(
        *([] if base is None else [base]),
        *inputs,
        regions=tuple(region for _, region in parts),
        has_base=base is not None,
        shape=shape,
        broadcastable=broadcastable,
    )
