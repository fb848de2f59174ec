"""Two-dimensional convolution and its two gradients; users call `tensor.nnet.abstract_conv`.

Images are (batch, channels, height, width), filters (filters, channels, height, width). With
`flip` 1 the filter is flipped in both axes, which is convolution proper and Theano's default; with
0 it is cross-correlation. `epilogue` is the identity until the fusion rules add bias, activation or
an update to it.

The kernels have neither dilated filters nor groups of channels. With the parameters `dilation` and
`groups`, both or none, a convolution is `CONV2D_OF`: it becomes a call of the kernel per group,
over the images' phases (`dilation`). Groups are slices of channels and of filters, and write
directly into their part of the result. So neither costs products that aren't needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.graph.layout import StaticSlice
from tinygrad_mnist.graph.op import register_op
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import HostValues, Node, Op, Variable
from tinygrad_mnist.ops.dilation import (
    Phases,
    join_images,
    join_results,
    phases_along,
    split_images,
    split_results,
)
from tinygrad_mnist.ops.kernels import define_kernel
from tinygrad_mnist.ops.shape import static_broadcast
from tinygrad_mnist.ops.slices import assemble, static_slice
from tinygrad_mnist.ops.windows import free

Pair = tuple[int, int]
Border = str | Pair
MAX_PADDED = 1 << 31  # elements of a padded image, which kernels keep
UNDECLARED = (None, None, (0, 0))  # the default of the parameter `declared`


def padding_of(border: Border, filter_size: Pair) -> Pair:
    """Zeros added on each side: none for 'valid', the filter's size less one for 'full', half its
    size for 'half'. The size of a dilated filter is that with its gaps."""
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
    _check_channels(x, w, params.get("groups", 1))
    size, filter_size = _pair_known(x.shape[2:]), _pair_known(w.shape[2:])
    spatial: tuple[int | None, int | None] = (None, None)
    if size and filter_size:
        filter_size = _dilated(filter_size, params)
        padding = padding_of(params["padding"], filter_size)
        spatial = output_size(size, filter_size, padding, params["stride"])
    broadcastable = (x.broadcastable[0], w.broadcastable[0], False, False)
    return [TensorType(x.dtype, broadcastable, (x.shape[0], w.shape[0], *spatial))]


def _check_channels(x: TensorType, w: TensorType, groups: int) -> None:
    """Raises ShapeError where images and filters, known so far, have channels that don't fit."""
    channels, depth, filters = x.shape[1], w.shape[1], w.shape[0]
    if channels is not None and depth is not None and channels != depth * groups:
        times = f" for each of {groups} groups" if groups > 1 else ""
        raise ShapeError(
            f"images of shape {x.shape} have {channels} channels, "
            f"filters of shape {w.shape} have {depth}{times}"
        )
    for n, what in ((channels, "channels"), (filters, "filters")):
        if n is not None and n % groups:
            raise ShapeError(f"{n} {what} can't be divided into {groups} groups")


def _dilated(filter_size: Pair, params: Params) -> Pair:
    """The size of a filter with the gaps between its elements; of one without elements, 0."""
    rows, columns = (
        max(0, (k - 1) * d + 1)
        for k, d in zip(filter_size, params.get("dilation", (1, 1)), strict=True)
    )
    return rows, columns


def _specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    x, w = inputs
    return [CONV2D(x, w, **_static_params(node, x.type, w.type))]


def _static_params(node: Node, x: TensorType, w: TensorType) -> dict[str, Any]:
    """The parameters for known shapes. A stride past the padded image, which makes no second step,
    is cut to its length."""
    params = dict(node.params)
    size, taps = x.static_shape[2:], w.static_shape[2:]
    padding = padding_of(params["padding"], _dilated((taps[0], taps[1]), params))
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


# --- dilated filters and groups of channels -----------------------------------------------------


def convolve(x: Variable, w: Variable, params: Params) -> Variable:
    """A convolution with the parameters of either op."""
    return (CONV2D_OF if "groups" in params else CONV2D)(x, w, **params)


def _split_params(
    params: Params, x: TensorType, w: TensorType, y: TensorType
) -> tuple[dict[str, Any], tuple[Phases, Phases] | None]:
    """The parameters of the kernel's calls, and the phases of rows and of columns; None where the
    filter has no gaps."""
    rows, columns = (
        phases_along(x.static_shape[a], w.static_shape[a], y.static_shape[a], p, s, d)
        for a, p, s, d in zip(
            (2, 3), params["padding"], params["stride"], params["dilation"], strict=True
        )
    )
    inner = {k: v for k, v in params.items() if k not in ("dilation", "groups", "declared")}
    if (rows.dilation, columns.dilation) == (1, 1):
        return inner, None
    inner.update(stride=(rows.inner_stride, columns.inner_stride), padding=(0, 0))
    return inner, (rows, columns)


def _groups(v: Variable, axis: int, groups: int) -> list[Variable]:
    """An array of known shape cut into equal parts along an axis."""
    shape = v.type.static_shape
    n = shape[axis] // groups
    regions = (StaticSlice.whole(shape).along(axis, k * n, n) for k in range(groups))
    return [static_slice(v, region, free(v.ndim)) for region in regions]


def _joined(parts: Sequence[Variable], axis: int) -> Variable:
    """Equal parts side by side."""
    if len(parts) == 1:
        return parts[0]
    shape = parts[0].type.static_shape
    n = shape[axis]
    whole = (*shape[:axis], n * len(parts), *shape[axis + 1 :])
    regions = (StaticSlice.whole(whole).along(axis, k * n, n) for k in range(len(parts)))
    return assemble(None, list(zip(parts, regions, strict=True)), whole, free(4))


def _of_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    x, w = inputs
    (y,) = _infer(node.params, (x.type, w.type))
    inner, phases = _split_params(_static_params(node, x.type, w.type), x.type, w.type, y)
    groups = node.params["groups"]
    images = split_images(x, *phases) if phases else x
    pairs = zip(_groups(images, 1, groups), _groups(w, 0, groups), strict=True)
    result = _joined([CONV2D(a, b, **inner) for a, b in pairs], 1)
    result = join_results(result, *phases) if phases else result
    return [static_broadcast(result, y.static_shape, y.broadcastable)]


CONV2D_OF = register_op(Op("conv2d_of", _infer, None, vjp=_vjp, specialise=_of_specialise))


def _grad_input_of_groups(w: Variable, g: Variable, x: TensorType, params: Params) -> Variable:
    """The gradient of the images, of a convolution with dilation or groups."""
    inner, phases = _split_params(params, x, w.type, g.type)
    size = x.static_shape[2:]
    if phases:
        g, size = split_results(g, *phases), (phases[0].size, phases[1].size)
    shape = (g.type.static_shape[0], w.type.static_shape[1], *size)
    groups = params["groups"]
    pairs = zip(_groups(w, 0, groups), _groups(g, 1, groups), strict=True)
    parts = [CONV2D_GRAD_INPUT(a, b, **inner, shape=shape, broadcastable=free(4)) for a, b in pairs]
    dx = join_images(_joined(parts, 1), *phases) if phases else _joined(parts, 1)
    return static_broadcast(dx, x.static_shape, x.broadcastable)


def _grad_filter_of_groups(x: Variable, g: Variable, w: TensorType, params: Params) -> Variable:
    """The gradient of the filters, of a convolution with dilation or groups."""
    inner, phases = _split_params(params, x.type, w, g.type)
    if phases:
        x, g = split_images(x, *phases), split_results(g, *phases)
    groups = params["groups"]
    shape = (w.static_shape[0] // groups, *w.static_shape[1:])
    pairs = zip(_groups(x, 1, groups), _groups(g, 1, groups), strict=True)
    parts = [
        CONV2D_GRAD_FILTER(a, b, **inner, shape=shape, broadcastable=free(4)) for a, b in pairs
    ]
    return static_broadcast(_joined(parts, 0), w.static_shape, w.broadcastable)


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
    if "groups" in params:
        return [_grad_input_of_groups(w, g, x.type, params)]
    return [
        CONV2D_GRAD_INPUT(w, g, **params, shape=x.type.static_shape, broadcastable=x.broadcastable)
    ]


def _grad_filter_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> list[Variable]:
    x, g, w = inputs
    _check_gradient(x.type, w.type, g.type, node.params)
    params = _static_params(node, x.type, w.type)
    if "groups" in params:
        return [_grad_filter_of_groups(x, g, w.type, params)]
    return [
        CONV2D_GRAD_FILTER(x, g, **params, shape=w.type.static_shape, broadcastable=w.broadcastable)
    ]


def _grad_input_vjp(node: Node, h: Variable) -> list[Variable | None]:
    w, g, _ = node.inputs
    params = _undeclared(node.params)
    return [
        GRAD_FILTER_OF(h, g, w, **params),
        convolve(h, w, params),
        None,
    ]


def _grad_filter_vjp(node: Node, h: Variable) -> list[Variable | None]:
    x, g, _ = node.inputs
    params = _undeclared(node.params)
    return [
        GRAD_INPUT_OF(h, g, x, **params),
        convolve(x, h, params),
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
