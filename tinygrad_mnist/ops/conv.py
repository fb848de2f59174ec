"""Two-dimensional convolution and its two gradients; users call `tensor.nnet.abstract_conv`.

Images are (batch, channels, height, width), filters (filters, channels, height, width). With
`flip` 1 the filter is flipped in both axes, which is convolution proper and Theano's default; with
0 it is cross-correlation. `epilogue` is the identity until the fusion rules add bias, activation or
an update to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import HostValues, Node, Op, Variable
from tinygrad_mnist.ops.kernels import define_kernel

Pair = tuple[int, int]
Border = str | Pair
MAX_PADDED = 1 << 31  # elements of a padded image, which kernels keep
UNDECLARED = (None, None, (0, 0))  # the default of the parameter `declared`


def padding_of(border: Border, filter_size: Pair) -> Pair:
    """Zeros added on each side: none for 'valid', the filter's size less one for 'full', half its
    size for 'half'."""
    if border == "valid":
        return (0, 0)
    if border == "full":
        return (filter_size[0] - 1, filter_size[1] - 1)
    if border == "half":
        return (filter_size[0] // 2, filter_size[1] // 2)
    assert not isinstance(border, str)
    return border


def _check_declared(params: Params, types: Sequence[TensorType]) -> None:
    """Compares the shapes that the user declared with the actual ones.

    `declared` has the images' shape, which may be without the zeros that a border adds around them,
    the filters' shape, and the numbers of rows and columns of these zeros.
    """
    *shapes, zeros = params.get("declared", UNDECLARED)
    for what, declared, actual in zip(("input", "filter"), shapes, types, strict=True):
        if declared is None:
            continue
        lengths = list(actual.shape)
        if what == "input":
            for axis, n in zip((2, 3), zeros, strict=True):
                length = lengths[axis]
                lengths[axis] = None if length is None else length - n
        for n, m in zip(declared, lengths, strict=True):
            if None not in (n, m) and n != m:
                raise ShapeError(f"{what}_shape is {declared}, the array's is {tuple(lengths)}")


def output_size(size: Pair, filter_size: Pair, padding: Pair, stride: Pair) -> Pair:
    """Height and width of a convolution's result; ShapeError where the filter doesn't fit."""
    if min(filter_size) < 1:
        raise ShapeError(f"a filter of {filter_size} has no elements")
    result = tuple(
        (n + 2 * p - k) // s + 1
        for n, k, p, s in zip(size, filter_size, padding, stride, strict=True)
    )
    if prod(n + 2 * p for n, p in zip(size, padding, strict=True)) > MAX_PADDED:
        raise ShapeError(f"images of {size} with padding {padding} are too large")
    if min(result) < 1:
        raise ShapeError(
            f"a filter of {filter_size} doesn't fit images of {size} with padding {padding}"
        )
    return result[0], result[1]


def _pair_known(lengths: Sequence[int | None]) -> Pair | None:
    first, second = lengths
    return None if first is None or second is None else (first, second)


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, w = types[:2]
    _check_declared(params, (x, w))
    if None not in (x.shape[1], w.shape[1]) and x.shape[1] != w.shape[1]:
        raise ShapeError(
            f"images of shape {x.shape} have {x.shape[1]} channels, "
            f"filters of shape {w.shape} have {w.shape[1]}"
        )
    size, filter_size = _pair_known(x.shape[2:]), _pair_known(w.shape[2:])
    spatial: tuple[int | None, int | None] = (None, None)
    if size and filter_size:
        padding = padding_of(params["padding"], filter_size)
        spatial = output_size(size, filter_size, padding, params["stride"])
    broadcastable = (x.broadcastable[0], w.broadcastable[0], False, False)
    return [TensorType(x.dtype, broadcastable, (x.shape[0], w.shape[0], *spatial))]


def _specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    x, w = inputs
    return [CONV2D(x, w, **_static_params(node, x.type, w.type))]


def _static_params(node: Node, x: TensorType, w: TensorType) -> dict[str, Any]:
    """The parameters for known shapes. A stride past the padded image, which makes no second step,
    is cut to its length."""
    params = dict(node.params)
    filter_size, size = w.static_shape[2:], x.static_shape[2:]
    padding = padding_of(params["padding"], (filter_size[0], filter_size[1]))
    rows, columns = (
        min(s, max(1, n + 2 * p)) for s, n, p in zip(params["stride"], size, padding, strict=True)
    )
    return {**params, "padding": padding, "stride": (rows, columns)}


def _vjp(node: Node, g: Variable) -> list[Variable | None]:
    x, w = node.inputs
    params = _undeclared(node.params)
    return [GRAD_INPUT_OF(w, g, x, **params), GRAD_FILTER_OF(x, g, w, **params)]


def _undeclared(params: Params) -> dict[str, Any]:
    return {k: v for k, v in params.items() if k != "declared"}


CONV2D = define_kernel("conv2d", _infer, vjp=_vjp, specialise=_specialise)


# --- gradients --------------------------------------------------------------------------------
# The symbolic forms take the array whose gradient they compute as a third input, only for its
# shape. Once specialised, that shape is a parameter.


def _check_gradient(x: TensorType, w: TensorType, g: TensorType, params: Params) -> None:
    """Raises ShapeError unless `g` has the shape of the convolution of `x` with `w`."""
    (y,) = _infer(params, (x, w))
    if any(None not in (n, m) and n != m for n, m in zip(g.shape, y.shape, strict=True)):
        raise ShapeError(
            f"the output's gradient has shape {g.shape}; images of shape {x.shape} with filters "
            f"of shape {w.shape} give {y.shape}"
        )


def _grad_input_of_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    w, g, x = types
    _check_gradient(x, w, g, params)
    return [x]


def _grad_filter_of_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, g, w = types
    _check_gradient(x, w, g, params)
    return [w]


def static_shape_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    """The type of a gradient whose shape is a parameter."""
    return [TensorType(types[1].dtype, params["broadcastable"], params["shape"])]


def _grad_input_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> list[Variable]:
    w, g, x = inputs
    _check_gradient(x.type, w.type, g.type, node.params)
    params = _static_params(node, x.type, w.type)
    return [
        CONV2D_GRAD_INPUT(w, g, **params, shape=x.type.static_shape, broadcastable=x.broadcastable)
    ]


def _grad_filter_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> list[Variable]:
    x, g, w = inputs
    _check_gradient(x.type, w.type, g.type, node.params)
    params = _static_params(node, x.type, w.type)
    return [
        CONV2D_GRAD_FILTER(x, g, **params, shape=w.type.static_shape, broadcastable=w.broadcastable)
    ]


def _grad_input_vjp(node: Node, h: Variable) -> list[Variable | None]:
    w, g, _ = node.inputs
    params = _undeclared(node.params)
    return [
        GRAD_FILTER_OF(h, g, w, **params),
        CONV2D(h, w, **params),
        None,
    ]


def _grad_filter_vjp(node: Node, h: Variable) -> list[Variable | None]:
    x, g, _ = node.inputs
    params = _undeclared(node.params)
    return [
        GRAD_INPUT_OF(h, g, x, **params),
        CONV2D(x, h, **params),
        None,
    ]


GRAD_INPUT_OF = register_op(
    Op(
        "conv2d_grad_input_of",
        _grad_input_of_infer,
        None,
        vjp=_grad_input_vjp,
        n_connected=2,
        specialise=_grad_input_specialise,
    )
)
GRAD_FILTER_OF = register_op(
    Op(
        "conv2d_grad_filter_of",
        _grad_filter_of_infer,
        None,
        vjp=_grad_filter_vjp,
        n_connected=2,
        specialise=_grad_filter_specialise,
    )
)
# w (O, C, KH, KW), g (N, O, OH, OW) -> gradient of the images, (N, C, H, W)
CONV2D_GRAD_INPUT = define_kernel("conv2d_grad_input", static_shape_infer)
# x (N, C, H, W), g (N, O, OH, OW) -> gradient of the filters, (O, C, KH, KW)
CONV2D_GRAD_FILTER = define_kernel("conv2d_grad_filter", static_shape_infer)
