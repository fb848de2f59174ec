"""Sums and means over windows of the last two axes. Both are linear, so derivatives of any order
are the same two kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.contracts.pool2d.average_pool2d import INSIDE, PADDED, SUM
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import HostValues, Node, Op, Variable
from tinygrad_mnist.ops.kernels import define_kernel
from tinygrad_mnist.ops.pool import pool_images, pooled_type


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [pooled_type(params, types[0])]


def _vjp(node: Node, g: Variable) -> list[Variable | None]:
    return [_GRAD_OF(g, node.inputs[0], **node.params)]


# x (N, C, H, W) -> y (N, C, PH, PW)
AVERAGE_POOL2D = define_kernel("average_pool2d", _infer, vjp=_vjp)


def _grad_of_vjp(node: Node, h: Variable) -> list[Variable | None]:
    return [AVERAGE_POOL2D(h, **node.params), None]


def _grad_of_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    g, x = inputs
    return [
        AVERAGE_POOL2D_GRAD(
            g, **node.params, shape=x.type.static_shape, broadcastable=x.broadcastable
        )
    ]


# The second input, the pooled images, is there only for its shape.
_GRAD_OF = register_op(
    Op(
        "average_pool2d_grad_of",
        lambda params, types: [types[1]],
        None,
        vjp=_grad_of_vjp,
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
