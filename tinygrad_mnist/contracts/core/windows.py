"""Max-pooling windows in NumPy, for `pool2d` and for the convolutions fused with a pool.

`winners` is the bit mask that `pool2d` describes.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from .base import Array

Pair = tuple[int, int]


def mask_bytes(window: Pair) -> int:
    """Bytes of one window's winners."""
    return (window[0] * window[1] + 7) // 8


def taps(
    image: Pair, pooled: Pair, window: Pair, stride: Pair, padding: Pair
) -> Iterator[tuple[int, tuple[slice, slice], tuple[slice, slice]]]:
    """For each position of a window: its bit, the windows where it is inside, their pixels."""
    for bit in range(window[0] * window[1]):
        windows, pixels = [], []
        for axis, tap in enumerate(divmod(bit, window[1])):
            start = tap - padding[axis]
            first = max(0, -(start // stride[axis]))
            last = min(pooled[axis], (image[axis] - 1 - start) // stride[axis] + 1)
            last = max(first, last)
            low = first * stride[axis] + start
            windows.append(slice(first, last))
            pixels.append(slice(low, low + (last - first) * stride[axis], stride[axis]))
        if all(s.start < s.stop for s in windows):
            yield bit, (windows[0], windows[1]), (pixels[0], pixels[1])


def first_winners(winners: Array) -> Array:
    """The bit masks (..., bytes) with the lowest bit of each, all others 0."""
    lowest = winners & -winners
    is_later = np.cumsum(winners != 0, axis=-1) > 1
    return np.where(is_later, np.uint8(0), lowest)


def max_pool(
    x: Array, pooled: Pair, window: Pair, stride: Pair, padding: Pair, first: int = 0
) -> tuple[Array, Array]:
    """The maxima (N, C, PH, PW) and the bit mask of winners; with `first`, of the first of them."""
    y = np.full((*x.shape[:2], *pooled), -np.inf, x.dtype)
    winners = np.zeros((*y.shape, mask_bytes(window)), np.uint8)
    image = (x.shape[2], x.shape[3])
    for _, (wh, ww), (ih, iw) in taps(image, pooled, window, stride, padding):
        y[:, :, wh, ww] = np.maximum(y[:, :, wh, ww], x[:, :, ih, iw])
    for bit, (wh, ww), (ih, iw) in taps(image, pooled, window, stride, padding):
        pixel = x[:, :, ih, iw]
        wins = (pixel == y[:, :, wh, ww]) | np.isnan(pixel)
        winners[:, :, wh, ww, bit // 8] |= wins.astype(np.uint8) << np.uint8(bit % 8)
    return y, first_winners(winners) if first else winners


def max_pool_grad(
    g: Array, winners: Array, image: Pair, window: Pair, stride: Pair, padding: Pair
) -> Array:
    """The gradient g (N, C, PH, PW), added up at the winners: (N, C, *image)."""
    dx = np.zeros((*g.shape[:2], *image), g.dtype)
    pooled = (g.shape[2], g.shape[3])
    # A pixel's later windows see it at earlier taps: the last tap first adds windows in C order.
    for bit, (wh, ww), (ih, iw) in reversed(list(taps(image, pooled, window, stride, padding))):
        wins = (winners[:, :, wh, ww, bit // 8] >> np.uint8(bit % 8)) & 1
        pixel = dx[:, :, ih, iw]
        dx[:, :, ih, iw] = np.where(wins != 0, pixel + g[:, :, wh, ww], pixel)
    return dx
