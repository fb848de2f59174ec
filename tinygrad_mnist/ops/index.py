"""Indexing: slices with symbolic bounds, single elements, integer vectors.

A slice is a view whose start is filled in at every call, so `x[i*mb:(i+1)*mb]` copies nothing
and one plan serves every `i`. Integer vectors gather; their gradient scatters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.base import Array, ArraySpec, Params
from tinygrad_mnist.errors import GraphTypeError, ShapeError
from tinygrad_mnist.graph.host import HostValues, Offset
from tinygrad_mnist.graph.layout import Layout
from tinygrad_mnist.graph.op import Op, as_variable, register_op
from tinygrad_mnist.graph.operators import word
from tinygrad_mnist.graph.types import INTEGERS, TensorType, static_type
from tinygrad_mnist.graph.variables import Constant, Node, Variable
from tinygrad_mnist.ops.shape import as_integer_scalar, dimshuffle, length, reshape

# One entry of a subtensor's `index` per axis: ("index",) takes one element and drops the axis,
# ("slice", has_start, has_stop, step) keeps it. The scalars follow the array as inputs.
Entry = tuple[Any, ...]
FULL: Entry = ("slice", False, False, 1)


# --- slices and single elements -----------------------------------------------------------------


def _subtensor_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x = types[0]
    kept = [i for i, e in enumerate(params["index"]) if e[0] == "slice"]
    full = [params["index"][i] == FULL for i in kept]
    return [
        TensorType(
            x.dtype,
            tuple(f and x.broadcastable[i] for i, f in zip(kept, full, strict=True)),
            tuple(x.shape[i] if f else None for i, f in zip(kept, full, strict=True)),
        )
    ]


def _resolve(
    node: Node, scalars: Sequence[Variable], lengths: tuple[int, ...], host: HostValues
) -> dict[str, Any]:
    """Starts, lengths and steps of a subtensor over an array of known shape."""
    remaining = list(scalars)
    starts: list[Offset] = []
    counts: list[int] = []
    steps: list[int] = []
    kept: list[int] = []
    for axis, entry in enumerate(node.params["index"]):
        if entry[0] == "index":
            starts.append(host.index(remaining.pop(0), lengths[axis]))
            counts.append(1)
            steps.append(1)
            continue
        start = remaining.pop(0) if entry[1] else None
        stop = remaining.pop(0) if entry[2] else None
        offset, count = host.slice(start, stop, entry[3], lengths[axis])
        starts.append(offset)
        counts.append(count)
        steps.append(entry[3])
        kept.append(axis)
    return {
        "starts": tuple(starts),
        "lengths": tuple(counts),
        "steps": tuple(steps),
        "kept": tuple(kept),
    }


def _subtensor_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> list[Variable]:
    where = _resolve(node, node.inputs[1:], inputs[0].type.static_shape, host)
    return [STATIC_SLICE(inputs[0], **where, broadcastable=node.outputs[0].broadcastable)]


def _subtensor_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    x, g = node.inputs[0], cotangents[0]
    assert g is not None
    back = _SUBTENSOR_GRAD(x, g, *node.inputs[1:], index=node.params["index"])
    return [back, *(None for _ in node.inputs[1:])]


_SUBTENSOR = register_op(
    Op("subtensor", _subtensor_infer, None, vjp=_subtensor_vjp, specialise=_subtensor_specialise)
)


def _static_slice_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    lengths = tuple(params["lengths"][i] for i in params["kept"])
    return [static_type(types[0].dtype, lengths, params["broadcastable"])]


def _numpy_index(params: Params) -> tuple[Any, ...]:
    index: list[Any] = []
    for axis, (start, n, step) in enumerate(
        zip(params["starts"], params["lengths"], params["steps"], strict=True)
    ):
        if start.slot is not None:
            raise ValueError("the start of this slice is known only when the plan runs")
        if axis not in params["kept"]:
            index.append(start.value)
        else:
            stop = start.value + n * step
            index.append(slice(start.value, stop if stop >= 0 else None, step) if n else slice(0))
    return tuple(index)


def _static_slice_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [np.asarray(inputs[0][_numpy_index(params)])]


def sliced_layout(params: Params, layout: Layout) -> Layout:
    """The layout of the slice described by `starts`, `lengths`, `steps` and `kept`."""
    offset, slots = layout.offset, list(layout.slots)
    for start, stride in zip(params["starts"], layout.strides, strict=True):
        offset += start.value * stride
        if start.slot is not None and stride:
            slots.append((start.slot, stride))
    return Layout(
        tuple(params["lengths"][i] for i in params["kept"]),
        tuple(layout.strides[i] * params["steps"][i] for i in params["kept"]),
        offset,
        tuple(slots),
    )


STATIC_SLICE = register_op(
    Op("static_slice", _static_slice_infer, _static_slice_reference, view=sliced_layout)
)


def _subtensor_grad_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [types[0].with_dtype(types[1].dtype)]


def _subtensor_grad_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> list[Variable]:
    x, g = inputs[:2]
    where = _resolve(node, node.inputs[2:], x.type.static_shape, host)
    return [EMBED(g, **where, shape=x.type.static_shape, broadcastable=x.broadcastable)]


def _subtensor_grad_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    g = cotangents[0]
    assert g is not None
    back = _SUBTENSOR(g, *node.inputs[2:], index=node.params["index"])
    return [None, back, *(None for _ in node.inputs[2:])]


_SUBTENSOR_GRAD = register_op(
    Op(
        "subtensor_grad",
        _subtensor_grad_infer,
        None,
        vjp=_subtensor_grad_vjp,
        specialise=_subtensor_grad_specialise,
    )
)


def _embed_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [static_type(types[0].dtype, params["shape"], params["broadcastable"])]


def _embed_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    result = np.zeros(params["shape"], dtype=inputs[0].dtype)
    result[_numpy_index(params)] = inputs[0]
    return [result]


# An array of zeros with the input written into a slice of it: the gradient of that slice.
EMBED = register_op(Op("embed", _embed_infer, _embed_reference))


# --- integer vectors ----------------------------------------------------------------------------


def _gather_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, first = types[:2]
    n = params["n_index"]
    if len({t.shape[0] for t in types[1:]} - {None}) > 1:
        lengths = ", ".join(str(t.shape[0]) for t in types[1:])
        raise ShapeError(f"index vectors of lengths {lengths} can't index together")
    return [
        TensorType(
            x.dtype,
            (first.broadcastable[0], *x.broadcastable[n:]),
            (first.shape[0], *x.shape[n:]),
        )
    ]


def _gather_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    x, g = node.inputs[0], cotangents[0]
    assert g is not None
    back = _GATHER_GRAD(g, x, *node.inputs[1:])
    return [back, *(None for _ in node.inputs[1:])]


def _gather_checks(node: Node) -> list[tuple[int, int, int]]:
    lengths = node.inputs[0].type.static_shape
    return [(1 + axis, -lengths[axis], lengths[axis]) for axis in range(node.params["n_index"])]


GATHER = register_op(
    Op(
        "gather",
        _gather_infer,
        CONTRACTS["gather"].reference,
        vjp=_gather_vjp,
        contract="gather",
        checks=_gather_checks,
    )
)


def _gather_grad_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> list[Variable]:
    g, x, *index = inputs
    return [
        SCATTER_ADD(
            g,
            *index,
            n_index=len(index),
            shape=x.type.static_shape,
            broadcastable=x.broadcastable,
        )
    ]


def _gather_grad_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    g = cotangents[0]
    assert g is not None
    index = node.inputs[2:]
    return [GATHER(g, *index, n_index=len(index)), None, *(None for _ in index)]


_GATHER_GRAD = register_op(
    Op(
        "gather_grad",
        lambda params, types: [types[1].with_dtype(types[0].dtype)],
        None,
        vjp=_gather_grad_vjp,
        specialise=_gather_grad_specialise,
    )
)


def _scatter_checks(node: Node) -> list[tuple[int, int, int]]:
    lengths = node.params["shape"]
    return [(1 + axis, -lengths[axis], lengths[axis]) for axis in range(node.params["n_index"])]


# Zeros of `shape`, with row i of the first input added at (index_0[i], index_1[i], ...).
SCATTER_ADD = register_op(
    Op(
        "scatter_add",
        _embed_infer,
        CONTRACTS["scatter_add"].reference,
        contract="scatter_add",
        checks=_scatter_checks,
    )
)


def _gather(x: Variable, indices: Sequence[Variable]) -> Variable:
    ndims = {v.ndim for v in indices}
    if len(ndims) != 1:
        raise GraphTypeError("integer arrays that index together need the same number of axes")
    if len(indices) > x.ndim:
        raise GraphTypeError(f"{len(indices)} indices for {x.ndim} dimensions")
    known = {v.type.shape for v in indices if v.type.is_static}
    if len(known) > 1:
        raise ShapeError(f"integer arrays of shapes {sorted(known)} can't index together")
    (ndim,) = ndims
    if ndim == 1:
        return GATHER(x, *indices, n_index=len(indices))
    flat = GATHER(x, *(v.flatten() for v in indices), n_index=len(indices))
    lengths = [length(indices[0], i) for i in range(ndim)]
    rest = [length(flat, i) for i in range(1, flat.ndim)]
    return reshape(flat, [*lengths, *rest])


# --- x[...] ---------------------------------------------------------------------------------


def _is_vector(item: Any) -> bool:
    if isinstance(item, Variable):
        return item.ndim > 0
    return isinstance(item, list | np.ndarray) and np.ndim(item) > 0


def _expand(key: tuple[Any, ...], ndim: int) -> list[Any]:
    """One item per axis (and None per new axis): Ellipsis and what is left out become `:`."""
    used = sum(item is not None and item is not Ellipsis for item in key)
    if used > ndim:
        raise GraphTypeError(f"{used} indices for {ndim} dimensions")
    if sum(item is Ellipsis for item in key) > 1:
        raise GraphTypeError("an index has more than one '...'")
    fill = [slice(None)] * (ndim - used)
    if any(item is Ellipsis for item in key):
        at = next(i for i, item in enumerate(key) if item is Ellipsis)
        return [*key[:at], *fill, *key[at + 1 :]]
    return [*key, *fill]


def _slice_entry(item: slice) -> tuple[Entry, list[Variable]]:
    step = 1 if item.step is None else item.step
    if isinstance(step, Constant):
        step = int(step.value)
    if not isinstance(step, int | np.integer) or step == 0:
        raise GraphTypeError(f"the step of a slice must be a nonzero integer, not {step}")
    bounds = [
        as_integer_scalar(b, "a bound of a slice") for b in (item.start, item.stop) if b is not None
    ]
    return ("slice", item.start is not None, item.stop is not None, int(step)), bounds


@word
def getitem(x: Variable, key: Any) -> Variable:
    """`x[key]`: integers, slices, `...`, None, and integer vectors on the leading axes.

    Bounds and indices may be symbolic integers of the host: function inputs, shapes, and
    arithmetic on them. Raises GraphTypeError for anything else.
    """
    items = _expand(key if isinstance(key, tuple) else (key,), x.ndim)
    if any(_is_vector(item) for item in items):
        vectors = [item for item in items if _is_vector(item)]
        rest = items[len(vectors) :]
        if not all(map(_is_vector, items[: len(vectors)])) or any(
            item != slice(None) for item in rest
        ):
            raise GraphTypeError("integer arrays can index the leading axes only, alone")
        indices = [as_variable(v) for v in vectors]
        for v in indices:
            if v.dtype not in INTEGERS:
                raise GraphTypeError(f"an index array must hold integers, not {v.dtype}")
        return _gather(x, indices)
    index: list[Entry] = []
    scalars: list[Variable] = []
    pattern: list[Any] = []
    for item in items:
        if item is None:
            pattern.append("x")
        elif isinstance(item, slice):
            entry, bounds = _slice_entry(item)
            index.append(entry)
            scalars.extend(bounds)
            pattern.append(sum(p != "x" for p in pattern))
        else:
            index.append(("index",))
            scalars.append(as_integer_scalar(item, "an index"))
    result = x
    if any(entry != FULL for entry in index):
        result = _SUBTENSOR(x, *scalars, index=tuple(index))
    return dimshuffle(result, *pattern)
