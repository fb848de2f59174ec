"""Algebra: elementwise functions of each other. One identity per rule, exact or more accurate.

`simplify` has what arithmetic and views share.
"""

from __future__ import annotations

from tinygrad_mnist.contracts.tape import TRUTHS
from tinygrad_mnist.graph.types import BOOL
from tinygrad_mnist.graph.variables import Node
from tinygrad_mnist.rewrite.engine import Context, Replacement, Rule, rule_into

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
