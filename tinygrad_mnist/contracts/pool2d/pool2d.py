"""Max-pooling, its gradient, and the gradient's own.

    pool2d:        x (N, C, H, W) -> y (N, C, PH, PW) [, winners uint8 (N, C, PH, PW, nbytes)]
    pool2d_grad:   g (N, C, PH, PW), winners -> dx (N, C, H, W)
    pool2d_gather: x (N, C, H, W), winners   -> y (N, C, PH, PW)

`window`, `stride` and `padding` are (height, width). The output's shape gives the number of
windows: whether an incomplete one at the edge counts is the caller's choice. A window is clipped
to the image, so padding never wins; a window completely outside is -inf and has no winner.

`winners` is a bit mask: bit i % 8 of byte i // 8, where i = r * window[1] + c, says that the
position (r, c) of the window equals the maximum; nbytes = ceil(window[0] * window[1] / 8). All
positions that tie are set. A NaN in the window makes the maximum NaN, and the positions that are
NaN win. With the parameter `first` = 1 of `pool2d`, only the first of a window's winners in C order
is set.

Each winner of a window gets the whole gradient of the window; where windows overlap, a pixel adds
its windows up in C order. `pool2d_gather` goes the other way: each window adds up what `x` has at
its winners, in C order. What does not win adds nothing, not even where it is inf or NaN.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register
from ..core.windows import Pair, max_pool, max_pool_grad, taps


def gather_winners(x: Array, winners: Array, window: Pair, stride: Pair, padding: Pair) -> Array:
    """The sum of x (N, C, H, W) over each window's winners: (N, C, PH, PW)."""
    y = np.zeros(winners.shape[:4], x.dtype)
    image, pooled = (x.shape[2], x.shape[3]), (y.shape[2], y.shape[3])
    for bit, (wh, ww), (ih, iw) in taps(image, pooled, window, stride, padding):
        wins = (winners[:, :, wh, ww, bit // 8] >> np.uint8(bit % 8)) & 1
        total = y[:, :, wh, ww]
        y[:, :, wh, ww] = np.where(wins != 0, total + x[:, :, ih, iw], total)
    return y


def pool2d_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """Maxima and, where a second output is wanted, winners."""
    pooled = (outputs[0].shape[2], outputs[0].shape[3])
    geometry = (params["window"], params["stride"], params["padding"])
    both = max_pool(inputs[0], pooled, *geometry, params.get("first", 0))
    return list(both)[: len(outputs)]


def pool2d_grad_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """Each window's gradient, added at its winners."""
    g, winners = inputs
    image = (outputs[0].shape[2], outputs[0].shape[3])
    window, stride, padding = params["window"], params["stride"], params["padding"]
    return [max_pool_grad(g, winners, image, window, stride, padding)]


def pool2d_gather_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """Each window's sum over its winners."""
    x, winners = inputs
    return [gather_winners(x, winners, params["window"], params["stride"], params["padding"])]


def pool2d_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """One comparison, or addition, for each position of each window."""
    window: Pair = params["window"]
    return outputs[0].size * window[0] * window[1]


def pool2d_grad_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """One addition for each window."""
    return inputs[0].size


_INTS = ("window", "stride", "padding")
_FIRST = ("first",)
POOL2D = register(
    Contract("pool2d", pool2d_reference, pool2d_flops, ints=_INTS + _FIRST, optional=_FIRST)
)
POOL2D_GRAD = register(
    Contract("pool2d_grad", pool2d_grad_reference, pool2d_grad_flops, ints=_INTS)
)
POOL2D_GATHER = register(
    Contract("pool2d_gather", pool2d_gather_reference, pool2d_flops, ints=_INTS)
)
