"""pool2d, pool2d_grad, pool2d_gather: max-pooling, its gradient, and the gradient's own.

Shapes: x (N, C, H, W), y (N, C, PH, PW), winners uint8 (N, C, PH, PW, nbytes). Algorithm: a thread
per window looks at its pixels twice, for the maximum and for who has it; windows of up to 64 pixels
are unrolled, and read once. For the gradient a thread per pixel adds up, in C order, those of its
windows that it wins: no atomics. Launch: see `each.py`.
"""

from __future__ import annotations

import math
from typing import Any

from ..core.call import Call, Function, Launches, factory
from ..core.device import TYPES, device, int32, uint32, uint64
from ..core.each import each
from .windows import Axis, corner, inside, locate, pool_axes, unravel, windows_of


@factory("pool2d")
def pool2d(call: Call) -> Launches:
    """One kernel."""
    x, y = call.inputs[0], call.outputs[0]
    axes = pool_axes(call, x, y)
    (vertical, horizontal), (height, width) = axes, (axes[0].size, axes[1].size)
    first_row, first_column = corner(vertical), corner(horizontal)
    has_row, has_column = inside(vertical), inside(horizontal)
    begin, place = locate(x)
    unravelled, store, least = unravel(y.shape), call.stores[0], TYPES[y.dtype](-math.inf)
    mark = _mark(call, axes) if len(call.outputs) == 2 else None

    def maximum(plane: Any, h: Any, w: Any, p: Any) -> Any:
        top = least
        for r in range(height):
            for c in range(width):
                if has_row(h + r) and has_column(w + c):
                    value = p[0][place(plane, h + r, w + c)]
                    top = value if value > top or value != value else top
        return top

    maximum = device(maximum)
    if mark is None:

        def element(i: Any, p: Any) -> None:
            number, row, column = unravelled(i)
            store(maximum(begin(number), first_row(row), first_column(column), p), i, p)

    else:

        def element(i: Any, p: Any) -> None:
            number, row, column = unravelled(i)
            plane, h, w = begin(number), first_row(row), first_column(column)
            top = maximum(plane, h, w, p)
            mark(i, top, plane, h, w, p)
            store(top, i, p)

    return Launches((each(y.size, element),))


def _mark(call: Call, axes: tuple[Axis, Axis]) -> Function:
    """`mark(i, top, plane, h, w, p)`: stores the bits of window i that has the maximum `top`."""
    n_bytes, store = call.outputs[1].shape[4], call.stores[1]
    width, n_pixels = axes[1].size, axes[0].size * axes[1].size
    has_row, has_column = inside(axes[0]), inside(axes[1])
    _, place = locate(call.inputs[0])

    def mark(i: Any, top: Any, plane: Any, h: Any, w: Any, p: Any) -> None:
        for byte in range(n_bytes):
            bits = uint32(0)
            for bit in range(8):
                tap = byte * 8 + bit
                if tap < n_pixels:
                    row, column = h + tap // width, w + tap % width
                    if has_row(row) and has_column(column):
                        value = p[0][place(plane, row, column)]
                        if value == top or value != value:
                            bits = uint32(bits | uint32(1 << bit))
            store(bits, uint32(uint32(i * uint32(n_bytes)) + uint32(byte)), p)

    return device(mark)


def _winners(call: Call) -> tuple[Function, Function]:
    """Input 1: `begin(plane)`, and `wins(plane, row, column, tap, p)`: whether a window's pixel
    number `tap` wins."""
    winners = call.inputs[1]
    begin, place = locate(winners)
    stride = winners.strides[4]

    def wins(plane: Any, row: Any, column: Any, tap: Any, p: Any) -> Any:
        byte = uint32(uint32(tap) >> uint32(3))
        where = uint32(int32(int32(place(plane, row, column)) + int32(byte) * stride))
        bits = uint32(p[1][uint64(where)])
        return uint32(bits >> uint32(uint32(tap) & uint32(7))) & uint32(1) != 0

    return begin, device(wins)


@factory("pool2d_grad")
def pool2d_grad(call: Call) -> Launches:
    """One kernel."""
    g, dx = call.inputs[0], call.outputs[0]
    vertical, horizontal = pool_axes(call, dx, g)
    first_row, tap_row = windows_of(vertical)
    first_column, tap_column = windows_of(horizontal)
    rows, columns, width = vertical.overlap, horizontal.overlap, horizontal.size
    begin, place = locate(g)
    begin_winners, wins = _winners(call)
    unravelled, store, dtype = unravel(dx.shape), call.stores[0], TYPES[dx.dtype]

    def element(i: Any, p: Any) -> None:
        number, h, w = unravelled(i)
        plane, plane_winners = begin(number), begin_winners(number)
        row0, column0 = first_row(h), first_column(w)
        total = dtype(0)
        for a in range(rows):
            row = int32(row0 + a)
            r = tap_row(h, row)
            for b in range(columns):
                column = int32(column0 + b)
                c = tap_column(w, column)
                if r >= 0 and c >= 0 and wins(plane_winners, row, column, r * width + c, p):
                    total = dtype(total + p[0][place(plane, row, column)])
        store(total, i, p)

    return Launches((each(dx.size, element),))


@factory("pool2d_gather")
def pool2d_gather(call: Call) -> Launches:
    """One kernel."""
    x, y = call.inputs[0], call.outputs[0]
    vertical, horizontal = pool_axes(call, x, y)
    height, width = vertical.size, horizontal.size
    first_row, first_column = corner(vertical), corner(horizontal)
    has_row, has_column = inside(vertical), inside(horizontal)
    begin, place = locate(x)
    begin_winners, wins = _winners(call)
    unravelled, store, dtype = unravel(y.shape), call.stores[0], TYPES[y.dtype]

    def element(i: Any, p: Any) -> None:
        number, row, column = unravelled(i)
        plane, plane_winners = begin(number), begin_winners(number)
        h, w = first_row(row), first_column(column)
        total = dtype(0)
        for r in range(height):
            for c in range(width):
                is_there = has_row(h + r) and has_column(w + c)
                if is_there and wins(plane_winners, row, column, r * width + c, p):
                    total = dtype(total + p[0][place(plane, h + r, w + c)])
        store(total, i, p)

    return Launches((each(y.size, element),))
