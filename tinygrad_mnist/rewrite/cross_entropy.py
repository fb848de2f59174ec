"""Cross-entropies: softmax, its logarithm and what picks labels from it get kernels of their own.

The expressions are stable before (`stability`). These rules choose kernels where shapes are known.
"""

from __future__ import annotations

from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.match import (
    both_orders,
    constant_value,
    is_arange,
    made_by,
    operand_of,
)
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import neg
from tinygrad_mnist.ops.fused import SOFTMAX_XENT, SOFTMAX_XENT_GRAD
from tinygrad_mnist.ops.softmax import SOFTMAX
from tinygrad_mnist.rewrite.engine import Context, Replacement, Rule, rule_into

CROSS_ENTROPY: list[Rule] = []
_rule = rule_into(CROSS_ENTROPY)


@_rule("exp")
def exp_of_log_softmax(node: Node, context: Context) -> Replacement:
    """exp(log_softmax(z)) is softmax(z)."""
    z = operand_of(node.inputs[0], "log_softmax")
    return None if z is None else (SOFTMAX(z),)


@_rule("gather")
def cross_entropy(node: Node, context: Context) -> Replacement:
    """log_softmax(z)[arange(n), y] is minus the cross-entropy of z and y."""
    params = node.params
    if "softmax_xent" not in context.kernels or (params["n_index"], params["axis"]) != (2, 0):
        return None
    scores, rows, labels = node.inputs
    z = operand_of(scores, "log_softmax")
    if z is None or not is_arange(rows, scores.type.static_shape[0]):
        return None
    return (neg(SOFTMAX_XENT.node(z, labels).outputs[0]),)


@_rule("sub")
def gradient_of_cross_entropy(node: Node, context: Context) -> Replacement:
    """S - s * sum(S), S holding v at the labels and s a softmax, is (s - onehot) * (-v)."""
    if "softmax_xent_grad" not in context.kernels:
        return None
    scattered, product = made_by(node.inputs[0], "scatter_add"), made_by(node.inputs[1], "mul")
    if scattered is None or product is None or len(scattered.inputs) != 4:
        return None
    base, values, _, labels = scattered.inputs
    if constant_value(base) != 0 or not _picks_a_column_per_row(scattered):
        return None
    for s, total in both_orders(product.inputs):
        summed = made_by(total, "sum")
        if (
            made_by(s, "softmax", "softmax_xent") is not None
            and summed is not None
            and summed.inputs[0] is scattered.outputs[0]
            and summed.params["axes"] == (1,)
        ):
            return (SOFTMAX_XENT_GRAD(s, labels, neg(values), **_identity(s)),)
    return None


def _picks_a_column_per_row(scattered: Node) -> bool:
    """Whether a scatter writes to (0, i), (1, j), (2, k), ... of a whole matrix."""
    shape = scattered.outputs[0].type.static_shape
    params = scattered.params
    whole = params["region"].covers(shape) and params["axes"] == (0, 1)
    return whole and is_arange(scattered.inputs[2], shape[0])


def _identity(s: Variable) -> dict[str, Tape]:
    return {"epilogue": Tape.identity(s.dtype)}


@_rule("softmax")
def softmax_beside_cross_entropy(node: Node, context: Context) -> Replacement:
    """softmax(z) is the second result of a cross-entropy of z, if the graph has one."""
    found = context.find("softmax_xent", node.inputs)
    return None if found is None else (found.outputs[1],)
