"""Sums and means over windows of an image, and their gradient.

    average_pool2d:      x (N, C, H, W)   -> y (N, C, PH, PW)
    average_pool2d_grad: g (N, C, PH, PW) -> dx (N, C, H, W)

`window`, `stride` and `padding` are (height, width), and the output's shape gives the number of
windows, as for `pool2d`. A window adds up the pixels that it has inside the image, in C order, and
divides the sum by the number of its positions that count, of which there is always one:

    count  0  SUM      none: the sum stays as it is
           1  PADDED   those inside the padded image
           2  INSIDE   those inside the image

The gradient is the transposed map: a pixel adds up g / count of its windows, in C order.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register
from ..core.windows import Pair, taps

SUM, PADDED, INSIDE = range(3)


def counted_positions(params: Params, image: Pair, pooled: Pair) -> Array:
    """What each window's sum is divided by: int64 (PH, PW)."""
    along = []
    for axis in (0, 1):
        window, stride, padding = (params[k][axis] for k in ("window", "stride", "padding"))
        start = np.arange(pooled[axis]) * stride - padding
        low, high = (0, 0) if params["count"] == INSIDE else (-padding, padding)
        stop = np.minimum(start + window, image[axis] + high)
        along.append(np.maximum(stop - np.maximum(start, low), 1))
    counts: Array = along[0][:, None] * along[1]
    return np.ones_like(counts) if params["count"] == SUM else counts


def average_pool2d_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """Sums of windows, divided."""
    (x,) = inputs
    image, pooled = (x.shape[2], x.shape[3]), (outputs[0].shape[2], outputs[0].shape[3])
    y = np.zeros((*x.shape[:2], *pooled), x.dtype)
    geometry = (params["window"], params["stride"], params["padding"])
    for _, (wh, ww), (ih, iw) in taps(image, pooled, *geometry):
        y[:, :, wh, ww] += x[:, :, ih, iw]
    return [y / counted_positions(params, image, pooled).astype(x.dtype)]


def average_pool2d_grad_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """Each window's gradient, divided and added to its pixels."""
    (g,) = inputs
    image, pooled = (outputs[0].shape[2], outputs[0].shape[3]), (g.shape[2], g.shape[3])
    quotient = g / counted_positions(params, image, pooled).astype(g.dtype)
    dx = np.zeros((*g.shape[:2], *image), g.dtype)
    geometry = (params["window"], params["stride"], params["padding"])
    # A pixel's later windows see it at earlier taps: the last tap first adds windows in C order.
    for _, (wh, ww), (ih, iw) in reversed(list(taps(image, pooled, *geometry))):
        dx[:, :, ih, iw] += quotient[:, :, wh, ww]
    return [dx]


def _flops(params: Params, pooled: ArraySpec) -> int:
    window: Pair = params["window"]
    per_window = window[0] * window[1] + (0 if params["count"] == SUM else 1)
    return pooled.size * per_window


def average_pool2d_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """One addition for each position of each window, and a division unless it is a sum."""
    return _flops(params, outputs[0])


def average_pool2d_grad_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """As the forward kernel."""
    return _flops(params, inputs[0])


_INTS = ("window", "stride", "padding", "count")
AVERAGE_POOL2D = register(
    Contract("average_pool2d", average_pool2d_reference, average_pool2d_flops, ints=_INTS)
)
AVERAGE_POOL2D_GRAD = register(
    Contract(
        "average_pool2d_grad", average_pool2d_grad_reference, average_pool2d_grad_flops, ints=_INTS
    )
)
