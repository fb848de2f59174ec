"""Simplify: algebra and views. One identity per rule; shapes are known."""

from __future__ import annotations

from math import prod
from typing import NamedTuple

import numpy as np

from tinygrad_mnist.graph.fold import fold
from tinygrad_mnist.graph.layout import Offset, StaticSlice
from tinygrad_mnist.graph.match import constant_value, made_by, operand_of
from tinygrad_mnist.graph.op import OPS, constant
from tinygrad_mnist.graph.variables import Constant, Node, Variable
from tinygrad_mnist.ops.elementwise import cast, gt, neg, sqr, sqrt, true_div
from tinygrad_mnist.ops.shape import dimshuffle, static_broadcast, static_reshape
from tinygrad_mnist.ops.slices import STATIC_SLICE
from tinygrad_mnist.rewrite.engine import Context, Replacement, Rule, if_same_type, rule_into

SIMPLIFY: list[Rule] = []
# Elementwise nodes that a slice may pass on its way to the inputs. They are computed again for each
# slice, so a long chain with many slices would grow with the product of both.
MAX_SLICED = 256
MAX_SLICED_MOSTLY = 16  # for a slice that leaves out less than half
ELEMENTWISE = tuple(op.name for op in OPS.values() if op.tape_op is not None)
_rule = rule_into(SIMPLIFY)


@_rule(*ELEMENTWISE, "static_reshape", "dimshuffle")
def fold_constants(node: Node, context: Context) -> Replacement:
    """f(constants) is a constant."""
    folded = fold(node.outputs[0])
    return None if folded is node.outputs[0] else (folded,)


@_rule(*ELEMENTWISE)
def fold_filled(node: Node, context: Context) -> Replacement:
    """f(arrays filled with constants) is an array filled with a constant."""
    z = node.outputs[0]
    values = [constant_value(v) for v in node.inputs]
    if any(v is None for v in values) or z.ndim == 0 or z.type.static_shape == ():
        return None
    scalars = [constant(value, v.dtype) for value, v in zip(values, node.inputs, strict=True)]
    result = fold(node.op(*scalars, **node.params))
    filled = static_broadcast(result, z.type.static_shape, z.broadcastable)
    return (filled,) if isinstance(result, Constant) else None


@_rule("add", "sub", "mul", "true_div", "pow")
def neutral_element(node: Node, context: Context) -> Replacement:
    """x + 0, x - 0, x * 1, x / 1 and x ** 1 are x."""
    x, y = node.inputs
    neutral = 0 if node.op.name in ("add", "sub") else 1
    if constant_value(y) == neutral:
        return if_same_type(node.outputs[0], x)
    if node.op.name in ("add", "mul") and constant_value(x) == neutral:
        return if_same_type(node.outputs[0], y)
    return None


@_rule("pow")
def small_powers(node: Node, context: Context) -> Replacement:
    """x ** 2 is sqr(x), x ** 0.5 is sqrt(x), x ** -1 is 1 / x."""
    x, y = node.inputs
    if not x.type.is_float:
        return None
    value = constant_value(y)
    if value == 2:
        return if_same_type(node.outputs[0], sqr(x))
    if value == 0.5:
        return if_same_type(node.outputs[0], sqrt(x))
    if value == -1:
        return if_same_type(node.outputs[0], true_div(1, x))
    return None


@_rule("cast")
def merge_casts(node: Node, context: Context) -> Replacement:
    """cast(cast(x, a), b) is cast(x, b) where `a` holds every value of x."""
    x = operand_of(node.inputs[0], "cast")
    if x is None or not np.can_cast(x.dtype, node.inputs[0].dtype, "safe"):
        return None
    return (cast(x, node.outputs[0].dtype),)


@_rule("switch")
def decided_switch(node: Node, context: Context) -> Replacement:
    """switch(c, x, y) with a constant c is x or y."""
    value = constant_value(node.inputs[0])
    if value is None:
        return None
    return if_same_type(node.outputs[0], node.inputs[1 if value else 2])


@_rule("neg")
def double_negation(node: Node, context: Context) -> Replacement:
    """-(-x) is x."""
    x = operand_of(node.inputs[0], "neg")
    return None if x is None else (x,)


@_rule("sub")
def zero_minus(node: Node, context: Context) -> Replacement:
    """0 - x is -x."""
    x, y = node.inputs
    if constant_value(x) == 0 and x.dtype == y.dtype:
        return if_same_type(node.outputs[0], neg(y))
    return None


@_rule("gt")
def compare_with_maximum(node: Node, context: Context) -> Replacement:
    """z > c is max(c, z) > c: with ReLU the gradient needs the output only, not its argument."""
    z, c = node.inputs
    if constant_value(c) is None:
        return None
    found = context.find("maximum", (c, z)) or context.find("maximum", (z, c))
    return None if found is None else (gt(found.outputs[0], c),)


@_rule("lt")
def certain_draw(node: Node, context: Context) -> Replacement:
    """A uniform draw from [0, 1) is below any number from 1 on."""
    u, p = node.inputs
    value = constant_value(p)
    if made_by(u, "static_uniform") is None or value is None or value < 1:
        return None
    z = node.outputs[0]
    return (static_broadcast(constant(True), z.type.static_shape, z.broadcastable),)


@_rule("dimshuffle")
def merge_dimshuffles(node: Node, context: Context) -> Replacement:
    """Two dimshuffles are one; a dimshuffle that moves nothing is removed."""
    x, pattern = node.inputs[0], node.params["pattern"]
    if pattern == tuple(range(x.ndim)):
        return (x,)
    inner = made_by(x, "dimshuffle")
    if inner is None:
        return None
    first = inner.params["pattern"]
    if any(first[p] != "x" and x.broadcastable[p] for p in range(x.ndim) if p not in pattern):
        return None
    merged = tuple(p if p == "x" else first[p] for p in pattern)
    return (dimshuffle(inner.inputs[0], *merged),)


@_rule("static_reshape")
def merge_reshapes(node: Node, context: Context) -> Replacement:
    """Two reshapes are one."""
    x, params = operand_of(node.inputs[0], "static_reshape"), node.params
    if x is None:
        return None
    return (static_reshape(x, params["shape"], params["broadcastable"]),)


@_rule(*ELEMENTWISE)
def unstretched_operands(node: Node, context: Context) -> Replacement:
    """f(x, y broadcast) is f(x, y): elementwise ops broadcast their operands themselves."""
    inputs = [_unstretched(v) for v in node.inputs]
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return None
    shapes = zip(*(v.type.static_shape for v in inputs), strict=True)
    flags = zip(*(v.broadcastable for v in inputs), strict=True)
    for lengths, broadcasts, n in zip(
        shapes, flags, node.outputs[0].type.static_shape, strict=True
    ):
        if not any(m == n and (n == 1 or not b) for m, b in zip(lengths, broadcasts, strict=True)):
            return None
    return if_same_type(node.outputs[0], node.op(*inputs, **node.params))


def _unstretched(v: Variable) -> Variable:
    source = operand_of(v, "static_broadcast")
    if source is None:
        return v
    lengths = (1,) * (v.ndim - source.ndim) + source.type.static_shape
    flags = tuple(
        m == 1 and (n != 1 or b)
        for m, n, b in zip(lengths, v.type.static_shape, v.broadcastable, strict=True)
    )
    return static_reshape(source, lengths, flags)


@_rule("sum", "prod", "max", "min", "all", "any")
def reduce_nothing(node: Node, context: Context) -> Replacement:
    """Reducing axes of length 1 changes nothing."""
    x = node.inputs[0]
    if any(x.type.static_shape[a] != 1 for a in node.params["axes"]):
        return None
    z = node.outputs[0]
    return if_same_type(z, static_reshape(x, z.type.static_shape, z.broadcastable))


@_rule("static_slice")
def slice_before_elementwise(node: Node, context: Context) -> Replacement:
    """f(x, y)[a:b] is f(x[a:b], y[a:b]): only the elements that are needed are computed."""
    wanted = _Sliced(node.inputs[0], node.params["region"], node.outputs[0].broadcastable)
    if _crossed(wanted) is None:
        return None
    sliced = _slice_expression(wanted)
    return None if sliced is None else if_same_type(node.outputs[0], sliced)


class _Sliced(NamedTuple):
    """A slice of a variable, and which axes of the slice broadcast."""

    variable: Variable
    region: StaticSlice
    broadcastable: tuple[bool, ...]


def _crossed(wanted: _Sliced) -> Node | None:
    """The elementwise node that makes the variable, if the slice is to be taken of its operands."""
    inner, region = made_by(wanted.variable, *ELEMENTWISE), wanted.region
    if inner is None:
        return None
    whole = wanted.variable.type.static_shape
    for axis, flag in enumerate(wanted.variable.broadcastable):
        if flag and (region.lengths[axis] != whole[axis] or axis not in region.kept):
            return None
    return inner


def _slice_expression(wanted: _Sliced) -> Variable | None:
    """The slice, taken of the operands of all elementwise nodes on the way; None where these are
    too many to be computed again for it."""
    few = 2 * prod(wanted.region.lengths) <= prod(wanted.variable.type.static_shape)
    left = MAX_SLICED if few else MAX_SLICED_MOSTLY
    done: dict[_Sliced, Variable] = {}
    stack = [wanted]
    while stack:
        current = stack[-1]
        inner = _crossed(current)
        if inner is None:
            v, region, broadcastable = current
            done[current] = STATIC_SLICE(v, region=region, broadcastable=broadcastable)
        else:
            operands = [_slice_operand(v, current) for v in inner.inputs]
            pending = [operand for operand in operands if operand not in done]
            if pending:
                stack.extend(pending)
                continue
            left -= 1
            if left < 0:
                return None
            inputs = [done[operand] for operand in operands]
            done[current] = inner.op.rebuild(inputs, inner.params).outputs[0]
        stack.pop()
    return done[wanted]


def _slice_operand(v: Variable, result: _Sliced) -> _Sliced:
    region, flags = result.region, result.broadcastable
    per_axis = zip(region.starts, region.lengths, region.steps, v.broadcastable, strict=True)
    starts, lengths, steps = zip(
        *((Offset(0), 1, 1) if b else (s, n, k) for s, n, k, b in per_axis), strict=True
    )
    broadcastable = tuple(
        v.broadcastable[axis] or flag for axis, flag in zip(region.kept, flags, strict=True)
    )
    return _Sliced(v, StaticSlice(starts, lengths, steps, region.kept), broadcastable)
