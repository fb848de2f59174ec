"""Windows along an axis of an array whose shape is known, and their sum back into the array.

A convolution with a dilated filter and the neighbourhoods of pixels are made of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.graph.layout import Layout, StaticSlice, all_disjoint
from tinygrad_mnist.graph.op import constant, register_op
from tinygrad_mnist.graph.types import TensorType, static_type
from tinygrad_mnist.graph.variables import Op, Variable
from tinygrad_mnist.ops.elementwise import add
from tinygrad_mnist.ops.shape import static_broadcast, static_reshape
from tinygrad_mnist.ops.slices import assemble, static_slice


def free(ndim: int) -> tuple[bool, ...]:
    """The flags of a type that broadcasts along no axis."""
    return (False,) * ndim


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    (x,) = types
    axis = params["axis"]
    shape = x.static_shape
    lengths = (*shape[:axis], params["count"], params["size"], *shape[axis + 1 :])
    return [static_type(x.dtype, lengths, free(len(lengths)))]


def _reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    first = np.arange(params["count"]) * params["step"]
    index = first[:, None] + np.arange(params["size"]) * params["dilation"]
    return [np.asarray(np.take(inputs[0], index, axis=params["axis"]))]


def _view(params: Params, layout: Layout) -> Layout:
    axis = params["axis"]
    shape, strides = layout.shape, layout.strides
    return layout.rearranged(
        (*shape[:axis], params["count"], params["size"], *shape[axis + 1 :]),
        (
            *strides[:axis],
            strides[axis] * params["step"],
            strides[axis] * params["dilation"],
            *strides[axis + 1 :],
        ),
    )


_WINDOWS = register_op(Op("windows", _infer, _reference, view=_view))


def windows(
    x: Variable, axis: int, count: int, size: int, step: int, dilation: int = 1
) -> Variable:
    """A view with two axes in place of `axis`: element (i, t) is element i * step + t * dilation.
    Windows may overlap; all are inside the array."""
    return _WINDOWS(x, axis=axis, count=count, size=size, step=step, dilation=dilation)


def sum_of_windows(v: Variable, axis: int, n: int, step: int, dilation: int = 1) -> Variable:
    """The adjoint of `windows`: an array with one axis of length n in place of `axis` and the next,
    whose element k is the sum of the elements (i, t) of `v` with i * step + t * dilation = k."""
    shape = v.type.static_shape
    count, size = shape[axis : axis + 2]
    result = (*shape[:axis], n, *shape[axis + 2 :])
    if dilation == 1 and step == size and n == count * size:  # they are side by side
        return static_reshape(v, result, free(len(result)))
    of_windows = count <= size
    stride, spacing = (dilation, step) if of_windows else (step, dilation)
    parts = []
    for k in range(min(count, size)):
        taken = StaticSlice.whole(shape).along(axis if of_windows else axis + 1, k, 1)
        dropped = axis if of_windows else axis + 1
        taken = taken._replace(kept=tuple(a for a in range(v.ndim) if a != dropped))
        part = static_slice(v, taken, free(len(result)))
        region = StaticSlice.whole(result).along(axis, k * spacing, max(count, size))
        steps = (*region.steps[:axis], stride, *region.steps[axis + 1 :])
        parts.append((part, region._replace(steps=steps)))
    total = static_broadcast(constant(0, v.dtype), result)
    if all_disjoint([region for _, region in parts], axis):
        return assemble(total, parts, result, free(len(result)))
    for part, region in parts:
        grown = add(static_slice(total, region, free(len(result))), part)
        total = assemble(total, [(grown, region)], result, free(len(result)))
    return total


def framed(x: Variable, frame: Mapping[int, tuple[int, int]]) -> Variable:
    """Along each axis of `frame`, a start and a length n: elements start to start + n - 1. Those
    outside the array are zeros."""
    shape = x.type.static_shape
    whole = list(shape)
    taken, region = StaticSlice.whole(shape), StaticSlice.whole(shape)
    for axis, (start, n) in frame.items():
        first = min(max(start, 0), shape[axis])
        inside = max(min(start + n, shape[axis]) - first, 0)
        taken = taken.along(axis, first, inside)
        region = region.along(axis, first - start if inside else 0, inside)
        whole[axis] = n
    part = static_slice(x, taken, free(x.ndim))
    if part.type.static_shape == tuple(whole):
        return part
    zeros = static_broadcast(constant(0, x.dtype), tuple(whole))
    return assemble(zeros, [(part, region)], tuple(whole), free(x.ndim))
