"""Algebra: elementwise functions of each other. One identity per rule, exact or more accurate.

`simplify` has the rules for arithmetic and views.
"""

from __future__ import annotations

from collections.abc import Callable

from tinygrad_mnist.contracts.core.tape import TRUTHS
from tinygrad_mnist.graph.match import constant_value, made_by, operand_of
from tinygrad_mnist.graph.op import OPS
from tinygrad_mnist.graph.types import BOOL
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import abs_, neg
from tinygrad_mnist.ops.special import erf, erfc
from tinygrad_mnist.rewrite.engine import Context, Replacement, Rule, if_same_type, rule_into

ALGEBRA: list[Rule] = []
_TRUTH_OPS = tuple(op.name for op in OPS.values() if op.tape_op in TRUTHS)
_rule = rule_into(ALGEBRA)


@_rule("identity", "stop_gradient", "zero_grad", "grad_scale", "grad_clip")
def remove_identity(node: Node, context: Context) -> Replacement:
    """A copy of x is x."""
    return node.inputs


@_rule("logical_and", "logical_or", "logical_not", "eq", "neq")
def match_logic_dtype(node: Node, context: Context) -> Replacement:
    """Logic on bools is the same in any dtype; computed in that of the comparisons which made
    them, it joins their tape."""
    if any(v.dtype != BOOL for v in node.inputs):
        return None
    producers = [made_by(v, *_TRUTH_OPS) for v in node.inputs]
    dtypes = [n.params["compute"] for n in producers if n is not None]
    if not dtypes or node.params["compute"] in dtypes:
        return None
    return (node.op(*node.inputs, dtype=BOOL, compute=dtypes[0]),)


@_rule("floor", "ceil", "trunc", "round_half_to_even", "round_half_away_from_zero", "abs", "sgn")
def idempotent(node: Node, context: Context) -> Replacement:
    """floor(floor(x)) is floor(x), and so for the others."""
    return node.inputs if made_by(node.inputs[0], node.op.name) else None


@_rule("sqrt")
def root_of_a_square(node: Node, context: Context) -> Replacement:
    """sqrt(sqr(x)) is |x|, which neither overflows nor underflows."""
    x = operand_of(node.inputs[0], "sqr")
    if x is None or node.inputs[0].type.is_discrete:
        return None
    return if_same_type(node.outputs[0], abs_(x))


_INVERSES = {
    "log": "exp",
    "log2": "exp2",
    "log1p": "expm1",
    "arcsinh": "sinh",
    "arctanh": "tanh",
}


@_rule(*_INVERSES)
def inverse_pair(node: Node, context: Context) -> Replacement:
    """log(exp(x)) is x, and so for other functions that take all numbers, with their inverses."""
    x = operand_of(node.inputs[0], _INVERSES[node.op.name])
    return None if x is None else if_same_type(node.outputs[0], x)


# 1 - f(x) and f(x) - 1 for functions f that have names for them.
_DIFFERENCES: dict[str, tuple[Callable[[Variable], Variable], Callable[[Variable], Variable]]] = {
    "erf": (erfc, lambda x: neg(erfc(x))),
    "erfc": (erf, lambda x: neg(erf(x))),
}


@_rule("sub")
def difference_from_one(node: Node, context: Context) -> Replacement:
    """1 - erf(x) is erfc(x) and the reverse: no bits cancel."""
    for one, position in ((0, 1), (1, 0)):
        inner = made_by(node.inputs[position], *_DIFFERENCES)
        if constant_value(node.inputs[one]) == 1 and inner is not None:
            return if_same_type(node.outputs[0], _DIFFERENCES[inner.op.name][one](inner.inputs[0]))
    return None
