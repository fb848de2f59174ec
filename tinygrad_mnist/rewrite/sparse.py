"""Arrays that are zero except at some regions: the gradients of indexed variables.

They are zeros with parts written over slices of them (`assemble`), or with rows added at indices
(`scatter_add`). Adding one of them to an array needs only these regions, so an update of a few
rows of a large variable touches no others.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from math import isfinite, prod

from tinygrad_mnist.graph.layout import all_disjoint
from tinygrad_mnist.graph.match import both_orders, constant_value, made_by
from tinygrad_mnist.graph.op import constant
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import add, mul, neg, true_div
from tinygrad_mnist.ops.gather import SCATTER_ADD
from tinygrad_mnist.ops.shape import static_reshape
from tinygrad_mnist.ops.slices import ASSEMBLE, assemble, static_slice
from tinygrad_mnist.rewrite.engine import (
    Context,
    Replacement,
    Rule,
    copied,
    if_same_type,
    rebuild,
    rule_into,
    uses,
)

SPARSE: list[Rule] = []
_rule = rule_into(SPARSE)


def _sparse(v: Variable) -> Node | None:
    """The node that makes `v`, if it writes into zeros. If it has several parts they don't overlap:
    only the first rule below makes such nodes."""
    node = made_by(v, SCATTER_ADD.name, ASSEMBLE.name)
    if node is None or (node.op is ASSEMBLE and not node.params["has_base"]):
        return None
    return node if constant_value(node.inputs[0]) == 0 else None


def _parts(node: Node) -> Sequence[Variable]:
    """The parts that a node writes."""
    return node.inputs[1:] if node.op is ASSEMBLE else node.inputs[1:2]


def _with_parts(node: Node, base: Variable, parts: Sequence[Variable]) -> Variable:
    """The same node over another base and with other parts."""
    rest = () if node.op is ASSEMBLE else node.inputs[2:]
    return node.op.rebuild([base, *parts, *rest], node.params).outputs[0]


def join_disjoint_parts(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """`add_disjoint_parts` for whole sums at once: the gradient of a variable that is indexed a
    thousand times is a sum of a thousand arrays."""
    counts = uses(outputs)
    sums: set[Node] = set()
    inner: set[Node] = set()  # sums that only another sum reads
    for node in toposort(outputs):
        if node.op.name == "add" and all(_is_term(v, node, sums, counts) for v in node.inputs):
            inner.update(v.node for v in node.inputs if v.node is not None and v.node in sums)
            sums.add(node)
    terms = {node: _terms(node, inner) for node in sums - inner}
    joined = {node for node, found in terms.items() if _are_disjoint(found)}
    if not joined:
        return list(outputs)
    fresh: dict[Variable, Variable] = {}

    def emit(node: Node, inputs: list[Variable]) -> Sequence[Variable] | None:
        fresh.update(zip(node.inputs, inputs, strict=True))
        if node in inner:
            return None
        if node not in joined:
            return copied(node, inputs).outputs
        context.fired[add_disjoint_parts.name] += len(terms[node]) - 1
        return (_joined([fresh[v] for v in terms[node]], node.outputs[0]),)

    return rebuild(outputs, emit)


def _is_term(v: Variable, total: Node, sums: Collection[Node], counts: Counter[Variable]) -> bool:
    """Whether `v` is zeros with parts, or a sum of such that only `total` reads."""
    node = v.node
    whole = total.outputs[0].type
    if node is None or v.type != whole or v.type.shape != whole.shape:
        return False
    return (node in sums and counts[v] == 1) or (node.op is ASSEMBLE and _sparse(v) is node)


def _terms(total: Node, inner: Collection[Node]) -> list[Variable]:
    """The terms of a sum of sums, from left to right."""
    found: list[Variable] = []
    stack = [*reversed(total.inputs)]
    while stack:
        v = stack.pop()
        if v.node is not None and v.node in inner:
            stack.extend(reversed(v.node.inputs))
        else:
            found.append(v)
    return found


def _are_disjoint(terms: Sequence[Variable]) -> bool:
    return all_disjoint([r for v in terms if v.node for r in v.node.params["regions"]])


def _joined(terms: Sequence[Variable], like: Variable) -> Variable:
    """The sum of arrays that are zeros with parts, none of which overlap."""
    nodes = [v.node for v in terms if v.node is not None]
    parts = [
        pair for node in nodes for pair in zip(_parts(node), node.params["regions"], strict=True)
    ]
    shape = like.type.static_shape
    is_covered = sum(prod(region.shape) for _, region in parts) == prod(shape)
    return assemble(None if is_covered else nodes[0].inputs[0], parts, shape, like.broadcastable)


@_rule("add")
def add_disjoint_parts(node: Node, context: Context) -> Replacement:
    """(0 with x at a region) + (0 with y at another) is 0 with both. So the gradient of disjoint
    slices is assembled once, and is a join where they cover the array."""
    first, second = map(_sparse, node.inputs)
    if first is None or second is None or not first.op is second.op is ASSEMBLE:
        return None
    if not _are_disjoint(node.inputs):
        return None
    return if_same_type(node.outputs[0], _joined(node.inputs, node.outputs[0]))


@_rule("neg")
def negate_places(node: Node, context: Context) -> Replacement:
    """-(0 with x at a region) is 0 with -x there."""
    found = _sparse(node.inputs[0])
    if found is None:
        return None
    return (_with_parts(found, found.inputs[0], [neg(part) for part in _parts(found)]),)


@_rule("mul")
def scale_places(node: Node, context: Context) -> Replacement:
    """c * (0 with x at a region) is 0 with c * x there, for a number c."""
    for number, v in both_orders(node.inputs):
        found = _sparse(v)
        if found is not None and _is_number(number) and v.dtype == node.outputs[0].dtype:
            parts = [mul(part, _beside(part, number)) for part in _parts(found)]
            return if_same_type(node.outputs[0], _with_parts(found, found.inputs[0], parts))
    return None


@_rule("true_div")
def divide_places(node: Node, context: Context) -> Replacement:
    """(0 with x at a region) / c is 0 with x / c there, for a number c other than 0."""
    v, number = node.inputs
    found = _sparse(v)
    if found is None or constant_value(number) in (None, 0) or v.dtype != node.outputs[0].dtype:
        return None
    parts = [true_div(part, _beside(part, number)) for part in _parts(found)]
    return if_same_type(node.outputs[0], _with_parts(found, found.inputs[0], parts))


@_rule("add", "sub")
def add_to_places(node: Node, context: Context) -> Replacement:
    """x + (0 with y at a region) is x with y added there, and x - (...) with y subtracted."""
    z = node.outputs[0]
    pairs = (node.inputs,) if node.op.name == "sub" else both_orders(node.inputs)
    for x, v in pairs:
        found = _sparse(v)
        if found is None or x.dtype != v.dtype:
            continue
        if x.type.shape != z.type.shape or v.type.shape != z.type.shape:
            continue  # a place of one that is stretched is several places of the sum
        parts = list(_parts(found))
        if node.op.name == "sub":
            parts = [neg(part) for part in parts]
        if found.op is ASSEMBLE:
            regions = found.params["regions"]
            parts = [
                add(static_slice(x, region, part.broadcastable), part)
                for part, region in zip(parts, regions, strict=True)
            ]
        return if_same_type(z, _with_parts(found, x, parts))
    return None


def _is_number(v: Variable) -> bool:
    """Whether `v` is one number, whose product with 0 is 0."""
    value = constant_value(v)
    return isfinite(value) if value is not None else prod(v.type.static_shape) == 1


def _beside(part: Variable, number: Variable) -> Variable:
    """A number with as many axes as `part`, which all broadcast."""
    value = constant_value(number)
    scalar = number if value is None else constant(value, number.dtype)
    return static_reshape(scalar, (1,) * part.ndim, (True,) * part.ndim)
