"""Ops that only the stabilisation of graphs makes; see `stability` and docs/stability.md.

Each computes what a plainer expression computes, with a gradient that stays accurate or finite
where the plain one's doesn't.
"""

from __future__ import annotations

import math
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
    gt,
    lt,
    maximum,
    mul,
    neg,
    number_like,
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
        eq(sub(x, y), 0),
        0,
        switch(lt(abs_(sub(x, y)), 1), mul(exp(y), expm1(sub(x, y))), sub(exp(x), exp(y))),
    ),
    lambda g, x, y: (mul(g, exp(x)), neg(mul(g, exp(y)))),
)


def _limit(dtype: str) -> float:
    """Up to which size of m exp(m) is surely a normal number."""
    return 0.98 * math.log(float(np.finfo(dtype).max))


def _product_with_exp(c: Array, m: Array) -> Array:
    one, half = c.dtype.type(1), c.dtype.type(0.5)
    is_far = np.abs(m) > _limit(c.dtype.name)
    step = np.where(c * half == c, np.finfo(c.dtype).tiny, np.where(is_far, half, one))
    root: Array = np.exp(m * step)
    return c * root * np.where(is_far, root, one)


def _product_with_exp_lowered(c: Variable, m: Variable) -> Variable:
    """Where exp(m) may be too large or small for the product, c is multiplied by its root, twice.
    Where c is 0 or infinite, which is where it is its own half, any power of it does for a finite
    m: one near 1."""
    half, tiny = number_like(0.5, m), number_like(float(np.finfo(m.dtype).tiny), m)
    is_far = gt(abs_(m), number_like(_limit(m.dtype), m))
    step = switch(eq(mul(c, half), c), tiny, switch(is_far, half, 1))
    root = exp(mul(m, step))
    return mul(mul(c, root), switch(is_far, root, 1))


def _along_product_with_exp(g: Variable, c: Variable, m: Variable) -> tuple[Variable, Variable]:
    is_far = gt(abs_(m), number_like(_limit(m.dtype), m))
    root = exp(mul(m, switch(is_far, number_like(0.5, m), 1)))
    return mul(mul(g, root), switch(is_far, root, 1)), mul(g, MUL_EXP(c, m))


# c * exp(m), also where exp(m) alone is too large or too small
MUL_EXP = _compose("mul_exp", _product_with_exp, _product_with_exp_lowered, _along_product_with_exp)


# --- products with logarithms ---------------------------------------------------------------------


def _mul_log_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    y, x, is_log_of_0 = inputs
    with np.errstate(all="ignore"):
        result = np.where((y == 0) & is_log_of_0 & np.isinf(x), 0, y * x)
    return [np.broadcast_to(result, outputs[0].shape).astype(outputs[0].dtype)]


def _mul_log_lower(node: Node) -> list[Variable]:
    y, x, is_log_of_0 = node.inputs
    return [switch(and_(and_(eq(y, 0), is_log_of_0), isinf(x)), 0, mul(y, x))]


def _mul_log_vjp(node: Node, g: Variable) -> list[Variable | None]:
    y, x, _ = node.inputs
    return [sum_to(mul(g, x), y), sum_to(mul(g, y), x), None]


def _mul_log_masked_vjp(node: Node, g: Variable) -> list[Variable | None]:
    y, x, _ = node.inputs
    along_y, along_x = (switch(eq(g, 0), 0, mul(g, v)) for v in (x, y))
    return [sum_to(along_y, y), sum_to(along_x, x), None]


# y, x, bools -> y * x, and 0 where y is 0 and x is infinite because a logarithm in it is one of 0.
# The bools say where that is.
MUL_LOG = register_op(
    Op(
        "mul_log",
        _infer,
        _mul_log_reference,
        _mul_log_vjp,
        _mul_log_masked_vjp,
        lower=_mul_log_lower,
    )
)
