"""Linear recurrences and cumulative products along an axis.

A recurrence's gradient is a recurrence from the other end. So no product is ever divided by a
factor, and the gradient of a cumulative product is right where factors are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.graph.op import as_variable, constant
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.source import error_context, user_source
from tinygrad_mnist.graph.types import TensorType, compute_dtype
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.creation import zeros_like
from tinygrad_mnist.ops.elementwise import cast, mul
from tinygrad_mnist.ops.index import set_subtensor
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.kernels import define_kernel
from tinygrad_mnist.ops.reduce import normalise_axes
from tinygrad_mnist.ops.shape import broadcast_like, flatten


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, a = types
    if any(n != m and None not in (n, m) for n, m in zip(x.shape, a.shape, strict=True)):
        raise ShapeError(f"a recurrence of shapes {x.shape} and {a.shape}")
    return [x]


def _vjp(node: Node, g: Variable) -> list[Variable | None]:
    """dx = h, the sum of what each y passes on to itself and to later ones, and
    da[k] = h[k] y[k - 1]."""
    (x, a), y = node.inputs, node.outputs[0]
    if x.type.is_discrete:
        return [None, None]
    axis, reverse = node.params["axis"], node.params["reverse"]
    h = RECURRENCE(g, _shifted(a, axis, back=not reverse), axis=axis, reverse=not reverse)
    return [h, mul(h, _shifted(y, axis, back=reverse))]


def _shifted(x: Variable, axis: int, back: bool) -> Variable:
    """`x` moved by one place along an axis, towards its front if `back`; a 0 comes in."""
    before = (slice(None),) * axis
    nothing = zeros_like(x[*before, :1])
    if back:
        return concatenate([x[*before, 1:], nothing], axis)
    return concatenate([nothing, x[*before, :-1]], axis)


# x and a of float32, float64 or int64 -> like x: y[0] = x[0], y[k] = x[k] + a[k] y[k - 1];
# params axis, reverse
RECURRENCE = define_kernel("recurrence", _infer, vjp=_vjp, shown="axis")


@api_function
def cumprod(x: Any, axis: int | None = None) -> Variable:
    """The products of the elements up to and including each one along `axis`; of the flattened `x`
    if `axis` is None.

    A float keeps its dtype, in which it is multiplied in order; integers and bool give int64.
    Raises GraphTypeError for an axis that is no integer or out of range.
    """
    variable = as_variable(x)
    if axis is None:
        variable, axis = (variable if variable.ndim == 1 else flatten(variable)), 0
    with error_context("cumprod", user_source()):
        (axis,) = normalise_axes((axis,), variable.ndim)
    variable = cast(variable, compute_dtype(variable.dtype))
    first = (*(slice(None),) * axis, slice(1))
    nothing = broadcast_like(constant(-0.0, variable.dtype), variable)  # x + -0.0 is x
    begun = set_subtensor(nothing[first], variable[first])
    return RECURRENCE(begun, variable, axis=axis, reverse=False)
