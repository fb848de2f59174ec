"""Cumulative sums along an axis.

The gradient of a cumulative sum is the cumulative sum of the gradient from the other end, so the
op has the parameter `reverse` beside `axis`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.source import error_context, user_source
from tinygrad_mnist.graph.types import TensorType, compute_dtype
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops import infix
from tinygrad_mnist.ops.elementwise import cast
from tinygrad_mnist.ops.kernels import define_kernel
from tinygrad_mnist.ops.reduce import normalise_axes
from tinygrad_mnist.ops.shape import flatten


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [types[0]]


def _vjp(node: Node, g: Variable) -> list[Variable | None]:
    if node.inputs[0].type.is_discrete:
        return [None]
    return [CUMSUM(g, axis=node.params["axis"], reverse=not node.params["reverse"])]


# x of float32, float64 or int64 -> like x; params axis, reverse
CUMSUM = define_kernel("cumsum", _infer, vjp=_vjp, shown="axis", infix=infix.cumsum)


@api_function
def cumsum(x: Any, axis: int | None = None) -> Variable:
    """The sums of the elements up to and including each one along `axis`; of the flattened `x`
    if `axis` is None.

    A float keeps its dtype, in which it is added up in order; integers and bool give int64.
    Raises GraphTypeError for an axis that is no integer or out of range.
    """
    variable = as_variable(x)
    if axis is None:
        variable, axis = (variable if variable.ndim == 1 else flatten(variable)), 0
    with error_context("cumsum", user_source()):
        (axis,) = normalise_axes((axis,), variable.ndim)
    dtype = compute_dtype(variable.dtype)
    if variable.dtype != dtype:
        variable = cast(variable, dtype)
    return CUMSUM(variable, axis=axis, reverse=False)
