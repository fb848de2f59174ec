"""Ops on shapes and axes: reshape, dimshuffle, alloc, joins, ranges, orders."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.graph.types import compute_dtype
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.onnx.convert import Converter, rule
from tinygrad_mnist.onnx.graph import Value
from tinygrad_mnist.onnx.lengths import is_length


@rule("rebroadcast", "specify_shape", "mask_indices")
def _unchanged(c: Converter, node: Node) -> list[Value]:
    """What the engine checks, that shapes are as they are said to be, is left to the reader."""
    return [c.value(node.inputs[0])]


@rule("shape")
def _shape(c: Converter, node: Node) -> list[Value]:
    return [c.graph.shape(c.value(node.inputs[0]))]


def vector(c: Converter, scalars: Sequence[Variable]) -> Value:
    """Integer scalars as one vector of int64."""
    known = [c.known(v) for v in scalars]
    if None not in known:
        return c.graph.integers([n for n in known if n is not None])
    parts = [c.graph.unsqueeze(c.graph.cast(c.value(v), "int64"), [0]) for v in scalars]
    return parts[0] if len(parts) == 1 else c.graph.call("Concat", *parts, axis=0)


@rule("reshape")
def _reshape(c: Converter, node: Node) -> list[Value]:
    """A length that is that of the same axis of the input is written as 0, and one other that is
    computed as -1, so that the usual shapes are constants."""
    x, *lengths = node.inputs
    entries: list[int | None] = []
    for axis, v in enumerate(lengths):
        is_same = axis < x.ndim and is_length(v, x, axis)
        entries.append(0 if is_same else c.known(v))
    copied = [axis for axis, n in enumerate(entries) if n == 0]
    has_empty = any(c.known(lengths[axis]) == 0 for axis in copied)
    if entries.count(None) == 1 and -1 not in entries and not has_empty:
        entries[entries.index(None)] = -1
    if None not in entries and not (has_empty and -1 in entries):
        shape = c.graph.integers([n for n in entries if n is not None])
        if has_empty:
            return [c.graph.call("Reshape", c.value(x), vector(c, lengths), allowzero=1)]
        return [c.graph.call("Reshape", c.value(x), shape)]
    return [c.graph.call("Reshape", c.value(x), vector(c, lengths), allowzero=1)]


@rule("dimshuffle")
def _dimshuffle(c: Converter, node: Node) -> list[Value]:
    (x,), pattern = node.inputs, node.params["pattern"]
    kept = [p for p in pattern if p != "x"]
    left = sorted(kept)
    dropped = [axis for axis in range(x.ndim) if axis not in left]
    value = c.graph.squeeze(c.value(x), dropped)
    value = c.graph.transpose(value, [left.index(p) for p in kept])
    return [c.graph.unsqueeze(value, [i for i, p in enumerate(pattern) if p == "x"])]


@rule("alloc")
def _alloc(c: Converter, node: Node) -> list[Value]:
    x, *lengths = node.inputs
    if not lengths:
        return [c.value(x)]
    return [c.graph.call("Expand", c.value(x), vector(c, lengths))]


@rule("join")
def _join(c: Converter, node: Node) -> list[Value]:
    return [c.graph.call("Concat", *c.values(node.inputs), axis=node.params["axis"])]


@rule("split")
def _split(c: Converter, node: Node) -> list[Value]:
    x, *sizes = node.inputs
    given = [c.value(x), vector(c, sizes)]
    return c.graph.calls_of("Split", given, len(sizes), axis=node.params["axis"])


@rule("arange", "float_arange")
def _arange(c: Converter, node: Node) -> list[Value]:
    compute = "int64" if node.op.name == "arange" else node.inputs[0].dtype
    given = [c.graph.cast(v, compute) for v in c.values(node.inputs)]
    return [c.graph.cast(c.graph.call("Range", *given), node.params["dtype"])]


@rule("nonzero")
def _nonzero(c: Converter, node: Node) -> list[Value]:
    """ONNX has the indices of all axes as one matrix."""
    x, ndim = c.value(node.inputs[0]), node.inputs[0].ndim
    indices = c.graph.call("NonZero", c.graph.cast(x, "bool"), dtype="int64")
    return [
        c.graph.call("Gather", indices, c.graph.constant(axis, "int64"), axis=0)
        for axis in range(ndim)
    ]


@rule("argsort")
def _argsort(c: Converter, node: Node) -> list[Value]:
    """Of equal elements the first comes first in TopK too."""
    g, axis = c.graph, node.params["axis"]
    x = c.value(node.inputs[0])
    x = g.cast(x, compute_dtype(x.dtype))
    length = g.call("Gather", g.shape(x), g.integers([axis]), axis=0)
    order = {"axis": axis, "largest": 0, "sorted": 1}
    return [g.calls_of("TopK", [x, length], 2, "int64", **order)[1]]
