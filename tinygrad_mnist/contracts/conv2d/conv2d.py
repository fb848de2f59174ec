"""Convolution in two dimensions, its gradients, and the forms fused with a max-pool.

    conv2d:             x (N, C, H, W), w (O, C, KH, KW), extras -> y (N, O, OH, OW)
    conv2d_grad_input:  w, g (N, O, OH, OW), extras              -> dx (N, C, H, W)
    conv2d_grad_filter: x, g, extras                             -> dw (O, C, KH, KW)

    conv2d_pool:             x, w, extras          -> y (N, O, PH, PW) [, winners]
    conv2d_bias_pool:        x, w, bias (O,), extras -> y [, winners]
    conv2d_pool_grad_input:  w, g, winners, extras -> dx     (g, winners: of the pooled shape)
    conv2d_pool_grad_filter: x, g, winners, extras -> dw

All floats of a call share one dtype. `stride` and `padding` are (height, width); padding is of
zeros, which take part in the arithmetic; OH = (H + 2 padding - KH) // stride + 1. `flip` = 1
flips the filter along both axes (a convolution in the mathematical sense, as in Theano); 0 does
not (cross-correlation). The result goes through the `epilogue` tape, whose extra inputs have the
output's shape; the output may alias an extra of the same view.

The pool has windows of `pool` = (ph, pw) that don't overlap; incomplete ones are dropped; the
epilogue follows it. `winners` is the bit mask that `pool2d` describes, as is `first`, a parameter
of `conv2d_pool` and `conv2d_bias_pool`. `conv2d_bias_pool` adds the
bias of its filter to each position before positions are compared: the addition rounds, so positions
that differ without the bias may tie with it. Its maxima and winners are those of `pool2d` behind
`conv2d` with the bias in the epilogue, bit for bit. The gradients with
`winners` equal those of the dense kernels with the gradient of the pool put in between, up to
the order of the sum and to this: a zero gradient adds nothing, even where the other factor is
inf or NaN (0 * inf would be NaN); a gradient that is itself NaN or inf always counts. In
`conv2d_grad_input` a tap that meets no output position may add 0 * w, which shows only where w is
inf or NaN.

Ties are exact: all positions of y add their products in one order with the same rounding, so equal
patches of x give equal bits wherever they are. Which order is the backend's choice, and depends on
shapes and parameters alone: (c, kh, kw) in the reference; a backend may also add the channels in
groups and then the groups' sums, if it does so at every position. That is why the reference adds
arrays tap by tap: a BLAS would treat positions unequally, and equal maxima would become unequal.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register
from ..core.epilogue import apply_epilogue, epilogue_flops
from ..core.sizes import n_elements
from ..core.windows import Pair, max_pool, max_pool_grad


def conv_size(image: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Pair:
    """Output positions along each axis; 0 where the filter doesn't fit."""
    height, width = (
        max(0, (image[i] + 2 * padding[i] - kernel[i]) // stride[i] + 1) for i in (0, 1)
    )
    return height, width


def _padded(x: Array, padding: Pair) -> Array:
    return np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))


def _tap(params: Params, kernel: Pair, kh: int, kw: int, size: Pair) -> tuple[slice, slice]:
    """Rows and columns of the padded image that the filter's element (kh, kw) meets."""
    stride: Pair = params["stride"]
    if params["flip"]:
        kh, kw = kernel[0] - 1 - kh, kernel[1] - 1 - kw
    return (
        slice(kh, kh + stride[0] * (size[0] - 1) + 1, stride[0]),
        slice(kw, kw + stride[1] * (size[1] - 1) + 1, stride[1]),
    )


def convolve(params: Params, x: Array, w: Array) -> Array:
    """The convolution y (N, O, OH, OW), without epilogue."""
    kernel = (w.shape[2], w.shape[3])
    size = conv_size((x.shape[2], x.shape[3]), kernel, params["stride"], params["padding"])
    y = np.zeros((x.shape[0], w.shape[0], *size), np.result_type(x, w))
    if y.size == 0:
        return y
    padded = _padded(x, params["padding"])
    for c, kh, kw in product(*map(range, w.shape[1:])):
        rows, columns = _tap(params, kernel, kh, kw, size)
        y += padded[:, None, c, rows, columns] * w[None, :, c, kh, kw, None, None]
    return y


def convolve_grad_input(params: Params, w: Array, g: Array, image: Pair) -> Array:
    """The gradient dx (N, C, *image) of x."""
    kernel, size = (w.shape[2], w.shape[3]), (g.shape[2], g.shape[3])
    padding: Pair = params["padding"]
    padded = (image[0] + 2 * padding[0], image[1] + 2 * padding[1])
    dx = np.zeros((g.shape[0], w.shape[1], *padded), np.result_type(w, g))
    if g.size:
        for o, kh, kw in product(range(w.shape[0]), *map(range, kernel)):
            rows, columns = _tap(params, kernel, kh, kw, size)
            dx[:, :, rows, columns] += g[:, None, o] * w[None, o, :, kh, kw, None, None]
    return dx[:, :, padding[0] : padding[0] + image[0], padding[1] : padding[1] + image[1]]


def convolve_grad_filter(params: Params, x: Array, g: Array, kernel: Pair) -> Array:
    """The gradient dw (O, C, *kernel) of w."""
    size = (g.shape[2], g.shape[3])
    dw = np.zeros((g.shape[1], x.shape[1], *kernel), np.result_type(x, g))
    if g.size == 0:
        return dw
    padded = _padded(x, params["padding"])
    for kh, kw in product(*map(range, kernel)):
        rows, columns = _tap(params, kernel, kh, kw, size)
        dw[:, :, kh, kw] = np.einsum("nchw,nohw->oc", padded[:, :, rows, columns], g)
    return dw


def _unpooled(params: Params, g: Array, winners: Array, size: Pair) -> Array:
    """The gradient of the pool's input (N, O, OH, OW)."""
    pool: Pair = params["pool"]
    return max_pool_grad(g, winners, size, pool, pool, (0, 0))


def conv2d_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue(convolution, extras...)."""
    x, w, *extras = inputs
    return [apply_epilogue(params, convolve(params, x, w), extras, outputs[0])]


def conv2d_grad_input_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue(dx, extras...)."""
    w, g, *extras = inputs
    image = (outputs[0].shape[2], outputs[0].shape[3])
    dx = convolve_grad_input(params, w, g, image)
    return [apply_epilogue(params, dx, extras, outputs[0])]


def conv2d_grad_filter_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue(dw, extras...)."""
    x, g, *extras = inputs
    kernel = (outputs[0].shape[2], outputs[0].shape[3])
    dw = convolve_grad_filter(params, x, g, kernel)
    return [apply_epilogue(params, dw, extras, outputs[0])]


def conv2d_pool_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue(max-pool(convolution), extras...) and, where wanted, the winners."""
    x, w, *extras = inputs
    return _pooled(params, convolve(params, x, w), extras, outputs)


def conv2d_bias_pool_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue(max-pool(convolution + bias), extras...) and, where wanted, the winners."""
    x, w, bias, *extras = inputs
    return _pooled(params, convolve(params, x, w) + bias[:, None, None], extras, outputs)


def _pooled(
    params: Params, dense: Array, extras: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    pooled = (outputs[0].shape[2], outputs[0].shape[3])
    pool: Pair = params["pool"]
    y, winners = max_pool(dense, pooled, pool, pool, (0, 0), params.get("first", 0))
    return [apply_epilogue(params, y, extras, outputs[0]), winners][: len(outputs)]


def conv2d_pool_grad_input_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue(dx, extras...), the gradient coming from behind the pool."""
    w, g, winners, *extras = inputs
    image = (outputs[0].shape[2], outputs[0].shape[3])
    size = conv_size(image, (w.shape[2], w.shape[3]), params["stride"], params["padding"])
    dx = convolve_grad_input(params, w, _unpooled(params, g, winners, size), image)
    return [apply_epilogue(params, dx, extras, outputs[0])]


def conv2d_pool_grad_filter_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue(dw, extras...), the gradient coming from behind the pool."""
    x, g, winners, *extras = inputs
    kernel = (outputs[0].shape[2], outputs[0].shape[3])
    size = conv_size((x.shape[2], x.shape[3]), kernel, params["stride"], params["padding"])
    dw = convolve_grad_filter(params, x, _unpooled(params, g, winners, size), kernel)
    return [apply_epilogue(params, dw, extras, outputs[0])]


def _dense(images: int, size: Pair, w: tuple[int, ...]) -> int:
    return 2 * images * size[0] * size[1] * n_elements(w)


def _flops(params: Params, image: ArraySpec, w: ArraySpec, output: ArraySpec) -> int:
    """Multiplies and adds of every position of the convolution, pooled or not, and the epilogue."""
    size = conv_size(
        (image.shape[2], image.shape[3]),
        (w.shape[2], w.shape[3]),
        params["stride"],
        params["padding"],
    )
    return _dense(image.shape[0], size, w.shape) + epilogue_flops(params, output)


def conv2d_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """2 N O OH OW C KH KW, and the epilogue."""
    return _flops(params, inputs[0], inputs[1], outputs[0])


def grad_input_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """As the forward kernel, though a pool leaves most of the products zero."""
    return _flops(params, outputs[0], inputs[0], outputs[0])


def grad_filter_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """As the forward kernel, though a pool leaves most of the products zero."""
    return _flops(params, inputs[0], outputs[0], outputs[0])


def _winners_flops(params: Params, g: ArraySpec, w: ArraySpec, output: ArraySpec) -> int:
    """A multiply and an add of a filter's weights for the winner of every window, and the
    epilogue."""
    return 2 * g.size * n_elements(w.shape[1:]) + epilogue_flops(params, output)


def pool_grad_input_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """Those of one winner per window."""
    return _winners_flops(params, inputs[1], inputs[0], outputs[0])


def pool_grad_filter_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """Those of one winner per window."""
    return _winners_flops(params, inputs[1], outputs[0], outputs[0])


_INTS = ("stride", "padding", "flip")
_POOL_INTS = (*_INTS, "pool")
_FIRST = ("first",)
_TAPES = ("epilogue",)

CONV2D = register(
    Contract("conv2d", conv2d_reference, conv2d_flops, _INTS, _TAPES, kernel_inputs=2)
)
CONV2D_GRAD_INPUT = register(
    Contract(
        "conv2d_grad_input",
        conv2d_grad_input_reference,
        grad_input_flops,
        _INTS,
        _TAPES,
        kernel_inputs=2,
    )
)
CONV2D_GRAD_FILTER = register(
    Contract(
        "conv2d_grad_filter",
        conv2d_grad_filter_reference,
        grad_filter_flops,
        _INTS,
        _TAPES,
        kernel_inputs=2,
    )
)
CONV2D_POOL = register(
    Contract(
        "conv2d_pool",
        conv2d_pool_reference,
        conv2d_flops,
        _POOL_INTS + _FIRST,
        _TAPES,
        kernel_inputs=2,
        base=False,
        optional=_FIRST,
    )
)
CONV2D_BIAS_POOL = register(
    Contract(
        "conv2d_bias_pool",
        conv2d_bias_pool_reference,
        conv2d_flops,
        _POOL_INTS + _FIRST,
        _TAPES,
        kernel_inputs=3,
        base=False,
        optional=_FIRST,
    )
)
CONV2D_POOL_GRAD_INPUT = register(
    Contract(
        "conv2d_pool_grad_input",
        conv2d_pool_grad_input_reference,
        grad_input_flops,
        _POOL_INTS,
        _TAPES,
        kernel_inputs=3,
        base=False,
        least_flops=pool_grad_input_flops,
    )
)
CONV2D_POOL_GRAD_FILTER = register(
    Contract(
        "conv2d_pool_grad_filter",
        conv2d_pool_grad_filter_reference,
        grad_filter_flops,
        _POOL_INTS,
        _TAPES,
        kernel_inputs=3,
        base=False,
        least_flops=pool_grad_filter_flops,
    )
)
