"""Max-pooling over the last two axes, and its derivatives.

A pooled value comes with a bit mask of the positions that equal it, or of the first of them. Each
position of the mask gets the whole gradient, which needs nothing else: in Theano all of them do, in
Keras the first. The derivative of the gradient gathers at the same positions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_mnist.contracts.core.base import Params
from tinygrad_mnist.errors import GraphTypeError, ShapeError
from tinygrad_mnist.graph.op import as_variable, register_op
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import TensorType
from tinygrad_mnist.graph.variables import HostValues, Node, Op, Variable
from tinygrad_mnist.ops.kernels import define_kernel
from tinygrad_mnist.ops.shape import integer_pair, length, reshape

Pair = tuple[int, int]
Triple = tuple[int, int, int]
MAX_PADDING = 1 << 10  # around an image that is smaller: a window may be twice as large


def pooled_length(n: int, window: int, stride: int, padding: int, ignore_border: bool) -> int:
    """Length of a pooled axis: whole windows only, or also partial ones at the border."""
    if ignore_border:
        return max((n + 2 * padding - window) // stride + 1, 0)
    if stride >= window:
        return (n - 1) // stride + 1
    return max(0, (n - 1 - window + stride) // stride) + 1


def mask_bytes(window: Pair) -> int:
    """Bytes of one window's winner mask, a bit per position."""
    return (window[0] * window[1] + 7) // 8


def pooled_type(params: Params, x: TensorType) -> TensorType:
    """The type of images of type `x`, pooled; ShapeError where no window fits."""
    spatial: list[int | None] = []
    for axis in (0, 1):
        n = x.shape[2 + axis]
        if n is None:
            spatial.append(None)
            continue
        window, stride, padding = (params[k][axis] for k in ("window", "stride", "padding"))
        if "pooled" in params:
            pooled = params["pooled"][axis]
        else:
            pooled = pooled_length(n, window, stride, padding, params["ignore_border"])
        if pooled < 1:
            raise ShapeError(f"a pool of {params['window']} leaves nothing of shape {x.shape}")
        spatial.append(pooled)
    return TensorType(x.dtype, (*x.broadcastable[:2], False, False), (*x.shape[:2], *spatial))


def clipped(params: Params, image: tuple[int, ...], pooled: tuple[int, ...]) -> dict[str, Any]:
    """The parameters of a pool whose windows have the same pixels of the image, and are no larger
    than the image with the padding before it. So work and memory follow the image.

    pooled: the number of windows each way, which becomes the parameter `pooled` where the others
    change. Raises ShapeError for a padding that is far larger than the image.
    """
    found = [
        _clipped_axis(n, k, *(params[name][axis] for name in ("window", "stride", "padding")))
        for axis, (n, k) in enumerate(zip(image, pooled, strict=True))
    ]
    windows, strides, paddings = ((a, b) for a, b in zip(*found, strict=True))
    new = {"window": windows, "stride": strides, "padding": paddings}
    if any(p > max(n, MAX_PADDING) for p, n in zip(paddings, image, strict=True)):
        raise ShapeError(f"the padding {params['padding']} is too large for images of {image}")
    if all(new[name] == params[name] for name in new):
        return dict(params)
    return {**params, **new, "pooled": tuple(pooled)}


def _clipped_axis(n: int, pooled: int, window: int, stride: int, padding: int) -> Triple:
    """Window, stride and padding of one axis, n long."""
    if window > n + padding or padding > n:
        # All windows may begin later by as much as the last one begins before the image.
        later = max(0, padding - (pooled - 1) * stride)
        padding, window = padding - later, window - later
        window = max(1, min(window, n + padding))
    if pooled == 1:
        stride = max(1, min(stride, n + 2 * padding))
    return window, stride, padding


def _infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    y = pooled_type(params, types[0])
    if not params["winners"]:
        return [y]
    bits = mask_bytes(params["window"])
    return [y, TensorType("uint8", (*y.broadcastable, bits == 1), (*y.shape, bits))]


def _vjp(node: Node, g: Variable) -> list[Variable | None]:
    return [_POOL2D_GRAD_OF(g, node.outputs[1], node.inputs[0], **_geometry(node.params))]


def _geometry(params: Params) -> dict[str, Pair]:
    return {k: params[k] for k in ("window", "stride", "padding")}


def _specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> Sequence[Variable]:
    (x,) = inputs
    image, pooled = x.type.static_shape[2:], pooled_type(node.params, x.type).static_shape[2:]
    return POOL2D.rebuild(inputs, clipped(node.params, image, pooled)).outputs


# x (N, C, H, W) -> y (N, C, PH, PW), winners uint8 (N, C, PH, PW, bytes); params window, stride,
# padding, ignore_border or pooled, winners; first=1 to keep the first winner of each window alone
POOL2D = define_kernel("pool2d", _infer, vjp=_vjp, specialise=_specialise)


def _grad_of_specialise(node: Node, inputs: Sequence[Variable], host: HostValues) -> list[Variable]:
    g, winners, x = inputs
    image, pooled = x.type.static_shape[2:], g.type.static_shape[2:]
    return [
        POOL2D_GRAD(
            g,
            winners,
            **_geometry(clipped(node.params, image, pooled)),
            shape=x.type.static_shape,
            broadcastable=x.broadcastable,
        )
    ]


def _grad_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    return [TensorType(types[0].dtype, params["broadcastable"], params["shape"])]


def _grad_of_vjp(node: Node, h: Variable) -> list[Variable | None]:
    return [POOL2D_GATHER(h, node.inputs[1], **node.params), None, None]


_POOL2D_GRAD_OF = register_op(
    Op(
        "pool2d_grad_of",
        lambda params, types: [types[2]],
        None,
        vjp=_grad_of_vjp,
        n_connected=2,
        specialise=_grad_of_specialise,
    )
)
# g (N, C, PH, PW), winners -> gradient of the images, (N, C, H, W)
POOL2D_GRAD = define_kernel("pool2d_grad", _grad_infer)


def _gather_infer(params: Params, types: Sequence[TensorType]) -> list[TensorType]:
    x, winners = types
    return [TensorType(x.dtype, winners.broadcastable[:4], winners.shape[:4])]


def _gather_vjp(node: Node, h: Variable) -> list[Variable | None]:
    x, winners = node.inputs
    return [_POOL2D_GRAD_OF(h, winners, x, **node.params), None]


def _gather_specialise(
    node: Node, inputs: Sequence[Variable], host: HostValues
) -> Sequence[Variable]:
    x, winners = inputs
    image, pooled = x.type.static_shape[2:], winners.type.static_shape[2:4]
    params = _geometry(clipped(node.params, image, pooled))
    return POOL2D_GATHER.rebuild(inputs, params).outputs


# x (N, C, H, W), winners -> sums of x over each window's winners, (N, C, PH, PW)
POOL2D_GATHER = define_kernel(
    "pool2d_gather", _gather_infer, vjp=_gather_vjp, specialise=_gather_specialise
)


def pool_images(
    input: Any,
    window: Any,
    ignore_border: bool,
    stride: Any,
    padding: Any,
    pool: Callable[..., Variable],
) -> Variable:
    """Checks the arguments of a pooling function and applies `pool(images, **params)` to the
    input's last two axes. Raises GraphTypeError."""
    x = as_variable(input)
    if x.ndim < 2 or not x.type.is_float:
        raise GraphTypeError(f"pooling takes floats with 2 or more dimensions, not {x.type}")
    size = integer_pair(window, "the pool's window", 1)
    step = size if stride is None else integer_pair(stride, "the pool's stride", 1)
    pad = integer_pair(padding, "the pool's padding", 0)
    if pad != (0, 0) and not ignore_border:
        raise GraphTypeError("padding goes with ignore_border=True")
    if pad[0] >= size[0] or pad[1] >= size[1]:
        raise GraphTypeError(f"the padding {pad} must be less than the window {size}")
    params = {
        "window": size,
        "stride": step,
        "padding": pad,
        "ignore_border": bool(ignore_border),
    }
    if x.ndim == 4:
        return pool(x, **params)
    leading = [length(x, i) for i in range(x.ndim - 2)]
    spatial = [length(x, x.ndim - 2), length(x, x.ndim - 1)]
    pooled = pool(reshape(x, [-1, 1, *spatial]), **params)
    return reshape(pooled, [*leading, length(pooled, 2), length(pooled, 3)])


@api_function
def max_pool(
    input: Any, window: Any, ignore_border: bool, stride: Any = None, padding: Any = (0, 0)
) -> Variable:
    """The maximum over windows of the last two axes; earlier axes are kept.

    window, stride (default: the window), padding: pairs (rows, columns). ignore_border: drop
    windows that are not whole. Raises GraphTypeError, ShapeError.
    """

    def pool(images: Variable, **params: Any) -> Variable:
        return POOL2D(images, **params, winners=True)

    return pool_images(input, window, ignore_border, stride, padding, pool)


@api_function
def keep_maxima(input: Any, window: Any) -> Variable:
    """The input with all elements set to zero except the maxima of its windows.

    The windows are side by side over the last two axes; elements outside whole windows are set to
    zero. All of several equal maxima are kept. Raises GraphTypeError, ShapeError.
    """

    def pool(images: Variable, **params: Any) -> Variable:
        node = POOL2D.node(images, **params, winners=True)
        return _POOL2D_GRAD_OF(*node.outputs, images, **_geometry(node.params))

    return pool_images(input, window, True, None, (0, 0), pool)
