"""Lower: ops that have no kernel of their own become ones that do."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.rewrite.engine import Context, check_type, copied, rebuild


def lower(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """Replaces every op by its lowering, or by one kernel for the whole op where the backend has
    it. Repeats this until no result has ops to lower."""
    current = list(outputs)
    context.start_round(toposort(current))
    while any(node.op.lower is not None for node in toposort(current)):
        current = rebuild(
            current, lambda node, inputs: _lowered(context.intern(copied(node, inputs)), context)
        )
    return current


def _lowered(node: Node, context: Context) -> Sequence[Variable]:
    if node.op.lower is None:
        return node.outputs
    rule = node.op.lower
    if node.op.whole is not None and node.op.whole[0] in context.kernels:
        rule = node.op.whole[1]
    results = rule(node)
    context.fired[f"lower {node.op.name}"] += 1
    for old, new in zip(node.outputs, results, strict=True):
        check_type(f"lower {node.op.name}", old, new)
    return results
