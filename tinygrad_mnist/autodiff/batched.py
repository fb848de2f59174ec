"""An expression of rows, computed for all rows at once.

Each op that reads a row is applied to all rows, which are side by side along a new first axis. A
rule per op says how. Ops without a rule can't be computed so; see `map_rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from tinygrad_mnist.graph.op import OPS
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.join import MAX_DIMS
from tinygrad_mnist.ops.keys import FULL, array_position
from tinygrad_mnist.ops.linalg import tensordot
from tinygrad_mnist.ops.shape import alloc, dimshuffle, length


class _Operand(NamedTuple):
    """An input of a node: its value, and whether that has the axis of rows in front."""

    value: Variable
    varies: bool

    @property
    def lifted(self) -> Variable:
        """With an axis in front, which broadcasts where all rows are the same."""
        v = self.value
        return v if self.varies else dimshuffle(v, "x", *range(v.ndim))


Rule = Callable[[Node, Sequence[_Operand], Variable], Sequence[Variable] | None]
_RULES: dict[str, Rule] = {}


def _batches(*ops: str) -> Callable[[Rule], Rule]:
    """Registers the rule of some ops: `(node, operands, number of rows) -> results`, each with the
    axis of rows in front, or None where it can't."""

    def register(rule: Rule) -> Rule:
        _RULES.update(dict.fromkeys(ops, rule))
        return rule

    return register


def batched(
    rows: Mapping[Variable, Variable], results: Sequence[Variable]
) -> list[Variable] | None:
    """`results` for all rows of some arrays, stacked; None where an op has no rule for that.

    rows: variables that stand in `results` for a row of an array, with the arrays.
    """
    values: dict[Variable, Variable] = dict(rows)
    same: dict[Variable, Variable] = {}  # shapes of what varies, which are the same for all rows
    count = length(next(iter(rows.values())), 0)
    for node in toposort(results):
        if not any(v in values or v in same for v in node.inputs):
            continue
        operands = [_Operand(values.get(v, same.get(v, v)), v in values) for v in node.inputs]
        if not any(operand.varies for operand in operands):
            new = node.op.rebuild([operand.value for operand in operands], node.params).outputs
            same.update(zip(node.outputs, new, strict=True))
            continue
        if node.op.name == "shape":
            same[node.outputs[0]] = OPS["shape"](operands[0].value)[1:]
            continue
        made = None
        if all(v.ndim < MAX_DIMS for v in (*node.inputs, *node.outputs)):
            rule = _elementwise if node.op.tape_op else _RULES.get(node.op.name)
            made = rule(node, operands, count) if rule is not None else None
        if made is None:
            return None
        values.update(zip(node.outputs, made, strict=True))
    return [_full(_Operand(values.get(v, same.get(v, v)), v in values), count) for v in results]


def _full(operand: _Operand, count: Variable) -> Variable:
    """With an axis of all rows in front, also where they are the same."""
    v = operand.lifted
    if operand.varies:
        return v
    return alloc(v, count, *_lengths(v, 1))


@_batches("logaddexp", "exp_difference", "mul_log")
def _elementwise(
    node: Node, operands: Sequence[_Operand], count: Variable
) -> Sequence[Variable] | None:
    return node.op.rebuild([operand.lifted for operand in operands], node.params).outputs


@_batches("sum", "prod", "max", "min", "all", "any", "share", "log_share", "rest", "log_rest")
def _over_axes(
    node: Node, operands: Sequence[_Operand], count: Variable
) -> Sequence[Variable] | None:
    axes = tuple(axis + 1 for axis in node.params["axes"])
    return node.op.rebuild([operands[0].value], {**node.params, "axes": axes}).outputs


@_batches("cumsum", "join")
def _along_axis(
    node: Node, operands: Sequence[_Operand], count: Variable
) -> Sequence[Variable] | None:
    params = {**node.params, "axis": node.params["axis"] + 1}
    return node.op.rebuild([_full(operand, count) for operand in operands], params).outputs


@_batches("split")
def _split(node: Node, operands: Sequence[_Operand], count: Variable) -> Sequence[Variable] | None:
    params = {**node.params, "axis": node.params["axis"] + 1}
    return node.op.rebuild([operand.value for operand in operands], params).outputs


@_batches("dimshuffle")
def _dimshuffle(
    node: Node, operands: Sequence[_Operand], count: Variable
) -> Sequence[Variable] | None:
    pattern = [p if p == "x" else p + 1 for p in node.params["pattern"]]
    return [dimshuffle(operands[0].value, 0, *pattern)]


@_batches("reshape", "alloc")
def _to_shape(
    node: Node, operands: Sequence[_Operand], count: Variable
) -> Sequence[Variable] | None:
    x, *lengths = (operand.value for operand in operands)
    if node.op.name == "alloc":
        added = len(lengths) - (x.ndim - 1)
        x = dimshuffle(x, 0, *("x",) * added, *range(1, x.ndim))
    params = {"broadcastable": (False, *node.params["broadcastable"])}
    return node.op.rebuild([x, count, *lengths], params).outputs


@_batches("subtensor", "inc_subtensor", "set_subtensor")
def _indexed(
    node: Node, operands: Sequence[_Operand], count: Variable
) -> Sequence[Variable] | None:
    n_arrays = node.op.n_connected or 0
    index = node.params["index"]
    key = (FULL, *index)
    moves = ("array",) in index and array_position(key) != array_position(index) + 1
    if moves or any(operand.varies for operand in operands[n_arrays:]):
        return None
    x, *value = operands[:n_arrays]
    arrays = [_full(x, count), *(v.lifted for v in value)]
    given = [operand.value for operand in operands[n_arrays:]]
    return node.op.rebuild([*arrays, *given], {"index": key}).outputs


@_batches("dot", "tensordot")
def _product(
    node: Node, operands: Sequence[_Operand], count: Variable
) -> Sequence[Variable] | None:
    a, b = operands
    over_a, over_b = node.params.get("axes", ((1,), (0,)))
    if a.varies and b.varies:
        return None
    if a.varies:
        return [tensordot(a.value, b.value, [[axis + 1 for axis in over_a], list(over_b)])]
    product = tensordot(a.value, b.value, [list(over_a), [axis + 1 for axis in over_b]])
    at = a.value.ndim - len(over_a)
    rest = [axis for axis in range(product.ndim) if axis != at]
    return [dimshuffle(product, at, *rest)]


@_batches("batch_normalization_grad")
def _lowered(
    node: Node, operands: Sequence[_Operand], count: Variable
) -> Sequence[Variable] | None:
    """The parts of which the op is composed."""
    assert node.op.lower is not None
    rows = {v: o.value for v, o in zip(node.inputs, operands, strict=True) if o.varies}
    return batched(rows, node.op.lower(node))


# Ops that treat the elements of a first axis alike, and which operands have that axis. The others
# must be the same for all rows.
_MERGED = {
    "softmax": (0,),
    "log_softmax": (0,),
    "softmax_grad": (0, 1),
    "conv2d": (0,),
    "conv2d_grad_input_of": (1, 2),
    "pool2d": (0,),
    "pool2d_grad_of": (0, 1, 2),
    "pool2d_gather": (0, 1),
    "average_pool2d": (0,),
    "average_pool2d_grad_of": (0, 1),
}


@_batches(*_MERGED)
def _merged(node: Node, operands: Sequence[_Operand], count: Variable) -> Sequence[Variable] | None:
    """The first axes of all rows become one."""
    merged = _MERGED[node.op.name]
    if any(operand.varies for i, operand in enumerate(operands) if i not in merged):
        return None
    inputs = [o.value for o in operands]
    for i in merged:
        v = _full(operands[i], count)
        shape = [length(v, 0) * length(v, 1), *_lengths(v, 2)]
        inputs[i] = _reshaped(v, shape, (False, *v.broadcastable[2:]))
    n = length(operands[merged[0]].lifted, 1)
    params = {k: v for k, v in node.params.items() if k != "declared"}  # shapes of fewer images
    return [
        _reshaped(
            made,
            [count, n, *_lengths(made, 1)],
            (False, *result.broadcastable),
        )
        for made, result in zip(node.op.rebuild(inputs, params).outputs, node.outputs, strict=True)
    ]


@_batches("conv2d_grad_filter_of")
def _filters(
    node: Node, operands: Sequence[_Operand], count: Variable
) -> Sequence[Variable] | None:
    """All rows have other filters for the same images: those of all rows are side by side."""
    x, g, w = operands
    if x.varies:
        return None
    channels = dimshuffle(_full(g, count), 1, 0, 2, 3, 4)  # images, rows, filters, ...
    filters = _full(w, count)
    n = count * length(filters, 1)
    inputs = [
        x.value,
        _reshaped(channels, [length(channels, 0), n, *_lengths(channels, 3)], (False,) * 4),
        _reshaped(filters, [n, *_lengths(filters, 2)], (False,) * 4),
    ]
    (made,) = node.op.rebuild(inputs, node.params).outputs
    flags = (False, *node.outputs[0].broadcastable)
    return [_reshaped(made, [count, *_lengths(filters, 1)], flags)]


@_batches("batched_dot")
def _product_of_batches(
    node: Node, operands: Sequence[_Operand], count: Variable
) -> Sequence[Variable] | None:
    """The matrices of all rows become one, with more rows or columns."""
    (a, b), z = operands, node.outputs[0]
    if a.varies and b.varies:
        return None
    if a.varies:
        m = length(a.value, 2)
        tall = dimshuffle(a.value, 1, 0, 2, 3)
        joined = _reshaped(tall, [length(tall, 0), count * m, length(tall, 3)], (False,) * 3)
        (made,) = node.op.rebuild([joined, b.value], node.params).outputs
        shape, back = [length(made, 0), count, m, length(made, 2)], (1, 0, 2, 3)
        flags = (z.broadcastable[0], False, *z.broadcastable[1:])
    else:
        p = length(b.value, 3)
        wide = dimshuffle(b.value, 1, 2, 0, 3)
        joined = _reshaped(wide, [*_lengths(wide, 0)[:2], count * p], (False,) * 3)
        (made,) = node.op.rebuild([a.value, joined], node.params).outputs
        shape, back = [*_lengths(made, 0)[:2], count, p], (2, 0, 1, 3)
        flags = (*z.broadcastable[:2], False, z.broadcastable[2])
    return [dimshuffle(_reshaped(made, shape, flags), *back)]


def _lengths(v: Variable, first: int) -> list[Variable]:
    """The lengths of the axes from `first` on."""
    return [length(v, axis) for axis in range(first, v.ndim)]


def _reshaped(v: Variable, shape: Sequence[Variable], flags: tuple[bool, ...]) -> Variable:
    return OPS["reshape"](v, *shape, broadcastable=flags)
