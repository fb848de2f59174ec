"""Convolutions, poolings and neighbourhoods of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.theano_names.case import Call

_rng = np.random.default_rng(4)
X = _rng.normal(size=(2, 4, 6, 5))
W = _rng.normal(size=(4, 4, 3, 2))
HALVES = _rng.normal(size=(4, 2, 3, 2))  # filters of two groups
RESULTS = _rng.normal(size=(2, 4, 4, 4))  # of X and W
DEPTHWISE, POINTWISE = _rng.normal(size=(8, 1, 2, 2)), _rng.normal(size=(3, 8, 1, 1))
SERIES, TAPS = _rng.normal(size=(2, 3, 7)), _rng.normal(size=(4, 3, 2))
PICTURES = _rng.normal(size=(2, 6, 5))
KERNELS = _rng.normal(size=(3, 2, 3))
BLOCKS = _rng.normal(size=(2, 3, 4, 6))


def views(x: Any, rows: int, columns: int) -> Any:
    """The windows of images, as last axes."""
    return np.lib.stride_tricks.sliding_window_view(x, (rows, columns), (2, 3))


def convolved(
    x: Any, w: Any, stride: int = 1, pad: int = 0, flip: bool = True, dilation: int = 1
) -> Any:
    """The convolution by filters."""
    w = w[..., ::-1, ::-1] if flip else w
    x = np.pad(x, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
    rows, columns = ((n - 1) * dilation + 1 for n in w.shape[2:])
    at = views(x, rows, columns)[..., ::dilation, ::dilation]
    return np.einsum("nchwij,ocij->nohw", at, w)[:, :, ::stride, ::stride]


def in_groups(x: Any, w: Any, groups: int) -> Any:
    parts = zip(np.split(x, groups, 1), np.split(w, groups), strict=True)
    return np.concatenate([convolved(a, b) for a, b in parts], 1)


def to_images(g: Any, w: Any, stride: int = 1) -> Any:
    """The transpose of `convolved`, for images of X's shape."""
    image = np.zeros(X.shape)
    for i, j in np.ndindex(w.shape[2:]):
        part = np.einsum("nohw,oc->nchw", g, w[:, :, -1 - i, -1 - j])
        rows, columns = ((n - 1) * stride + 1 for n in g.shape[2:])
        image[:, :, i : i + rows : stride, j : j + columns : stride] += part
    return image


def to_filters(x: Any, g: Any) -> Any:
    """The gradient of `convolved` for its filters."""
    return np.einsum("nchwij,nohw->ocij", views(x, 3, 2), g)[..., ::-1, ::-1]


def causal(x: Any, w: Any) -> Any:
    x = np.pad(x, [(0, 0), (0, 0), (1, 0)])
    return np.einsum("nct,oc->not", x[..., 1:], w[..., 0]) + np.einsum(
        "nct,oc->not", x[..., :-1], w[..., 1]
    )


def upsampled(x: Any, ratio: int) -> Any:
    """Linear interpolation along rows and then columns; ends are repeated."""
    for axis in (2, 3):
        n = x.shape[axis]
        at = np.clip((np.arange(n * ratio) - (ratio - 1) // 2) / ratio, 0, n - 1)
        low = np.floor(at).astype(int)
        share = (at - low).reshape([-1 if i == axis else 1 for i in range(4)])
        above = np.take(x, np.minimum(low + 1, n - 1), axis)
        x = np.take(x, low, axis) * (1 - share) + above * share
    return x


def tent(ratio: int) -> Any:
    return np.concatenate([np.arange(1, ratio + 1), np.arange(ratio - 1, 0, -1)]) * 1.0


def flat(x: Any, filters: Any) -> Any:
    """The convolution of pictures without channels."""
    return convolved(x[:, None], filters[:, None])


def neighbourhoods(x: Any, size: tuple[int, int], step: tuple[int, int]) -> Any:
    return views(x, *size)[:, :, :: step[0], :: step[1]].reshape(-1, size[0] * size[1])


def pooled(x: Any, size: tuple[int, int], stride: tuple[int, int], reduction: Any = np.max) -> Any:
    return reduction(views(x, *size)[:, :, :: stride[0], :: stride[1]], axis=(-2, -1))


def to_the_border(x: Any) -> Any:
    """Maxima of windows (2, 2), also those that the border cuts."""
    rows, columns = ((0, -n % 2) for n in x.shape[2:])
    return pooled(
        np.pad(x, [(0, 0), (0, 0), rows, columns], constant_values=-np.inf), (2, 2), (2, 2)
    )


def maxima(x: Any) -> Any:
    most = pooled(x, (2, 3), (2, 3)).repeat(2, 2).repeat(3, 3)
    return np.where(x == most, x, 0)


CONVOLUTIONS = [
    Call("tensor.nnet.conv2d", convolved, (X, W)),
    Call(
        "tensor.nnet.conv2d",
        lambda x, w: convolved(x, w, 2, 1, False),
        (X, W),
        lambda f, x, w: f(x, w, X.shape, W.shape, (1, 1), (2, 2), False),
    ),
    Call(
        "tensor.nnet.conv2d",
        lambda x, w: convolved(x, w, dilation=2),
        (X, W),
        lambda f, x, w: f(
            input=x, filters=w, image_shape=X.shape, filter_shape=W.shape, filter_dilation=(2, 2)
        ),
    ),
    Call(
        "tensor.nnet.conv2d",
        lambda x, w: in_groups(x, w, 2),
        (X, HALVES),
        lambda f, x, w: f(x, w, num_groups=2, border_mode="valid"),
    ),
    Call(
        "tensor.nnet.abstract_conv2d",
        lambda x, w: convolved(x, w, stride=2),
        (X, W),
        lambda f, x, w: f(x, w, subsample=(2, 2)),
    ),
    Call(
        "tensor.nnet.conv.conv2d",
        lambda x, w: convolved(x, w, 2),
        (X, W),
        lambda f, x, w: f(x, w, X.shape, W.shape, "valid", (2, 2)),
    ),
    Call(
        "tensor.nnet.abstract_conv.conv2d",
        lambda x, w: convolved(x, w, 2),
        (X, W),
        lambda f, x, w: f(x, w, X.shape, W.shape, "valid", (2, 2), True),
    ),
    Call(
        "tensor.nnet.abstract_conv.AbstractConv2d",
        lambda x, w: convolved(x, w, 2),
        (X, W),
        lambda f, x, w: f(X.shape, W.shape, "valid", (2, 2))(x, w),
    ),
    Call(
        "tensor.nnet.conv2d_grad_wrt_inputs",
        to_images,
        (RESULTS, W),
        lambda f, g, w: f(g, w, X.shape, W.shape),
    ),
    Call(
        "tensor.nnet.conv2d_transpose",
        lambda g, w: to_images(g, w, 2),
        (RESULTS[:, :, :2, :2], W),
        lambda f, g, w: f(g, w, X.shape, input_dilation=(2, 2)),
    ),
    Call(
        "tensor.nnet.abstract_conv.conv2d_grad_wrt_inputs",
        to_images,
        (RESULTS, W),
        lambda f, g, w: f(output_grad=g, filters=w, input_shape=X.shape),
    ),
    Call(
        "tensor.nnet.abstract_conv.AbstractConv2d_gradInputs",
        to_images,
        (RESULTS, W),
        lambda f, g, w: f(X.shape, W.shape, "valid")(w, g, X.shape[2:]),
    ),
    Call(
        "tensor.nnet.abstract_conv.conv2d_grad_wrt_weights",
        to_filters,
        (X, RESULTS),
        lambda f, x, g: f(x, g, W.shape, X.shape, "valid"),
    ),
    Call(
        "tensor.nnet.abstract_conv.AbstractConv2d_gradWeights",
        to_filters,
        (X, RESULTS),
        lambda f, x, g: f(X.shape, W.shape, "valid")(x, g, W.shape[2:]),
    ),
    Call(
        "tensor.nnet.separable_conv2d",
        lambda x, d, p: convolved(in_groups(x, d, 4), p),
        (X, DEPTHWISE, POINTWISE),
        lambda f, x, d, p: f(x, d, p, num_channels=4),
    ),
    Call(
        "tensor.nnet.abstract_conv.causal_conv1d",
        causal,
        (SERIES, TAPS),
        lambda f, x, w: f(x, w, TAPS.shape),
    ),
    Call("tensor.nnet.abstract_conv.bilinear_kernel_1D", lambda: tent(3) / 3, (), lambda f: f(3)),
    Call(
        "tensor.nnet.abstract_conv.bilinear_kernel_1D",
        lambda: tent(2),
        (),
        lambda f: f(ratio=2, normalize=False),
    ),
    Call(
        "tensor.nnet.abstract_conv.bilinear_kernel_2D",
        lambda: np.outer(tent(3), tent(3)) / 9,
        (),
        lambda f: f(3, True),
    ),
    Call(
        "tensor.nnet.abstract_conv.bilinear_upsampling",
        lambda x: upsampled(x, 3),
        (X[:, :2, :3, :2],),
        lambda f, x: f(x, ratio=3, use_1D_kernel=False),
    ),
    Call(
        "tensor.signal.conv.conv2d",
        flat,
        (PICTURES, KERNELS),
        lambda f, x, w: f(x, w, PICTURES.shape, KERNELS.shape, "valid", (1, 1)),
    ),
    Call(
        "tensor.signal.conv.conv2d",
        lambda x, w: flat(x[None], w[None])[0, 0],
        (PICTURES[0], KERNELS[0]),
    ),
]

POOLS = [
    Call("tensor.signal.pool.pool_2d", to_the_border, (X,), lambda f, x: f(x, (2, 2))),
    Call(
        "tensor.signal.pool.pool_2d",
        lambda x: pooled(x, (3, 2), (2, 1)),
        (X,),
        lambda f, x: f(x, (3, 2), True, (2, 1), (0, 0), "max"),
    ),
    Call(
        "tensor.signal.pool.pool_2d",
        lambda x: pooled(np.pad(x, [(0, 0), (0, 0), (1, 1), (1, 1)]), (2, 3), (2, 3), np.mean),
        (X,),
        lambda f, x: f(
            x, ds=(2, 3), ignore_border=True, st=None, padding=(1, 1), mode="average_inc_pad"
        ),
    ),
    Call(
        "tensor.signal.pool.Pool",
        lambda x: pooled(x, (2, 2), (1, 1), np.sum),
        (X,),
        lambda f, x: f(True, "sum", 2, None)(x, (2, 2), (1, 1), (0, 0)),
    ),
    Call("tensor.signal.pool.max_pool_2d_same_size", maxima, (BLOCKS,), lambda f, x: f(x, (2, 3))),
    Call(
        "tensor.signal.downsample.max_pool_2d",
        lambda x: pooled(x, (2, 2), (1, 2)),
        (X,),
        lambda f, x: f(x, ds=(2, 2), ignore_border=True, st=(1, 2), padding=(0, 0), mode="max"),
    ),
    Call("tensor.signal.downsample.max_pool_2d", to_the_border, (X,), lambda f, x: f(x, (2, 2))),
    Call(
        "tensor.signal.downsample.DownsampleFactorMax",
        lambda x: pooled(x, (2, 2), (2, 2)),
        (X,),
        lambda f, x: f((2, 2), True)(x),
    ),
]

NEIGHBOURHOODS = [
    Call(
        "tensor.nnet.neighbours.images2neibs",
        lambda x: neighbourhoods(x, (2, 3), (2, 3)),
        (BLOCKS,),
        lambda f, x: f(x, (2, 3)),
    ),
    Call(
        "tensor.nnet.neighbours.images2neibs",
        lambda x: neighbourhoods(x, (2, 2), (1, 2)),
        (BLOCKS,),
        lambda f, x: f(ten4=x, neib_shape=(2, 2), neib_step=(1, 2), mode="valid"),
    ),
    Call(
        "tensor.nnet.neighbours.Images2Neibs",
        lambda x: neighbourhoods(x, (2, 2), (2, 2)),
        (X,),
        lambda f, x: f("ignore_borders")(x, (2, 2)),
    ),
    Call(
        "tensor.nnet.neighbours.neibs2images",
        lambda _: BLOCKS,
        (neighbourhoods(BLOCKS, (2, 3), (2, 3)),),
        lambda f, x: f(x, (2, 3), BLOCKS.shape),
        gradient=False,
    ),
]

CALLS = [*CONVOLUTIONS, *POOLS, *NEIGHBOURHOODS]
