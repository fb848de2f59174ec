"""Fused forms: kernels that replace a chain of others where a backend has them.

Only rewrite rules make these; nothing differentiates them. Each promises the numbers of the chain
that it replaces.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node
from tinygrad_mnist.ops.kernels import define_kernel


def _types_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return list(params["types"])


# x, w, epilogue operands -> pooled [, winners]; params of conv2d, pool, winners, types
CONV2D_POOL = define_kernel("conv2d_pool", _types_infer)
# x, w, bias (O,), epilogue operands -> pooled [, winners]; params of CONV2D_POOL
CONV2D_BIAS_POOL = define_kernel("conv2d_bias_pool", _types_infer)
# w, g (pooled), winners, epilogue operands -> gradient of the images
CONV2D_POOL_GRAD_INPUT = define_kernel("conv2d_pool_grad_input", _types_infer)
# x, g (pooled), winners, epilogue operands -> gradient of the filters
CONV2D_POOL_GRAD_FILTER = define_kernel("conv2d_pool_grad_filter", _types_infer)
# x (A, C, B), gamma, beta (C), epsilon (), epilogue operands -> y, mean, invstd, variance; params
# epilogue, types
BATCH_NORM = define_kernel("batch_norm", _types_infer)
# x, g (A, C, B), gamma, mean, invstd (C) -> dx, dgamma, dbeta; params types
BATCH_NORM_GRAD = define_kernel("batch_norm_grad", _types_infer)


def _xent_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    logits = types[0]
    loss = TensorType(logits.dtype, (logits.broadcastable[0],), (logits.shape[0],))
    return [loss, logits]


def _xent_checks(node: Node) -> list[tuple[int, int, int]]:
    classes = node.inputs[0].type.static_shape[1]
    return [(1, -classes, classes)]


# logits (n, c), labels (n,) -> loss (n,), softmax of the logits (n, c)
SOFTMAX_XENT = define_kernel("softmax_xent", _xent_infer, _xent_checks)


def _xent_grad_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [types[0]]


# softmax (n, c), labels (n,), g (n,), epilogue operands -> (softmax - onehot(labels)) * g
SOFTMAX_XENT_GRAD = define_kernel("softmax_xent_grad", _xent_grad_infer, _xent_checks)


def _softmax_layer_checks(node: Node) -> list[tuple[int, int, int]]:
    classes = node.inputs[1].type.static_shape[1]
    return [(3, -classes, classes)]


# x (n, k), w (k, c), bias (1, c), labels (n,), g (n,), epilogue operands (n, k) -> gradients of x
# and of the logits, loss (n,) [, softmax of the logits]; params epilogue, types
SOFTMAX_LAYER = define_kernel("softmax_layer", _types_infer, _softmax_layer_checks)
