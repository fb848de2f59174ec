"""Algebra: elementwise functions of each other. One identity per rule, exact or more accurate.

`simplify` has what arithmetic and views share.
"""

from __future__ import annotations

from collections.abc import Callable

from tinygrad_mnist.contracts.core.tape import TRUTHS
from tinygrad_mnist.graph.types import BOOL
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import abs_, neg
from tinygrad_mnist.ops.exponential import expm1
from tinygrad_mnist.ops.log import log1p, safe_log1p
from tinygrad_mnist.ops.special import erf, erfc
from tinygrad_mnist.rewrite.engine import Context, Replacement, Rule, rule_into
from tinygrad_mnist.rewrite.simplify import constant_value, if_same_type

ALGEBRA: list[Rule] = []
_rule = rule_into(ALGEBRA)


@_rule("identity")
def copies(node: Node, context: Context) -> Replacement:
    """A copy of x is x."""
    return node.inputs


@_rule("logical_and", "logical_or", "logical_not", "eq", "neq")
def truths_where_they_are_made(node: Node, context: Context) -> Replacement:
    """Logic on bools is the same in any dtype; in that of the comparisons it joins their tape."""
    if any(v.dtype != BOOL for v in node.inputs):
        return None
    made = [v.node.params["compute"] for v in node.inputs if v.node and v.node.op.tape_op in TRUTHS]
    if not made or node.params["compute"] in made:
        return None
    return (node.op(*node.inputs, dtype=BOOL, compute=made[0]),)


@_rule("floor", "ceil", "trunc", "round_half_to_even", "round_half_away_from_zero", "abs", "sgn")
def done_already(node: Node, context: Context) -> Replacement:
    """floor(floor(x)) is floor(x), and so for the others."""
    inner = node.inputs[0].node
    return node.inputs if inner is not None and inner.op is node.op else None


@_rule("sqrt")
def root_of_a_square(node: Node, context: Context) -> Replacement:
    """sqrt(sqr(x)) is |x|, which neither overflows nor underflows."""
    inner = node.inputs[0].node
    if inner is None or inner.op.name != "sqr" or node.inputs[0].type.is_discrete:
        return None
    return if_same_type(node.outputs[0], abs_(inner.inputs[0]))


_INVERSES = {
    "log": "exp",
    "log2": "exp2",
    "log1p": "expm1",
    "arcsinh": "sinh",
    "arctanh": "tanh",
}


@_rule(*_INVERSES)
def undone(node: Node, context: Context) -> Replacement:
    """log(exp(x)) is x, and so for other functions that take all numbers, with their inverses."""
    inner = node.inputs[0].node
    if inner is None or inner.op.name != _INVERSES[node.op.name]:
        return None
    return if_same_type(node.outputs[0], inner.inputs[0])


@_rule("log")
def log_of_one_plus(node: Node, context: Context) -> Replacement:
    """log(1 + x) is log1p(x), log(1 - x) is log1p(-x): x keeps the bits that 1 + x would round."""
    inner = node.inputs[0].node
    if inner is None or node.inputs[0].type.is_discrete:
        return None
    for one, x in (inner.inputs, inner.inputs[::-1]) if inner.op.name == "add" else ():
        if constant_value(one) == 1:
            return if_same_type(node.outputs[0], log1p(x))
    if inner.op.name == "sub" and constant_value(inner.inputs[0]) == 1:
        return if_same_type(node.outputs[0], log1p(neg(inner.inputs[1])))
    return None


@_rule("log1p")
def safe_form_of_log1p(node: Node, context: Context) -> Replacement:
    """log1p(exp(z)) and log1p(-sigmoid(z)) are softplus; see `ops.log`."""
    safe = safe_log1p(node.inputs[0])
    return None if safe is None else if_same_type(node.outputs[0], safe)


# 1 - f(x) and f(x) - 1 for functions f that have names for them.
_DIFFERENCES: dict[str, tuple[Callable[[Variable], Variable], Callable[[Variable], Variable]]] = {
    "exp": (lambda x: neg(expm1(x)), expm1),
    "erf": (erfc, lambda x: neg(erfc(x))),
    "erfc": (erf, lambda x: neg(erf(x))),
}


@_rule("sub")
def difference_from_one(node: Node, context: Context) -> Replacement:
    """exp(x) - 1 is expm1(x), 1 - erf(x) is erfc(x) and the reverse: no bits cancel."""
    for one, position in ((0, 1), (1, 0)):
        inner = node.inputs[position].node
        if constant_value(node.inputs[one]) == 1 and inner and inner.op.name in _DIFFERENCES:
            return if_same_type(node.outputs[0], _DIFFERENCES[inner.op.name][one](inner.inputs[0]))
    return None
