"""softmax and log-softmax over the rows of a matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import Op, as_variable, register_op
from tinygrad_mnist.graph.operators import word
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import cast, exp
from tinygrad_mnist.ops.reduce import sum_
from tinygrad_mnist.ops.shape import dimshuffle


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [types[0]]


def _softmax_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    g = cotangents[0]
    assert g is not None
    return [SOFTMAX_GRAD(g, node.outputs[0])]


def _log_softmax_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    g, z = cotangents[0], node.outputs[0]
    assert g is not None
    return [g - exp(z) * sum_(g, axis=1, keepdims=True)]


SOFTMAX = register_op(
    Op("softmax", _infer, CONTRACTS["softmax"].reference, vjp=_softmax_vjp, contract="softmax")
)
LOG_SOFTMAX = register_op(
    Op(
        "log_softmax",
        _infer,
        CONTRACTS["log_softmax"].reference,
        vjp=_log_softmax_vjp,
        contract="log_softmax",
    )
)


def _grad_formula(g: Variable, s: Variable) -> Variable:
    return s * (g - sum_(g * s, axis=1, keepdims=True))


def _grad_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    g, s = inputs
    return [s * (g - (g * s).sum(axis=1, keepdims=True))]


def _grad_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    (g, s), h = node.inputs, cotangents[0]
    assert h is not None
    along_g = _grad_formula(h, s)  # the Jacobian of softmax is symmetric
    inner = sum_(g * s, axis=1, keepdims=True)
    along_s = h * (g - inner) - g * sum_(h * s, axis=1, keepdims=True)
    return [along_g, along_s]


# A cotangent and the softmax itself -> the cotangent of its argument. An op of its own until it is
# lowered, so that the rules for cross-entropy can see it.
SOFTMAX_GRAD = register_op(
    Op(
        "softmax_grad",
        _infer,
        _grad_reference,
        vjp=_grad_vjp,
        lower=lambda node: [_grad_formula(*node.inputs)],
    )
)


def _rows(op: Op, x: Any) -> Variable:
    variable = as_variable(x)
    if variable.type.is_discrete:
        variable = cast(variable, "floatX")
    if variable.ndim == 1:
        return dimshuffle(op(dimshuffle(variable, "x", 0)), 1)
    if variable.ndim != 2:
        raise GraphTypeError(f"{op.name} takes a vector or a matrix, not {variable.type}")
    return op(variable)


@word
def softmax(x: Any) -> Variable:
    """exp(x) / sum(exp(x)) over each row of a matrix, or over a vector."""
    return _rows(SOFTMAX, x)


@word
def log_softmax(x: Any) -> Variable:
    """log(softmax(x)), computed without leaving the range of the dtype."""
    return _rows(LOG_SOFTMAX, x)
