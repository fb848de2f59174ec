"""average_pool2d, average_pool2d_grad: sums and means over windows of an image.

Shapes: x (N, C, H, W), y (N, C, PH, PW). Algorithm: a thread per window adds its pixels up in C
order and divides; for the gradient a thread per pixel adds up, in C order, the quotients of its
windows: no atomics. Where all windows have as many positions that count, the divisor is a constant.
Launch: see `each.py`.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launches, factory
from ..core.device import TYPES, device, int32
from ..core.each import each
from .windows import Axis, corner, inside, locate, pool_axes, unravel, windows_of

SUM, PADDED, INSIDE = range(3)  # what `count` may be


def _quotient(call: Call, axes: tuple[Axis, Axis], dtype: Any) -> Function:
    """`quotient(total, row, column)`: the mean of the window there, if its pixels add up so."""
    count = int(call.params["count"])
    if count == SUM:
        return device(lambda total, row, column: total)
    if all(axis.is_inside for axis in axes):
        positions = dtype(axes[0].size * axes[1].size)
        return device(lambda total, row, column: dtype(total / positions))
    rows, columns = (_counted(axis, count) for axis in axes)
    return device(lambda total, row, column: dtype(total / dtype(rows(row) * columns(column))))


def _counted(axis: Axis, count: int) -> Function:
    """`positions(k)`: how many positions of window k count along an axis, one at least."""
    first, size = corner(axis), axis.size
    low, high = (0, axis.pixels)
    if count == PADDED:
        low, high = -axis.padding, axis.pixels + axis.padding

    def positions(k: Any) -> Any:
        begin = first(k)
        end = int32(min(int32(begin + size), int32(high)))
        return int32(max(int32(end - max(begin, int32(low))), int32(1)))

    return device(positions)


@factory("average_pool2d")
def average_pool2d(call: Call) -> Launches:
    """One kernel."""
    x, y = call.inputs[0], call.outputs[0]
    axes = pool_axes(call, x, y)
    (vertical, horizontal), (height, width) = axes, (axes[0].size, axes[1].size)
    first_row, first_column = corner(vertical), corner(horizontal)
    has_row, has_column = inside(vertical), inside(horizontal)
    begin, place = locate(x)
    unravelled, store, dtype = unravel(y.shape), call.stores[0], TYPES[y.dtype]
    quotient = _quotient(call, axes, dtype)

    def element(i: Any, p: Any) -> None:
        number, row, column = unravelled(i)
        plane, h, w = begin(number), first_row(row), first_column(column)
        total = dtype(0)
        for r in range(height):
            for c in range(width):
                if has_row(h + r) and has_column(w + c):
                    total = dtype(total + p[0][place(plane, h + r, w + c)])
        store(quotient(total, row, column), i, p)

    return Launches((each(y.size, element),))


@factory("average_pool2d_grad")
def average_pool2d_grad(call: Call) -> Launches:
    """One kernel."""
    g, dx = call.inputs[0], call.outputs[0]
    axes = pool_axes(call, dx, g)
    first_row, tap_row = windows_of(axes[0])
    first_column, tap_column = windows_of(axes[1])
    rows, columns = axes[0].overlap, axes[1].overlap
    begin, place = locate(g)
    unravelled, store, dtype = unravel(dx.shape), call.stores[0], TYPES[dx.dtype]
    quotient = _quotient(call, axes, dtype)

    def element(i: Any, p: Any) -> None:
        number, h, w = unravelled(i)
        plane, row0, column0 = begin(number), first_row(h), first_column(w)
        total = dtype(0)
        for a in range(rows):
            row = int32(row0 + a)
            for b in range(columns):
                column = int32(column0 + b)
                if tap_row(h, row) >= 0 and tap_column(w, column) >= 0:
                    part = quotient(p[0][place(plane, row, column)], row, column)
                    total = dtype(total + part)
        store(total, i, p)

    return Launches((each(dx.size, element),))
