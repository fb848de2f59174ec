"""Stabilise: formulas that overflow or cancel become ones that do not, with their gradients."""

from __future__ import annotations

from collections.abc import Callable

from tinygrad_mnist.contracts.tape import Tape
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import mul, neg, sigmoid, softplus, sub
from tinygrad_mnist.ops.fused import SOFTMAX_XENT, SOFTMAX_XENT_GRAD
from tinygrad_mnist.ops.reduce import sum_
from tinygrad_mnist.ops.shape import static_broadcast
from tinygrad_mnist.ops.softmax import LOG_SOFTMAX, SOFTMAX
from tinygrad_mnist.rewrite.engine import Context, Replacement, Rule
from tinygrad_mnist.rewrite.simplify import constant_value, if_same_type, is_arange

STABILISE: list[Rule] = []


def _rule(*ops: str) -> Callable[[Callable[[Node, Context], Replacement]], Rule]:
    def register(apply: Callable[[Node, Context], Replacement]) -> Rule:
        rule = Rule(apply.__name__, ops, apply)
        STABILISE.append(rule)
        return rule

    return register


def made_by(v: Variable, op: str) -> Node | None:
    """The node that makes `v`, if it is of the op."""
    return v.node if v.node is not None and v.node.op.name == op else None


@_rule("log")
def log_of_softmax(node: Node, context: Context) -> Replacement:
    """log(softmax(z)) is log_softmax(z), which a confident mistake leaves finite."""
    softmax = made_by(node.inputs[0], "softmax")
    return None if softmax is None else (LOG_SOFTMAX(softmax.inputs[0]),)


@_rule("softmax_grad")
def gradient_of_log_of_softmax(node: Node, context: Context) -> Replacement:
    """The gradient of log(softmax(z)), (g / s) pulled back through s, is g - s * sum(g)."""
    g, s = node.inputs
    quotient = made_by(g, "true_div")
    if made_by(s, "softmax") is None or quotient is None or quotient.inputs[1] is not s:
        return None
    g = static_broadcast(quotient.inputs[0], s.type.static_shape, s.broadcastable)
    return (sub(g, mul(s, sum_(g, axis=1, keepdims=True))),)


@_rule("exp")
def exp_of_log_softmax(node: Node, context: Context) -> Replacement:
    """exp(log_softmax(z)) is softmax(z)."""
    inner = made_by(node.inputs[0], "log_softmax")
    return None if inner is None else (SOFTMAX(inner.inputs[0]),)


@_rule("gather")
def cross_entropy(node: Node, context: Context) -> Replacement:
    """log_softmax(z)[arange(n), y] is minus the cross-entropy of z and y."""
    if "softmax_xent" not in context.kernels or node.params["n_index"] != 2:
        return None
    scores, rows, labels = node.inputs
    inner = made_by(scores, "log_softmax")
    if inner is None or not is_arange(rows, scores.type.static_shape[0]):
        return None
    return (neg(SOFTMAX_XENT.node(inner.inputs[0], labels).outputs[0]),)


@_rule("sub")
def gradient_of_cross_entropy(node: Node, context: Context) -> Replacement:
    """S - s * sum(S), S holding v at the labels and s a softmax, is (s - onehot) * (-v)."""
    if "softmax_xent_grad" not in context.kernels:
        return None
    scattered, product = made_by(node.inputs[0], "scatter_add"), made_by(node.inputs[1], "mul")
    if scattered is None or product is None or len(scattered.inputs) != 3:
        return None
    values, rows, labels = scattered.inputs
    if not is_arange(rows, scattered.outputs[0].type.static_shape[0]):
        return None
    for s, total in (product.inputs, product.inputs[::-1]):
        summed = made_by(total, "sum")
        if (
            (made_by(s, "softmax") or made_by(s, "softmax_xent"))
            and summed is not None
            and summed.inputs[0] is scattered.outputs[0]
            and summed.params["axes"] == (1,)
        ):
            return (SOFTMAX_XENT_GRAD(s, labels, neg(values), **_identity(s)),)
    return None


def _identity(s: Variable) -> dict[str, Tape]:
    return {"epilogue": Tape.identity(s.dtype)}


@_rule("softmax")
def softmax_beside_cross_entropy(node: Node, context: Context) -> Replacement:
    """softmax(z) is the second result of a cross-entropy of z that is computed anyway."""
    found = context.find("softmax_xent", node.inputs)
    return None if found is None else (found.outputs[1],)


@_rule("true_div")
def logistic(node: Node, context: Context) -> Replacement:
    """1 / (1 + exp(-x)) is sigmoid(x)."""
    one, denominator = node.inputs
    total = made_by(denominator, "add")
    if constant_value(one) != 1 or total is None:
        return None
    for first, second in (total.inputs, total.inputs[::-1]):
        power = made_by(second, "exp")
        if constant_value(first) == 1 and power is not None:
            return if_same_type(node.outputs[0], sigmoid(neg(power.inputs[0])))
    return None


@_rule("log")
def log_of_sigmoid(node: Node, context: Context) -> Replacement:
    """log(sigmoid(x)) is -softplus(-x)."""
    inner = made_by(node.inputs[0], "sigmoid")
    return None if inner is None else (neg(softplus(neg(inner.inputs[0]))),)


@_rule("log")
def log_of_one_minus_sigmoid(node: Node, context: Context) -> Replacement:
    """log(1 - sigmoid(x)) is -softplus(x)."""
    difference = made_by(node.inputs[0], "sub")
    if difference is None or constant_value(difference.inputs[0]) != 1:
        return None
    inner = made_by(difference.inputs[1], "sigmoid")
    if inner is None:
        return None
    return if_same_type(node.outputs[0], neg(softplus(inner.inputs[0])))


@_rule("log")
def log_of_one_plus_exp(node: Node, context: Context) -> Replacement:
    """log(1 + exp(x)) is softplus(x)."""
    total = made_by(node.inputs[0], "add")
    if total is None:
        return None
    for first, second in (total.inputs, total.inputs[::-1]):
        power = made_by(second, "exp")
        if constant_value(first) == 1 and power is not None:
            return if_same_type(node.outputs[0], softplus(power.inputs[0]))
    return None


def _is_positive(v: Variable) -> bool:
    """Whether `v` is above 0 by its formula, though it may underflow: sigmoid, exp, 1 - sigmoid."""
    if v.node is None:
        return False
    if v.node.op.name in ("sigmoid", "exp", "softmax"):
        return True
    difference = made_by(v, "sub")
    return (
        difference is not None
        and constant_value(difference.inputs[0]) == 1
        and made_by(difference.inputs[1], "sigmoid") is not None
    )


def _without_divisor(product: Variable, divisor: Variable) -> Variable | None:
    """`product` times `divisor`, where a factor of `product` is a quotient by just that."""
    node = product.node
    if node is None:
        return None
    if node.op.name == "true_div":
        return node.inputs[0] if node.inputs[1] is divisor else None
    if node.op.name == "neg":
        inner = _without_divisor(node.inputs[0], divisor)
        return None if inner is None else neg(inner)
    if node.op.name == "mul":
        first, second = node.inputs
        inner = _without_divisor(first, divisor)
        if inner is not None:
            return mul(inner, second)
        inner = _without_divisor(second, divisor)
        return None if inner is None else mul(first, inner)
    return None


@_rule("mul")
def quotient_times_divisor(node: Node, context: Context) -> Replacement:
    """(g / s) * s is g for s > 0: the gradients of log(sigmoid(x)) and log(1 - sigmoid(x))."""
    for product, divisor in (node.inputs, node.inputs[::-1]):
        if _is_positive(divisor):
            result = _without_divisor(product, divisor)
            if result is not None:
                return _stretched_to(node.outputs[0], result)
    return None


def _stretched_to(z: Variable, result: Variable) -> Replacement:
    """`result`, which may have lost operands that stretched it, in the shape of `z`."""
    if result.dtype != z.dtype:
        return None
    return (static_broadcast(result, z.type.static_shape, z.broadcastable),)


@_rule("mul")
def gradient_of_log_of_one_plus_exp(node: Node, context: Context) -> Replacement:
    """(g / (1 + exp(x))) * exp(x) is g * sigmoid(x), and so is sigmoid(-x) * exp(x) for g = 1."""
    for quotient, power in (node.inputs, node.inputs[::-1]):
        exponential = made_by(power, "exp")
        if exponential is None:
            continue
        x = exponential.inputs[0]
        logistic_node, division = made_by(quotient, "sigmoid"), made_by(quotient, "true_div")
        if logistic_node is not None:
            negated = made_by(logistic_node.inputs[0], "neg")
            if negated is not None and negated.inputs[0] is x:
                return _stretched_to(node.outputs[0], sigmoid(x))
        if division is not None:
            total = made_by(division.inputs[1], "add")
            if total is not None and power in total.inputs:
                other = total.inputs[total.inputs[0] is power]
                if constant_value(other) == 1:
                    return _stretched_to(node.outputs[0], mul(division.inputs[0], sigmoid(x)))
    return None
