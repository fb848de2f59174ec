"""Softmaxes that are written out, along any axes: shares of a sum of exponentials.

`softmax` has the op that users call. These are made by the stabilisation of graphs. Their values
and gradients have all their digits where one share is close to 1 and the others are tiny.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.graph.op import constant, register_op
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node, Op, Variable, Vjp, no_slope
from tinygrad_mnist.ops.elementwise import (
    add,
    eq,
    exp,
    gt,
    log1p,
    minimum,
    mul,
    neg,
    neq,
    stop_gradient,
    sub,
    switch,
    true_div,
)
from tinygrad_mnist.ops.exponential import expm1
from tinygrad_mnist.ops.logical import isinf
from tinygrad_mnist.ops.reduce import any_, max_, reduced_type, sum_
from tinygrad_mnist.ops.shape import dimshuffle, static_broadcast
from tinygrad_mnist.ops.softmax import SOFTMAX

_LN2 = math.log(2)


def top(x: Variable, axes: tuple[int, ...]) -> Variable:
    """The maximum over axes, which it keeps; a finite number, and a constant for gradients."""
    return stop_gradient(finite(LARGEST(x, axes=axes)))


def finite(v: Variable) -> Variable:
    """v, and 0 in place of an infinity: x - x would be NaN there, but where 0 is subtracted from
    exponents, their exponentials are those of the program."""
    return switch(isinf(v), 0, v)


# --- the largest exponent ----------------------------------------------------------------------


def _largest_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [reduced_type(params, types[0], types[0].dtype)]


def _largest(x: Array, axes: tuple[int, ...]) -> Array:
    result: Array = x.max(axis=axes, keepdims=True, initial=-np.inf)
    return result


def _largest_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [_largest(inputs[0], params["axes"])]


def _largest_lower(node: Node) -> list[Variable]:
    (x,), z, axes = node.inputs, node.outputs[0], node.params["axes"]
    if all(x.type.static_shape[a] for a in axes):
        return [max_(x, axes, keepdims=True)]
    nothing = constant(np.full((1,) * x.ndim, -np.inf), x.dtype)
    return [static_broadcast(nothing, z.type.static_shape, z.broadcastable)]


# The maximum over params["axes"], which it keeps, for sums of exponentials: of no elements it is
# -inf, since the sum of none is 0. Its gradient is zero: what is computed with it doesn't depend on
# it.
LARGEST = register_op(
    Op(
        "largest",
        _largest_infer,
        _largest_reference,
        vjp=no_slope,
        lower=_largest_lower,
        shown="axes",
    )
)


# --- the logarithm of a sum of exponentials -------------------------------------------------------


def _lse_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    x, top = inputs
    with np.errstate(all="ignore"):
        largest = x == top
        ties = largest.sum(axis=params["axes"], keepdims=True)
        rest = np.where(largest, 0, np.exp(x - top)).sum(axis=params["axes"], keepdims=True)
        return [np.log1p(rest + (ties - 1)).astype(outputs[0].dtype)]


def _lse_lower(node: Node) -> list[Variable]:
    (x, top), axes = node.inputs, node.params["axes"]
    largest = eq(x, top)
    one, nothing = constant(1, x.dtype), constant(0, x.dtype)
    ties = sum_(switch(largest, one, nothing), axes, keepdims=True)
    rest = sum_(switch(largest, nothing, exp(sub(x, top))), axes, keepdims=True)
    return [log1p(add(rest, sub(ties, one)))]


def _lse_vjp(node: Node, g: Variable) -> list[Variable | None]:
    (x, top), z = node.inputs, node.outputs[0]
    return [mul(g, exp(sub(sub(x, top), z))), None]


def _lse_masked_vjp(node: Node, g: Variable) -> list[Variable | None]:
    slope, _ = _lse_vjp(node, g)
    return [switch(eq(g, 0), 0, slope), None]


# x, its maximum over params["axes"] -> log(sum(exp(x - maximum))) over these axes, which it keeps.
# It has all its digits where it is close to 0, that is, where one term is much larger than the
# others. No gradient passes through the maximum: it has no say in what callers make of the two.
LOG_SUM_EXP = register_op(
    Op(
        "log_sum_exp",
        _largest_infer,
        _lse_reference,
        _lse_vjp,
        _lse_masked_vjp,
        lower=_lse_lower,
        shown="axes",
    )
)


# --- shares ---------------------------------------------------------------------------------------


def _same_type(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [types[0]]


def _masked(vjp: Vjp) -> Vjp:
    """The vjp of a share with a result of 0 wherever the gradient of all shares of a sum is 0."""

    def masked_vjp(node: Node, g: Variable) -> list[Variable | None]:
        is_used = any_(neq(g, 0), node.params["axes"], keepdims=True)
        return [None if term is None else switch(is_used, term, 0) for term in vjp(node, g)]

    return masked_vjp


def _log_share(x: Array, axes: tuple[int, ...]) -> Array:
    largest = _largest(x, axes)
    (total,) = _lse_reference({"axes": axes}, [x, largest], [ArraySpec(x.dtype.name, x.shape)])
    result: Array = x - largest - total
    return result


def _log_share_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [_log_share(inputs[0], params["axes"]).astype(outputs[0].dtype)]


def _log_share_lower(node: Node) -> list[Variable]:
    x, axes = node.inputs[0], node.params["axes"]
    largest = top(x, axes)
    return [sub(sub(x, largest), LOG_SUM_EXP(x, largest, axes=axes))]


def _log_share_vjp(node: Node, g: Variable) -> list[Variable | None]:
    """g - p * sum(g), in which nothing cancels for the share that is more than 1/2."""
    z, axes = node.outputs[0], node.params["axes"]
    p = exp(z)
    most = gt(p, 0.5)
    others = sum_(switch(most, 0, g), axes, keepdims=True)
    of_most = sub(mul(neg(expm1(z)), g), mul(p, others))
    return [switch(most, of_most, sub(g, mul(p, sum_(g, axes, keepdims=True))))]


# log(exp(x) / sum(exp(x))), the sum over params["axes"]
LOG_SHARE = register_op(
    Op(
        "log_share",
        _same_type,
        _log_share_reference,
        _log_share_vjp,
        _masked(_log_share_vjp),
        lower=_log_share_lower,
        shown="axes",
    )
)


def _share_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [np.exp(_log_share(inputs[0], params["axes"])).astype(outputs[0].dtype)]


def _share_lower(node: Node) -> list[Variable]:
    x, axes = node.inputs[0], node.params["axes"]
    if x.ndim == 2 and axes == (1,):
        return [SOFTMAX(x)]
    if x.ndim == 2 and axes == (0,):
        return [dimshuffle(SOFTMAX(dimshuffle(x, 1, 0)), 1, 0)]
    if x.ndim == 1 and axes == (0,):
        return [dimshuffle(SOFTMAX(dimshuffle(x, "x", 0)), 1)]
    powers = exp(sub(x, top(x, axes)))
    return [true_div(powers, sum_(powers, axes, keepdims=True))]


def _along_share(g: Variable, p: Variable, axes: tuple[int, ...]) -> Variable:
    """p * (g - sum(g * p)), relative to the gradient of the share that is more than 1/2."""
    relative = sub(g, sum_(switch(gt(p, 0.5), g, 0), axes, keepdims=True))
    return mul(p, sub(relative, sum_(mul(relative, p), axes, keepdims=True)))


def _share_vjp(node: Node, g: Variable) -> list[Variable | None]:
    return [_along_share(g, node.outputs[0], node.params["axes"])]


# exp(x) / sum(exp(x)), the sum over params["axes"]
SHARE = register_op(
    Op(
        "share",
        _same_type,
        _share_reference,
        _share_vjp,
        _masked(_share_vjp),
        lower=_share_lower,
        shown="axes",
    )
)


# --- what the others have -------------------------------------------------------------------------


def _log_rest(x: Array, axes: tuple[int, ...]) -> Array:
    with np.errstate(all="ignore"):
        log_share = _log_share(x, axes)
        most = log_share > -_LN2
        others = np.where(most, -np.inf, x)
        largest = np.maximum(_largest(others, axes), np.finfo(x.dtype).min)
        total = np.log(np.exp(others - largest).sum(axis=axes, keepdims=True)) + largest
        near = total - x + log_share
        result: Array = np.where(most, near, np.log1p(-np.exp(np.minimum(log_share, -_LN2))))
        return result


def _log_rest_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [_log_rest(inputs[0], params["axes"]).astype(outputs[0].dtype)]


def _log_rest_lower(node: Node) -> list[Variable]:
    """Where the share is more than 1/2, the others' sum relative to it, plus its own logarithm."""
    x, axes = node.inputs[0], node.params["axes"]
    log_share = LOG_SHARE(x, axes=axes)
    most = gt(log_share, -_LN2)
    others = switch(most, -np.inf, x)
    largest = top(others, axes)
    total = add(sub(largest, x), LOG_SUM_EXP(others, largest, axes=axes))
    return [switch(most, add(total, log_share), log1p(neg(exp(log_share))))]


def _log_rest_vjp(node: Node, g: Variable) -> list[Variable | None]:
    """With w = g * p / (1 - p), it is p * sum(w) - w. For the share m that is more than 1/2, w may
    be infinite, and so it is kept apart as g[m] * exp(odds)."""
    x, z, axes = node.inputs[0], node.outputs[0], node.params["axes"]
    log_share = LOG_SHARE(x, axes=axes)
    p, odds, most = exp(log_share), sub(log_share, z), gt(log_share, -_LN2)
    w = switch(most, 0, mul(g, exp(minimum(odds, 0))))
    g_most = sum_(switch(most, g, 0), axes, keepdims=True)
    odds_of_most = sum_(switch(most, odds, 0), axes, keepdims=True)
    total = sum_(w, axes, keepdims=True)
    of_others = add(sub(mul(p, total), w), mul(g_most, exp(add(log_share, odds_of_most))))
    return [switch(most, mul(p, sub(total, g)), of_others)]


# log(1 - share(x)), over params["axes"]
LOG_REST = register_op(
    Op(
        "log_rest",
        _same_type,
        _log_rest_reference,
        _log_rest_vjp,
        _masked(_log_rest_vjp),
        lower=_log_rest_lower,
        shown="axes",
    )
)


def _rest_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return [np.exp(_log_rest(inputs[0], params["axes"])).astype(outputs[0].dtype)]


def _rest_lower(node: Node) -> list[Variable]:
    """1 - p without cancellation: where p is more than 1/2, the sum of the other shares."""
    x, axes = node.inputs[0], node.params["axes"]
    share = SHARE(x, axes=axes)
    most = gt(share, 0.5)
    others = sum_(switch(most, 0, share), axes, keepdims=True)
    return [switch(most, others, sub(1, share))]


def _rest_vjp(node: Node, g: Variable) -> list[Variable | None]:
    x, axes = node.inputs[0], node.params["axes"]
    return [neg(_along_share(g, SHARE(x, axes=axes), axes))]


# 1 - share(x), over params["axes"]
REST = register_op(
    Op(
        "rest",
        _same_type,
        _rest_reference,
        _rest_vjp,
        _masked(_rest_vjp),
        lower=_rest_lower,
        shown="axes",
    )
)
