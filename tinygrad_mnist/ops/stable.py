"""Ops that only the stabilisation of graphs makes; see `stability` and docs/stability.md.

Each computes what a plainer expression computes, with a gradient that stays accurate or finite
where the plain one's doesn't.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node, Op, Variable
from tinygrad_mnist.ops.elementwise import (
    ApiFunction,
    abs_,
    add,
    broadcast_types,
    define,
    eq,
    exp,
    lt,
    maximum,
    mul,
    neg,
    softplus,
    sub,
    sum_to,
    switch,
    upgraded,
)
from tinygrad_mnist.ops.exponential import expm1
from tinygrad_mnist.ops.logical import and_, isinf

# --- elementwise, as one instruction --------------------------------------------------------------

# Unlike that of `sigmoid`, its gradient keeps all its digits where the result is close to 1.
logistic: ApiFunction = define(
    "logistic", 1, upgraded, lambda g, z, i: (g * (z * logistic(-i[0])),), "sigmoid",
    doc="1 / (1 + exp(-x)), with a gradient that is accurate for every x",
)  # fmt: skip
hyperbolic_tangent: ApiFunction = define(
    "hyperbolic_tangent", 1, upgraded,
    lambda g, z, i: (g * 4 * (logistic(i[0] * 2) * logistic(i[0] * -2)),), "tanh",
    doc="tanh(x), with a gradient that is accurate for every x",
)  # fmt: skip
norm_root: ApiFunction = define(
    "norm_root", 1, upgraded, lambda g, z, i: (switch(eq(z, 0), 0, g * 0.5 / z),), "sqrt",
    doc="the square root of a sum of squares; its gradient at 0 is 0",
)  # fmt: skip


# --- elementwise, composed ------------------------------------------------------------------------


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [broadcast_types(types, types[0].dtype)]


def _compose(
    name: str,
    value: Callable[[Array, Array], Array],
    lower: Callable[[Variable, Variable], Variable],
    rule: Callable[[Variable, Variable, Variable], tuple[Variable, Variable]],
) -> Op:
    """An op of two operands of one float dtype that is lowered to other elementwise ops.

    value: in NumPy. rule: (gradient of the result, operands) -> gradients of the operands.
    """

    def reference(
        params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
    ) -> list[Array]:
        with np.errstate(all="ignore"):
            result = value(*inputs)
        return [np.broadcast_to(result, outputs[0].shape).astype(outputs[0].dtype)]

    def vjp(node: Node, g: Variable) -> list[Variable | None]:
        terms = rule(g, *node.inputs)
        return [sum_to(term, v) for term, v in zip(terms, node.inputs, strict=True)]

    def masked_vjp(node: Node, g: Variable) -> list[Variable | None]:
        terms = [switch(eq(g, 0), 0, term) for term in rule(g, *node.inputs)]
        return [sum_to(term, v) for term, v in zip(terms, node.inputs, strict=True)]

    return register_op(
        Op(name, _infer, reference, vjp, masked_vjp, lower=lambda node: [lower(*node.inputs)])
    )


LOGADDEXP = _compose(
    "logaddexp",
    np.logaddexp,
    lambda x, y: add(maximum(x, y), softplus(neg(abs_(_distance(x, y))))),
    lambda g, x, y: (mul(g, logistic(sub(x, y))), mul(g, logistic(sub(y, x)))),
)


def _distance(x: Variable, y: Variable) -> Variable:
    """x - y, and 0 where both are the same infinity."""
    return switch(eq(x, y), 0, sub(x, y))


def _difference(x: Array, y: Array) -> Array:
    distance = x - y
    near = np.where(distance == 0, 0, np.exp(y) * np.expm1(distance))
    difference: Array = np.where(np.abs(distance) < 1, near, np.exp(x) - np.exp(y))
    return difference


# exp(x) - exp(y) without cancellation
EXP_DIFFERENCE = _compose(
    "exp_difference",
    _difference,
    lambda x, y: switch(
        eq(x, y),
        sub(x, y),
        switch(lt(abs_(sub(x, y)), 1), mul(exp(y), expm1(sub(x, y))), sub(exp(x), exp(y))),
    ),
    lambda g, x, y: (mul(g, exp(x)), neg(mul(g, exp(y)))),
)


def _product(y: Array, x: Array) -> Array:
    product: Array = np.where((y == 0) & np.isinf(x), 0, y * x)
    return product


# y * x where an infinite x, a logarithm of 0, counts as finite beside y = 0
MUL_LOG = _compose(
    "mul_log",
    _product,
    lambda y, x: switch(and_(eq(y, 0), isinf(x)), 0, mul(y, x)),
    lambda g, y, x: (mul(g, x), mul(g, y)),
)
