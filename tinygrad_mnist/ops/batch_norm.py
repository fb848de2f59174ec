"""Batch normalisation with the batch's own statistics, and its gradient.

Both ops are defined as compositions: `_formula` and `_grad_formula`. A backend with the kernels
`batch_norm` and `batch_norm_grad` runs these instead, over three axes: those before the kept ones,
the kept ones, and those after them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Params
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.graph.op import as_variable, constant, register_op
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import Node, Op, Variable
from tinygrad_mnist.ops.elementwise import cast, sqr, sqrt
from tinygrad_mnist.ops.fused import BATCH_NORM, BATCH_NORM_GRAD
from tinygrad_mnist.ops.reduce import sum_
from tinygrad_mnist.ops.shape import broadcast_like, dimshuffle, length, static_reshape

Axes = tuple[int, ...]


def _statistics_type(x: TensorType, axes: Axes) -> TensorType:
    return TensorType(
        x.dtype,
        tuple(b or i in axes for i, b in enumerate(x.broadcastable)),
        tuple(1 if i in axes else n for i, n in enumerate(x.shape)),
    )


def _check_shapes(x: TensorType, axes: Axes, **parameters: TensorType) -> None:
    """Each parameter has the shape of x, with 1 along the axes."""
    wanted = _statistics_type(x, axes).shape
    for name, t in parameters.items():
        if any(None not in (n, m) and n != m for n, m in zip(t.shape, wanted, strict=True)):
            raise ShapeError(
                f"{name} has shape {t.shape}; values of shape {x.shape} that are normalised over "
                f"the axes {axes} need {wanted}"
            )


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, gamma, beta = types
    _check_shapes(x, params["axes"], gamma=gamma, beta=beta)
    statistics = _statistics_type(x, params["axes"])
    return [x, statistics, statistics, statistics]


def _reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    x, gamma, beta = inputs
    axes: Axes = params["axes"]
    centre = x.mean(axes, keepdims=True)
    variance = np.square(x - centre).mean(axes, keepdims=True)
    invstd = (1 / np.sqrt(variance + params["epsilon"])).astype(x.dtype)
    return [(x - centre) * (gamma * invstd) + beta, centre, invstd, variance]


def _count(x: Variable, axes: Axes) -> Variable:
    """The number of values that share one mean, in the dtype of x."""
    count: Variable = as_variable(1)
    for a in axes:
        count = count * length(x, a)
    return cast(count, x.dtype)


def _formula(node: Node) -> list[Variable]:
    (x, gamma, beta), axes = node.inputs, node.params["axes"]
    m = _count(x, axes)
    centre = sum_(x, axes, keepdims=True) / m
    centred = x - centre
    variance = sum_(sqr(centred), axes, keepdims=True) / m
    invstd = 1 / sqrt(variance + constant(node.params["epsilon"], x.dtype))
    return [centred * (gamma * invstd) + beta, centre, invstd, variance]


def _vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    x, gamma, _ = node.inputs
    _, centre, invstd, _ = node.outputs
    g, along_mean, along_invstd, along_variance = cotangents
    axes: Axes = node.params["axes"]
    terms: list[Variable] = []
    dgamma = dbeta = None
    if g is not None:
        grad = BATCH_NORMALIZATION_GRAD.node(x, g, gamma, centre, invstd, axes=axes)
        dx, dgamma, dbeta = grad.outputs
        terms.append(dx)
    by_variance = [] if along_variance is None else [along_variance]
    if along_invstd is not None:
        by_variance.append(along_invstd * invstd * sqr(invstd) * -0.5)
    if by_variance:
        terms.append((x - centre) * (_total(by_variance) * 2 / _count(x, axes)))
    if along_mean is not None:
        terms.append(broadcast_like(along_mean / _count(x, axes), x))
    return [_total(terms), dgamma, dbeta]


def _total(terms: Sequence[Variable]) -> Variable:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total


@dataclass(frozen=True)
class _Layout:
    """Values reshaped to (A, C, B): statistics are over A and B."""

    order: tuple[int, ...]
    shape: tuple[int, int, int]
    axes: Axes

    @staticmethod
    def of(x: Variable, axes: Axes) -> _Layout:
        lengths = x.type.static_shape
        kept = [i for i in range(x.ndim) if i not in axes]
        behind = kept[-1] + 1 if kept else 0
        if kept and kept != list(range(kept[0], behind)):
            order = (*axes, *kept)  # the values have to be moved
            behind = x.ndim
        else:
            order = tuple(range(x.ndim))
        channels = prod(lengths[i] for i in kept)
        inner = prod(lengths[i] for i in order[behind:])
        outer = prod(lengths[i] for i in axes) // inner if inner else 0
        if channels == 1:
            outer, inner = 1, outer * inner
        return _Layout(order, (outer, channels, inner), axes)

    def values(self, v: Variable) -> Variable:
        return static_reshape(dimshuffle(v, *self.order), self.shape, (False,) * 3)

    def channels(self, v: Variable) -> Variable:
        return static_reshape(dimshuffle(v, *self.order), self.shape[1:2], (False,))

    def restored(self, v: Variable, like: Variable) -> Variable:
        """Values or channels in the type of `like`."""
        lengths = tuple(like.type.static_shape[i] for i in self.order)
        flags = tuple(like.broadcastable[i] for i in self.order)
        back = (self.order.index(i) for i in range(like.ndim))
        return dimshuffle(static_reshape(v, lengths, flags), *back)

    def types(self, dtype: str, n_channels: int) -> tuple[TensorType, ...]:
        """The types of a kernel's results: values, then `n_channels` of channels."""
        channels = TensorType(dtype, (False,), self.shape[1:2])
        return TensorType(dtype, (False,) * 3, self.shape), *(channels,) * n_channels


def _as_kernel(node: Node) -> list[Variable]:
    x, gamma, beta = node.inputs
    layout = _Layout.of(x, node.params["axes"])
    fused = BATCH_NORM.node(
        layout.values(x),
        layout.channels(gamma),
        layout.channels(beta),
        constant(node.params["epsilon"], x.dtype),
        types=layout.types(x.dtype, 3),
        epilogue=Tape.identity(x.dtype),
    )
    return [layout.restored(v, z) for v, z in zip(fused.outputs, node.outputs, strict=True)]


# x, gamma, beta (1 along the axes) -> normalised x, mean, 1 / sqrt(variance + epsilon), variance;
# params axes (sorted), epsilon
BATCH_NORMALIZATION = register_op(
    Op(
        "batch_normalization",
        _infer,
        _reference,
        multi_vjp=_vjp,
        lower=_formula,
        whole=("batch_norm", _as_kernel),
    )
)


# --- gradient ---------------------------------------------------------------------------------


def _grad_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, statistics = types[0], _statistics_type(types[0], params["axes"])
    return [x, statistics, statistics]


def _grad_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    x, g, gamma, centre, invstd = inputs
    axes: Axes = params["axes"]
    xhat = (x - centre) * invstd
    dgamma, dbeta = (g * xhat).sum(axes, keepdims=True), g.sum(axes, keepdims=True)
    m = x.dtype.type(prod(x.shape[a] for a in axes))
    return [gamma * invstd * (g - dbeta / m - xhat * (dgamma / m)), dgamma, dbeta]


def _grad_formula(node: Node) -> list[Variable]:
    (x, g, gamma, centre, invstd), axes = node.inputs, node.params["axes"]
    m = _count(x, axes)
    xhat = (x - centre) * invstd
    dgamma, dbeta = sum_(g * xhat, axes, keepdims=True), sum_(g, axes, keepdims=True)
    return [gamma * invstd * (g - dbeta / m - xhat * (dgamma / m)), dgamma, dbeta]


def _grad_vjp(node: Node, cotangents: Sequence[Variable | None]) -> list[Variable | None]:
    x, g, gamma, centre, invstd = node.inputs
    _, dgamma, dbeta = node.outputs
    h, along_dgamma, along_dbeta = cotangents
    axes: Axes = node.params["axes"]
    xhat, m = (x - centre) * invstd, _count(x, axes)
    by_g: list[Variable] = []
    by_xhat: list[Variable] = []
    by_gamma = by_invstd = None
    if h is not None:
        scale = gamma * invstd
        mean_h = sum_(h, axes, keepdims=True) / m
        mean_hx = sum_(h * xhat, axes, keepdims=True) / m
        inner = sum_(h * g, axes, keepdims=True) - dbeta * mean_h - dgamma * mean_hx
        by_g.append(scale * (h - mean_h - xhat * mean_hx))
        by_xhat.append(-scale * (g * mean_hx + h * (dgamma / m)))
        by_gamma, by_invstd = invstd * inner, gamma * inner
    if along_dgamma is not None:
        by_g.append(along_dgamma * xhat)
        by_xhat.append(along_dgamma * g)
    if along_dbeta is not None:
        by_g.append(broadcast_like(along_dbeta, g))
    if not by_xhat:
        return [None, _total(by_g), None, None, None]
    along_xhat = _total(by_xhat)
    stretched = sum_(along_xhat * (x - centre), axes, keepdims=True)
    return [
        along_xhat * invstd,
        _total(by_g),
        by_gamma,
        -sum_(along_xhat, axes, keepdims=True) * invstd,
        stretched if by_invstd is None else by_invstd + stretched,
    ]


def _grad_as_kernel(node: Node) -> list[Variable]:
    x, g, gamma, centre, invstd = node.inputs
    layout = _Layout.of(x, node.params["axes"])
    fused = BATCH_NORM_GRAD.node(
        layout.values(x),
        layout.values(g),
        layout.channels(gamma),
        layout.channels(centre),
        layout.channels(invstd),
        types=layout.types(x.dtype, 2),
    )
    return [layout.restored(v, z) for v, z in zip(fused.outputs, node.outputs, strict=True)]


# x, the cotangent of the normalised x, gamma, mean, invstd -> cotangents of x, gamma, beta
BATCH_NORMALIZATION_GRAD = register_op(
    Op(
        "batch_normalization_grad",
        _grad_infer,
        _grad_reference,
        multi_vjp=_grad_vjp,
        lower=_grad_formula,
        whole=("batch_norm_grad", _grad_as_kernel),
    )
)
