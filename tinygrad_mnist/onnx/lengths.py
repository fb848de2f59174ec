"""Lengths that are known before a function runs: those of inputs whose shape is declared, and what
follows from them.

The engine finds all lengths when a function is called. Here some stay open, such as the batch's.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from tinygrad_mnist.graph.match import made_by
from tinygrad_mnist.graph.source import on_behalf_of
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.types import INTEGERS, TensorType
from tinygrad_mnist.graph.variables import Constant, Node, Variable
from tinygrad_mnist.ops.keys import with_operands

Lengths = list[int | None]


def with_lengths(outputs: Sequence[Variable]) -> list[Variable]:
    """The same graph, in which types have the lengths that are known, and integers that follow from
    these are constants."""
    mapped: dict[Variable, Variable] = {}
    for node in toposort(outputs):
        inputs = [mapped.get(v, v) for v in node.inputs]
        with on_behalf_of(node.origins):
            copy = node.op.rebuild(inputs, node.params)
        for old, v in zip(node.outputs, copy.outputs, strict=True):
            value = number(v)
            if value is not None:
                mapped[old] = Constant(np.asarray(value, v.dtype))
                continue
            v.name = old.name
            if v.index == 0 and copy.op.name in _RULES:
                v.type = _refined(v.type, _RULES[copy.op.name](copy))
            mapped[old] = v
    return [mapped.get(v, v) for v in outputs]


def _refined(type: TensorType, lengths: Lengths) -> TensorType:
    both = (n if m is None else m for n, m in zip(lengths, type.shape, strict=True))
    return TensorType(type.dtype, type.broadcastable, tuple(both))


def number(v: Variable) -> int | None:
    """The value of an integer scalar, if it is known."""
    if v.ndim or v.dtype not in INTEGERS:
        return None
    if isinstance(v, Constant):
        return int(v.value)
    node = v.node
    if node is None:
        return None
    if node.op.name == "subtensor" and node.params["index"] == (("index",),):
        shape, index = made_by(node.inputs[0], "shape"), number(node.inputs[1])
        return None if shape is None or index is None else shape.inputs[0].type.shape[index]
    values = [number(x) for x in node.inputs]
    if node.op.tape_op is None or None in values:
        return None
    arrays = [np.asarray(n, x.dtype) for n, x in zip(values, node.inputs, strict=True)]
    return int(node.op.evaluate(node, arrays)[0])


def is_length(v: Variable, x: Variable, axis: int) -> bool:
    """Whether `v` is the length of this axis of `x`."""
    picked = made_by(v, "subtensor")
    if picked is None or picked.params["index"] != (("index",),):
        return False
    shape = made_by(picked.inputs[0], "shape")
    return shape is not None and shape.inputs[0] is x and number(picked.inputs[1]) == axis


# --- ops whose types have no lengths --------------------------------------------------------------


def _alloc(node: Node) -> Lengths:
    return [number(n) for n in node.inputs[1:]]


def _reshape(node: Node) -> Lengths:
    """A -1 is what remains, if the only open length is one that stays where it is."""
    x, *lengths = node.inputs
    known = [number(n) for n in lengths]
    rest = list(x.type.shape)
    for axis, n in enumerate(lengths):
        if axis < x.ndim and known[axis] is None and is_length(n, x, axis):
            rest[axis] = 1
    if known.count(-1) == 1:
        others = prod(n for n in known if n not in (None, -1))
        size = [n for n in rest if n is not None]
        left = prod(size) // others if len(size) == len(rest) and others else None
        known[known.index(-1)] = left
    return known


def _subtensor(node: Node) -> Lengths:
    x, *operands = node.inputs
    lengths: Lengths = []
    axis = 0
    for entry, given in with_operands(node.params["index"], operands):
        n = x.type.shape[axis] if entry[0] in ("slice", "index") else None
        if entry[0] == "array":
            return [None] * node.outputs[0].ndim
        if entry[0] == "slice":
            bounds = [number(v) for v in given]
            is_open = n is None or None in bounds or entry[3] is None
            start, stop = (bounds.pop(0) if has else None for has in entry[1:3])
            lengths.append(None if is_open else len(range(n or 0)[start : stop : entry[3]]))
        elif entry[0] == "new":
            lengths.append(1)
        axis += entry[0] in ("slice", "index")
    return lengths


_RULES = {"alloc": _alloc, "reshape": _reshape, "subtensor": _subtensor}
