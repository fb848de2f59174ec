"""pool2d, pool2d_grad, pool2d_gather: max-pooling, its gradient, and the gradient's own.

Shapes: x (N, C, H, W), y (N, C, PH, PW), winners uint8 (N, C, PH, PW, nbytes); any strides.

Algorithm: a thread per window reads its pixels twice: for the maximum, and for the bits of the
winners. Windows of up to 64 pixels are unrolled and read once. For the gradient a thread per pixel
adds up the gradients of the windows that it wins in C order, without atomics.

Versions: places as signed numbers, which the compiler widened one by one. The pool of 2 x 2 windows
of the book's first layer had 73 instructions for sm_90; it has 53 now, and its loads share an
address.

Launch: see `each.py`. Reference: contracts/pool2d/pool2d.py; maxima and winners are exact.
"""

from __future__ import annotations

import math
from typing import Any

from ..core.call import Call, Function, Launches, factory
from ..core.device import TYPES, device
from ..core.each import each
from ..core.index import u32, wrapped
from ..core.sums import adder
from .windows import (
    Axis,
    coordinates,
    corner,
    index_of,
    inside,
    over_window,
    over_windows,
    pixel_of,
    pool_axes,
)


@factory("pool2d")
def pool2d(call: Call) -> Launches:
    """One kernel."""
    x, y = call.inputs[0], call.outputs[0]
    axes = pool_axes(call, x, y)
    unravelled, store, least = coordinates(y), call.stores[0], TYPES[y.dtype](-math.inf)
    mark = _mark(call, axes) if len(call.outputs) == 2 else None

    def larger(top: Any, k: Any, window: Any, tap: Any, p: Any) -> Any:
        value = p[0][k]
        return value if value > top or value != value else top

    maximum = over_window(x, axes, least, larger)
    if mark is None:

        def element(i: Any, p: Any) -> None:
            store(maximum(unravelled(i), p), i, p)

    else:

        def element(i: Any, p: Any) -> None:
            window = unravelled(i)
            top = maximum(window, p)
            mark(i, top, window, p)
            store(top, i, p)

    return Launches((each(y.size, element),))


def _mark(call: Call, axes: tuple[Axis, Axis]) -> Function:
    """`mark(i, top, window, p)`: stores the bits of window number i, whose maximum is `top`."""
    first_only = bool(call.params.get("first"))
    n_bytes, store = call.outputs[1].shape[4], call.stores[1]
    width, n_pixels = axes[1].size, axes[0].size * axes[1].size
    first_row, first_column = corner(axes[0]), corner(axes[1])
    has_row, has_column = inside(axes[0]), inside(axes[1])
    pixel = pixel_of(call.inputs[0], axes)

    def mark(i: Any, top: Any, window: Any, p: Any) -> None:
        top_row, left = first_row(window[1]), first_column(window[2])
        found = False
        for byte in range(n_bytes):
            bits = u32(0)
            for bit in range(8):
                tap = byte * 8 + bit
                if tap < n_pixels:
                    r, c = tap // width, tap % width
                    h, w = top_row + r, left + c
                    if has_row(h) and has_column(w):
                        value = p[0][pixel(window, h, w, r, c)]
                        wins = value == top or value != value
                        if wins and not (first_only and found):
                            bits = bits | 1 << bit
                            found = True
            store(bits, i * n_bytes + byte, p)

    return device(mark)


def _winner_adder(call: Call, dtype: Any) -> Function:
    """Adds the elements of the pixels that win; input 1 has the bits."""
    winners = call.inputs[1]
    place, stride = index_of(winners), wrapped(winners.strides[4])

    def wins(window: Any, tap: Any, p: Any) -> Any:
        plane, row, column = window
        byte = u32(tap) >> 3
        bits = u32(p[1][place(plane, row, column) + byte * stride])
        return bits >> (u32(tap) & 7) & 1 != 0

    wins = device(wins)

    def add(total: Any, k: Any, window: Any, tap: Any, p: Any) -> Any:
        return dtype(total + p[0][k]) if wins(window, tap, p) else total

    return add


@factory("pool2d_grad")
def pool2d_grad(call: Call) -> Launches:
    """One kernel."""
    return _sum_of_winners(call, pool_axes(call, call.outputs[0], call.inputs[0]), over_windows)


@factory("pool2d_gather")
def pool2d_gather(call: Call) -> Launches:
    """One kernel."""
    return _sum_of_winners(call, pool_axes(call, call.inputs[0], call.outputs[0]), over_window)


def _sum_of_winners(call: Call, axes: tuple[Axis, Axis], walk: Function) -> Launches:
    """Elements of input 0 where a pixel wins a window, added up over `walk`: a pixel's windows, or
    a window's pixels."""
    y = call.outputs[0]
    unravelled, store, dtype = coordinates(y), call.stores[0], TYPES[y.dtype]
    over = walk(call.inputs[0], axes, dtype(0), _winner_adder(call, dtype), adder(y.dtype))

    def element(i: Any, p: Any) -> None:
        store(over(unravelled(i), p), i, p)

    return Launches((each(y.size, element),))
