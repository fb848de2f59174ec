"""average_pool2d, average_pool2d_grad: sums and means over windows of an image.

Shapes: x (N, C, H, W), y (N, C, PH, PW); any strides.

Algorithm: a thread per window adds up its pixels in C order and divides. For the gradient a thread
per pixel adds up the quotients of its windows in C order, without atomics. Long sums are cut into
runs. If all windows count the same number of positions, the divisor is a constant.

Launch: see `each.py`. Reference: contracts/pool2d/average_pool2d.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launches, factory
from ..core.device import TYPES, device
from ..core.each import each
from ..core.sums import adder
from .windows import Axis, coordinates, over_window, over_windows, pool_axes

SUM, PADDED, INSIDE = range(3)  # what `count` may be


def _quotient(call: Call, axes: tuple[Axis, Axis], dtype: Any) -> Function:
    """`quotient(total, row, column)`: `total` divided by the count of the window there."""
    count = int(call.params["count"])
    if count == SUM:
        return device(lambda total, row, column: total)
    if all(axis.is_inside for axis in axes):
        positions = dtype(axes[0].size * axes[1].size)
        return device(lambda total, row, column: dtype(total / positions))
    rows, columns = (_counted(axis, count) for axis in axes)
    return device(lambda total, row, column: dtype(total / dtype(rows(row) * columns(column))))


def _counted(axis: Axis, count: int) -> Function:
    """`positions(k)`: how many positions of window k count along an axis; at least one."""
    size, stride = axis.size, axis.stride
    # Of the padded axis: the first pixel that counts, and the first behind them.
    low = 0 if count == PADDED else axis.padding
    high = axis.pixels + 2 * axis.padding - low

    def positions(k: Any) -> Any:
        begin, end = max(k * stride, low), min(k * stride + size, high)
        return max(end, begin + 1) - begin

    return device(positions)


@factory("average_pool2d")
def average_pool2d(call: Call) -> Launches:
    """One kernel."""
    x, y = call.inputs[0], call.outputs[0]
    axes, dtype = pool_axes(call, x, y), TYPES[y.dtype]
    unravelled, store, quotient = coordinates(y), call.stores[0], _quotient(call, axes, dtype)

    def add(total: Any, k: Any, window: Any, tap: Any, p: Any) -> Any:
        return dtype(total + p[0][k])

    over = over_window(x, axes, dtype(0), add, adder(y.dtype))

    def element(i: Any, p: Any) -> None:
        window = unravelled(i)
        store(quotient(over(window, p), window[1], window[2]), i, p)

    return Launches((each(y.size, element),))


@factory("average_pool2d_grad")
def average_pool2d_grad(call: Call) -> Launches:
    """One kernel."""
    g, dx = call.inputs[0], call.outputs[0]
    axes, dtype = pool_axes(call, dx, g), TYPES[dx.dtype]
    unravelled, store, quotient = coordinates(dx), call.stores[0], _quotient(call, axes, dtype)

    def add(total: Any, k: Any, window: Any, tap: Any, p: Any) -> Any:
        return dtype(total + quotient(p[0][k], window[1], window[2]))

    over = over_windows(g, axes, dtype(0), add, adder(dx.dtype))

    def element(i: Any, p: Any) -> None:
        store(over(unravelled(i), p), i, p)

    return Launches((each(dx.size, element),))
