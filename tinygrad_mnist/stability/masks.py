"""Masks of gradients: a gradient of 0 stays 0 below a choice, whatever the slope is.

`switch`, and so `maximum`, `minimum`, `clip`, a maximum over axes and an index, give the gradient 0
to what they leave out. There a slope may be infinite or NaN, and 0 times that would be NaN. So the
nodes that only make what a choice may leave out take their vjp in the form
switch(g == 0, 0, g * slope).
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.graph.match import constant_value
from tinygrad_mnist.graph.variables import Node, Variable

# What is left out by a choice. A `switch` guards against any value, NaN included. The others
# compare or index values that are meant to be numbers: only slopes that can be infinite for finite
# operands are masked there, so that rectifiers cost nothing.
_NOTHING, _STEEP, _ALL = 0, 1, 2
_CHOICES = {
    "switch": _ALL,
    **dict.fromkeys(("subtensor", "set_subtensor"), _STEEP),
    **dict.fromkeys(("maximum", "minimum", "max", "min", "mul_log"), _STEEP),
}
_EXPONENTIALS = ("exp", "exp2", "expm1", "sinh", "cosh")
_STEEP_OPS = frozenset(
    (
        *_EXPONENTIALS,
        *("log", "log1p", "log2", "log10", "mul_log", "mul_exp", "sqrt", "true_div", "pow", "mod"),
        "prod",
        *("tan", "arcsin", "arccos", "arctan2", "arccosh", "arctanh", "norm_root"),
    )
)
# Ops whose gradient is the result's, up to sign and choice.
_LINEAR = frozenset(
    ("add", "sub", "neg", "identity", "cast", "switch", "maximum", "minimum", "sgn")
)
# Ops beside the elementwise ones through which a gradient of 0 reaches the same elements, and a row
# of zeros the same row.
_CARRIERS = frozenset(
    (
        *("dimshuffle", "reshape", "alloc", "subtensor", "inc_subtensor", "set_subtensor"),
        *("join", "split", "sum", "prod", "max", "min"),
        *("mul_log", "mul_exp", "logaddexp", "exp_difference"),
        *("log_sum_exp", "log_share", "share", "log_rest", "rest"),
    )
)
_DEPTH = 8  # of the expressions that are searched for an infinity


class Masks:
    """Which nodes of a graph need a masked vjp; it is asked from the results backwards."""

    def __init__(self) -> None:
        self._below: dict[Variable, int] = {}

    def visit(self, node: Node) -> bool:
        """Whether `node` needs a masked vjp. All nodes that read its results come before it."""
        level = max((self._below.get(v, _NOTHING) for v in node.outputs), default=_NOTHING)
        name = node.op.name
        carries = node.op.tape_op is not None or name in _CARRIERS
        inner = max(level if carries else _NOTHING, _CHOICES.get(name, _NOTHING))
        if inner:
            for v in node.inputs:
                self._below[v] = max(inner, self._below.get(v, _NOTHING))
        return level > _NOTHING and node.op.masked_vjp is not None and _is_steep(node, level)


def _is_steep(node: Node, level: int) -> bool:
    """Whether the slope may be infinite or NaN where a choice of that level leaves it out."""
    name = node.op.name
    if name in _LINEAR:
        return False
    if name == "mul":
        if any(constant_value(v) is not None for v in node.inputs):
            return False
        return level == _ALL or _may_be_infinite(node.inputs)
    if name == "true_div":
        return not _is_nonzero(node.inputs[1])
    if name in _EXPONENTIALS and _is_limited(node.inputs[0]):
        return False
    return level == _ALL or name in _STEEP_OPS


def _is_nonzero(v: Variable) -> bool:
    """Whether `v` is a constant that is not 0, or a number of elements."""
    value = constant_value(v)
    if value is not None:
        return value != 0
    while v.node is not None and v.node.op.name in ("cast", "dimshuffle"):
        v = v.node.inputs[0]
    return v.type.is_discrete


def _is_limited(v: Variable) -> bool:
    """Whether `v` is at most some constant."""
    node = v.node
    return (
        node is not None
        and node.op.name == "minimum"
        and any(constant_value(u) is not None for u in node.inputs)
    )


def _may_be_infinite(variables: Sequence[Variable], depth: int = _DEPTH) -> bool:
    """Whether finite leaves may give an infinity, as far as elementwise ops and views show."""
    for v in variables:
        node = v.node
        if node is None or not depth or not v.type.is_float:
            continue
        name = node.op.name
        if name in _STEEP_OPS and _is_steep(node, _STEEP):
            return True
        if node.op.tape_op is None and name not in _CARRIERS:
            continue
        if _may_be_infinite(node.inputs, depth - 1):
            return True
    return False
