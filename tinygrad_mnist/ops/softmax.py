"""softmax and log-softmax: the ops work on the rows of a matrix, the functions along any axes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import mul
from typing import Any

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import OPS, as_variable, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node, Op, Variable
from tinygrad_mnist.ops.elementwise import cast, exp
from tinygrad_mnist.ops.kernels import define_kernel
from tinygrad_mnist.ops.reduce import normalise_axes, sum_
from tinygrad_mnist.ops.shape import dimshuffle, length, reshape


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [types[0]]


def _softmax_vjp(node: Node, g: Variable) -> list[Variable | None]:
    return [SOFTMAX_GRAD(g, node.outputs[0])]


def _log_softmax_vjp(node: Node, g: Variable) -> list[Variable | None]:
    z = node.outputs[0]
    return [g - exp(z) * sum_(g, axis=1, keepdims=True)]


SOFTMAX = define_kernel("softmax", _infer, vjp=_softmax_vjp)
LOG_SOFTMAX = define_kernel("log_softmax", _infer, vjp=_log_softmax_vjp)


def _grad_formula(g: Variable, s: Variable) -> Variable:
    return s * (g - sum_(g * s, axis=1, keepdims=True))


def _grad_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    g, s = inputs
    return [s * (g - (g * s).sum(axis=1, keepdims=True))]


def _grad_vjp(node: Node, h: Variable) -> list[Variable | None]:
    g, s = node.inputs
    along_g = _grad_formula(h, s)  # the Jacobian of softmax is symmetric
    inner = sum_(g * s, axis=1, keepdims=True)
    along_s = h * (g - inner) - g * sum_(h * s, axis=1, keepdims=True)
    return [along_g, along_s]


# The gradient of a softmax and the softmax -> the gradient of its argument. It is an op until it is
# lowered, so that the rules for cross-entropy can match it.
SOFTMAX_GRAD = register_op(
    Op(
        "softmax_grad",
        _infer,
        _grad_reference,
        vjp=_grad_vjp,
        lower=lambda node: [_grad_formula(*node.inputs)],
    )
)


def _along(op: Op, of_axes: str, x: Any, axis: Any) -> Variable:
    """`op`, which works on the rows of a matrix, along any axes. of_axes: the name of the op that
    does the same along several axes, or along one that is not the last."""
    variable = as_variable(x)
    if variable.type.is_discrete:
        variable = cast(variable, "floatX")
    ndim = variable.ndim
    if ndim == 0:
        raise GraphTypeError(f"{op.name} needs at least one axis; it got {variable.type}")
    axes = normalise_axes(axis, ndim)
    if axes != (ndim - 1,):
        return OPS[of_axes](variable, axes=axes)
    if ndim == 1:
        return dimshuffle(op(dimshuffle(variable, "x", 0)), 1)
    if ndim == 2:
        return op(variable)
    lengths = [length(variable, i) for i in range(ndim)]
    rows = reduce(mul, lengths[:-1])
    return reshape(op(reshape(variable, [rows, lengths[-1]])), lengths)


@api_function
def softmax(x: Any, axis: Any = -1) -> Variable:
    """exp(x) / sum(exp(x)), the sum over an axis: the rows of a matrix, or a vector.

    axis: an int, several ints, or None for all axes. Raises GraphTypeError for a scalar, AxisError.
    """
    return _along(SOFTMAX, "share", x, axis)


@api_function
def log_softmax(x: Any, axis: Any = -1) -> Variable:
    """log(softmax(x, axis)), computed without leaving the range of the dtype."""
    return _along(LOG_SOFTMAX, "log_share", x, axis)
