"""Ops that return their operand as it is and change its gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.graph.op import as_variable, register_op
from tinygrad_mnist.graph.types import TensorType, compute_dtype
from tinygrad_mnist.graph.values import number
from tinygrad_mnist.graph.variables import Node, Op, Variable, Vjp
from tinygrad_mnist.ops.elementwise import ApiFunction, clip, common, define, number_like

zero_grad: ApiFunction = define(
    "zero_grad", 1, common, None, "identity", doc="x, with the gradient zero"
)


def _same_type(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return list(types)


def _same_value(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    return list(inputs)


def _define(name: str, vjp: Vjp) -> Op:
    return register_op(Op(name, _same_type, _same_value, vjp, tape_op="identity"))


def _scale_vjp(node: Node, g: Variable) -> list[Variable | None]:
    return [g * number_like(node.params["multiplier"], g)]


def _clip_vjp(node: Node, g: Variable) -> list[Variable | None]:
    low, high = (number_like(node.params[bound], g) for bound in ("low", "high"))
    return [clip(g, low, high)]


_GRAD_SCALE = _define("grad_scale", _scale_vjp)
_GRAD_CLIP = _define("grad_clip", _clip_vjp)


def consider_constant(x: Any) -> Variable:
    """Theano's older name for `zero_grad`."""
    return zero_grad(x)


def grad_scale(x: Any, multiplier: float) -> Variable:
    """`x`, with its gradient multiplied by a number."""
    v = as_variable(x)
    factor = number(multiplier, "the multiplier of grad_scale")
    return _GRAD_SCALE(v, multiplier=factor, compute=compute_dtype(v.dtype))


def grad_clip(x: Any, lower_bound: float, upper_bound: float) -> Variable:
    """`x`, with every element of its gradient clipped to two numbers."""
    v = as_variable(x)
    low = number(lower_bound, "the lower bound of grad_clip")
    high = number(upper_bound, "the upper bound of grad_clip")
    return _GRAD_CLIP(v, low=low, high=high, compute=compute_dtype(v.dtype))
