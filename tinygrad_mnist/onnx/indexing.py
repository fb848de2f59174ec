"""Indexing: `x[key]`, and what writes to it."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.graph.match import constant_value, made_by
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.onnx.convert import Converter, rule, unsupported
from tinygrad_mnist.onnx.graph import Graph, Value
from tinygrad_mnist.onnx.shapes import vector
from tinygrad_mnist.ops.keys import FULL, Entry, array_position, with_operands

_LAST = 2**63 - 1  # a bound behind every element
_FIRST = -(2**63)  # and one before


class _Key:
    """A key, applied to values in ONNX: slices first, then single indices, then index arrays."""

    def __init__(self, c: Converter, node: Node, operands: Sequence[Variable]) -> None:
        self._c = c
        self._node = node
        self._index: tuple[Entry, ...] = node.params["index"]
        self._pairs = [
            (entry, given)
            for entry, given in with_operands(self._index, operands)
            if entry[0] in ("slice", "index", "array")
        ]

    def of(self, x: Value) -> Value:
        g = self._c.graph
        x = self._sliced(x)
        axes = [entry[0] for entry, _ in self._pairs]
        for axis in reversed(range(len(axes))):
            if axes[axis] == "index":
                (index,) = self._pairs[axis][1]
                x = g.call("Gather", x, g.cast(self._c.value(index), "int64"), axis=axis)
                del axes[axis]
        arrays = [axis for axis, kind in enumerate(axes) if kind == "array"]
        if arrays:
            x = self._picked(x, len(axes), arrays)
        new = [i for i, kind in enumerate(self._axes_of_result()) if kind == "new"]
        return g.unsqueeze(x, new)

    def _axes_of_result(self) -> list[str]:
        """Per axis of the result, what of the key it comes from."""
        axes = [entry[0] for entry in self._index if entry[0] in ("slice", "new")]
        arrays = [given[0] for entry, given in self._pairs if entry[0] == "array"]
        at = array_position(self._index)
        axes[at:at] = ["array"] * max((v.ndim for v in arrays), default=0)
        return axes

    def _sliced(self, x: Value) -> Value:
        g = self._c.graph
        bounds: list[list[Value]] = []
        for axis, (entry, given) in enumerate(self._pairs):
            if entry[0] != "slice" or entry == FULL:
                continue
            numbers = [vector(self._c, [v]) for v in given]
            step = g.integers([entry[3]]) if entry[3] is not None else numbers.pop()
            forward = None if step.array is None else bool(step.array[0] > 0)
            if forward is None and not (entry[1] and entry[2]):
                raise unsupported(self._node, "a slice with a symbolic step needs both bounds")
            start = numbers.pop(0) if entry[1] else g.integers([0 if forward else _LAST])
            stop = numbers.pop(0) if entry[2] else g.integers([_LAST if forward else _FIRST])
            bounds.append([start, stop, g.integers([axis]), step])
        if not bounds:
            return x
        joined = [_joined(self._c, parts) for parts in zip(*bounds, strict=True)]
        return g.call("Slice", x, *joined)

    def _picked(self, x: Value, ndim: int, arrays: list[int]) -> Value:
        """The elements at index arrays along the axes `arrays` of x, which has `ndim` axes."""
        g = self._c.graph
        given = [operands[0] for entry, operands in self._pairs if entry[0] == "array"]
        indices = [g.cast(self._c.value(v), "int64") for v in given]
        n_common = max(v.ndim for v in given)
        at = sum(kind == "slice" for kind in self._axes_of_result()[: array_position(self._index)])
        if len(indices) == 1:
            picked, before = g.call("Gather", x, indices[0], axis=arrays[0]), arrays[0]
        else:
            rest = [axis for axis in range(ndim) if axis not in arrays]
            shape = _common_shape(self._c, indices)
            columns = [g.unsqueeze(g.call("Expand", v, shape), [n_common]) for v in indices]
            places = g.call("Concat", *columns, axis=n_common)
            picked = g.call("GatherND", g.transpose(x, [*arrays, *rest]), places)
            before = 0
        n = ndim - len(arrays) + n_common
        common = list(range(before, before + n_common))
        order = [axis for axis in range(n) if axis not in common]
        order[at:at] = common
        return g.transpose(picked, order)


def _common_shape(c: Converter, indices: Sequence[Value]) -> Value:
    """The shape to which index arrays broadcast."""
    total = indices[0]
    for v in indices[1:]:
        total = c.graph.call("Add", total, v)
    return c.graph.shape(total)


def _joined(c: Converter, parts: Sequence[Value]) -> Value:
    arrays = [v.array for v in parts if v.array is not None]
    if len(arrays) == len(parts):
        return c.graph.integers([int(a[0]) for a in arrays])
    return c.graph.call("Concat", *parts, axis=0) if len(parts) > 1 else parts[0]


@rule("subtensor")
def _subtensor(c: Converter, node: Node) -> list[Value]:
    x, *operands = node.inputs
    return [_Key(c, node, operands).of(c.value(x))]


@rule("inc_subtensor", "set_subtensor")
def _write(c: Converter, node: Node) -> list[Value]:
    """The key picks from the numbers of all elements, and the value goes to those."""
    g = c.graph
    x, value, *operands = node.inputs
    is_sum = node.op.name == "inc_subtensor"
    padded = None if is_sum else _padded(c, node)
    if padded is not None:
        return [padded]
    target = c.value(x)
    shape = g.shape(target)
    size = g.call("ReduceProd", shape, keepdims=0)
    numbers = g.call("Range", g.constant(0, "int64"), size, g.constant(1, "int64"))
    places = _Key(c, node, operands).of(g.call("Reshape", numbers, shape, allowzero=1))
    filling = g.call("Expand", c.value(value), g.shape(places))
    flat = [g.reshape(v, [-1]) for v in (target, places, filling)]
    if is_sum:
        written = g.call("ScatterElements", *flat, axis=0, reduction="add")
    elif ("array",) in node.params["index"]:
        written = _last_written(g, *flat)
    else:
        written = g.call("ScatterElements", *flat, axis=0)
    return [g.call("Reshape", written, shape, allowzero=1)]


def _last_written(g: Graph, x: Value, places: Value, values: Value) -> Value:
    """The vector `x` with `values` at `places`; where a place comes again, its last value. ONNX
    leaves open which one stays, so the number of the last is found first."""
    zero, one = g.constant(0, "int64"), g.constant(1, "int64")
    count = g.call("ReduceProd", g.shape(values), keepdims=0)
    nowhere = g.call("Expand", g.constant(-1, "int64"), g.shape(x))
    numbers = g.call("Range", zero, count, one)
    last = g.call("ScatterElements", nowhere, places, numbers, axis=0, reduction="max")
    # An element behind the values, the number -1, is there also if there are no values.
    padded = g.call("Concat", values, g.constant([0], values.dtype), axis=0)
    picked = g.call("Gather", padded, last, axis=0)
    is_kept = g.call("Less", last, zero, dtype="bool")
    return g.call("Where", is_kept, x, picked, dtype=x.dtype)


def _padded(c: Converter, node: Node) -> Value | None:
    """A value written into the middle of an array of one number, as padding; None for others."""
    x, value, *operands = node.inputs
    filled = made_by(x, "alloc")
    number = None if filled is None else constant_value(filled.inputs[0])
    if filled is None or number is None or any(value.broadcastable):
        return None
    before, behind = [], []
    pairs = with_operands(node.params["index"], operands)
    if len(pairs) != x.ndim:
        return None
    for (entry, bounds), length in zip(pairs, filled.inputs[1:], strict=True):
        if entry == FULL:
            before.append(0)
            behind.append(0)
            continue
        n, given = c.known(length), [c.known(v) for v in bounds]
        if entry[0] != "slice" or entry[3] != 1 or n is None or None in given:
            return None
        start, stop = (given.pop(0) if has else None for has in entry[1:3])
        covered = range(n)[start:stop]
        before.append(covered.start)
        behind.append(n - covered.stop)
    pads = c.graph.integers([*before, *behind])
    return c.graph.call("Pad", c.value(value), pads, c.graph.constant(number, x.dtype))
