"""Sums and means over windows of the last two axes. Both are linear, so derivatives of any order
are the same two kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.contracts.pool2d.average_pool2d import INSIDE, PADDED, SUM
from tinygrad_mnist.graph.op import constant, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import HostValues, Node, Op, Variable
from tinygrad_mnist.ops.elementwise import true_div
from tinygrad_mnist.ops.kernels import define_kernel
from tinygrad_mnist.ops.pool import clipped, pool_images, pooled_type


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [pooled_type(params, types[0])]


def _vjp(node: Node, g: Variable) -> list[Variable | None]:
    return [_GRAD_OF(g, node.inputs[0], **node.params)]


def _clipped(params: Params, image: tuple[int, ...], pooled: tuple[int, ...]) -> dict[str, Any]:
    """The parameters of `clipped`, which sum where each window's divisor is `_area`."""
    new = clipped(params, image, pooled)
    return {**new, "count": SUM} if _has_area(params, new) else new


def _has_area(params: Params, new: Params) -> bool:
    """Whether the divisor of a mean is no longer what the clipped windows have inside the padded
    image: all windows are whole there."""
    is_clipped = new["window"] != params["window"]
    return bool(is_clipped and params["count"] == PADDED and params["ignore_border"])


def _divided(v: Variable, params: Params, new: Params) -> Variable:
    """`v` divided by the area of a whole window, where the kernel has summed instead."""
    if new["count"] == params["count"]:
        return v
    return true_div(v, constant(float(params["window"][0] * params["window"][1]), v.dtype))


def _specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    (x,) = inputs
    image, pooled = x.type.static_shape[2:], pooled_type(node.params, x.type).static_shape[2:]
    params = _clipped(node.params, image, pooled)
    y = AVERAGE_POOL2D.rebuild(inputs, params).outputs[0]
    return [_divided(y, node.params, params)]


# x (N, C, H, W) -> y (N, C, PH, PW)
AVERAGE_POOL2D = define_kernel("average_pool2d", _infer, vjp=_vjp, specialise=_specialise)


def _grad_of_vjp(node: Node, h: Variable) -> list[Variable | None]:
    return [AVERAGE_POOL2D(h, **node.params), None]


def _grad_of_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    g, x = inputs
    params = _clipped(node.params, x.type.static_shape[2:], g.type.static_shape[2:])
    params.pop("pooled", None)
    return [
        AVERAGE_POOL2D_GRAD(
            _divided(g, node.params, params),
            **params,
            shape=x.type.static_shape,
            broadcastable=x.broadcastable,
        )
    ]


# The second input, the pooled images, is there only for its shape.
_GRAD_OF = register_op(
    Op(
        "average_pool2d_grad_of",
        lambda params, types: [types[1]],
        None,
        vjp=_grad_of_vjp,
        n_connected=1,
        specialise=_grad_of_specialise,
    )
)


def _grad_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [TensorType(types[0].dtype, params["broadcastable"], params["shape"])]


# g (N, C, PH, PW) -> gradient of the images, (N, C, H, W)
AVERAGE_POOL2D_GRAD = define_kernel("average_pool2d_grad", _grad_infer)


def _pool(
    input: Any, window: Any, ignore_border: bool, stride: Any, padding: Any, count: int
) -> Variable:
    def pool(images: Variable, **params: Any) -> Variable:
        return AVERAGE_POOL2D(images, **params, count=count)

    return pool_images(input, window, ignore_border, stride, padding, pool)


@api_function
def sum_pool(
    input: Any, window: Any, ignore_border: bool, stride: Any = None, padding: Any = (0, 0)
) -> Variable:
    """The sum over windows of the last two axes; the arguments are those of `max_pool`."""
    return _pool(input, window, ignore_border, stride, padding, SUM)


@api_function
def average_pool(
    input: Any,
    window: Any,
    ignore_border: bool,
    stride: Any = None,
    padding: Any = (0, 0),
    count_padding: bool = True,
) -> Variable:
    """The mean over windows of the last two axes; the other arguments are those of `max_pool`.

    count_padding: padding counts as zeros; otherwise a window's mean is over its pixels inside the
    image.
    """
    count = PADDED if count_padding else INSIDE
    return _pool(input, window, ignore_border, stride, padding, count)
