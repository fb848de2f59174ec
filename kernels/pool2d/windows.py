"""Windows of a pool over images: which pixels a window has, and which windows have a pixel.

Kernels walk over either with a function `take(total, k, window, tap, p)`, which returns the new
total. `p[0][k]` is the element of input 0: the pixel, or the gradient of the window. window: its
plane, row and column. tap: number of the pixel in the window.

All of these numbers are indices (`core/index.py`). A pixel in the padding before an image, or a
window before the first one, has a number below 0, which is a large one modulo 2**32. So one
comparison with the length finds those before and behind.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.axes import merged
from ..core.call import Call, Function, Operand
from ..core.device import device, uint64
from ..core.index import ravel, strided, u32, unravel
from ..core.integers import ceil_div
from ..core.sums import FEW_TERMS, run_length


class Axis(NamedTuple):
    """One axis of a pool. pixels, windows: their numbers. size, stride, padding: of the windows."""

    pixels: int
    windows: int
    size: int
    stride: int
    padding: int

    @property
    def is_inside(self) -> bool:
        """Whether all windows lie entirely inside the image."""
        return self.padding == 0 and (self.windows - 1) * self.stride + self.size <= self.pixels

    @property
    def overlap(self) -> int:
        """The most windows that have the same pixel."""
        return ceil_div(self.size, self.stride)


def pool_axes(call: Call, image: Operand, pooled: Operand) -> tuple[Axis, Axis]:
    """The vertical and the horizontal axis of a pool between these operands."""
    window, stride, padding = (call.params[k] for k in ("window", "stride", "padding"))
    vertical, horizontal = (
        Axis(image.shape[2 + k], pooled.shape[2 + k], window[k], stride[k], padding[k])
        for k in (0, 1)
    )
    return vertical, horizontal


def coordinates(operand: Operand) -> Function:
    """`index(i)`: plane, row and column of element i of (N, C, rows, columns). Planes are numbered
    through N and C."""
    return unravel(*operand.shape[2:4])


def index_of(operand: Operand) -> Function:
    """`index(plane, row, column)`: the index of an element of (N, C, rows, columns, ...),
    with index 0 on further axes."""
    plane_of = strided(*merged(operand.shape[:2], operand.strides[:2]))
    in_plane = ravel(1, *operand.strides[2:4], base=operand.base)
    return device(lambda plane, row, column: in_plane(plane_of(plane), row, column))


def pixel_of(x: Operand, axes: tuple[Axis, Axis]) -> Function:
    """`index(window, h, w, r, c)`: the index of pixel (h, w) of the image, which is pixel (r, c) of
    the window."""
    place, (first_row, first_column) = index_of(x), map(corner, axes)
    further = ravel(*x.strides[2:4])

    def of_any(window: Any, h: Any, w: Any, r: Any, c: Any) -> Any:
        return place(window[0], h, w)

    def near(window: Any, h: Any, w: Any, r: Any, c: Any) -> Any:
        plane, row, column = window
        first = place(plane, first_row(row), first_column(column))
        return uint64(first) + uint64(further(r, c))  # of 64 bits: part of the instruction

    is_near = min(x.strides[2:4]) >= 0 and all(axis.is_inside for axis in axes)
    return device(near if is_near else of_any)


def corner(axis: Axis) -> Function:
    """`first(k)`: the first pixel of window k. In the padding it is below 0, modulo 2**32."""
    return ravel(axis.stride, base=-axis.padding)


def inside(axis: Axis) -> Function:
    """`test(k)`: whether pixel k exists; always True if all windows are inside the image."""
    pixels = axis.pixels
    if axis.is_inside:
        return device(lambda k: True)
    return device(lambda k: k < pixels)  # one below 0 is large


def windows_of(axis: Axis) -> tuple[Function, Function]:
    """Which windows have a pixel.

    `first(k)`: the first of the `axis.overlap` windows that may have pixel k; one below 0 doesn't
    exist. `tap(k, window)`: the pixel's position in the window; not less than the window's size if
    the pixel isn't in it, or there is no such window.
    """
    stride, padding, size, windows = axis.stride, axis.padding, axis.size, axis.windows
    before = axis.overlap - 1

    def first(k: Any) -> Any:
        return (k + padding) // stride - before

    def tap(k: Any, window: Any) -> Any:
        return k + padding - window * stride if window < windows else u32(size)

    def tap_of_only(k: Any, window: Any) -> Any:
        return (k + padding) % stride

    has_one = before == 0 and (axis.pixels - 1 + padding) // stride < windows  # for every pixel
    return device(first), device(tap_of_only if has_one else tap)


def over_window(
    x: Operand,
    axes: tuple[Axis, Axis],
    start: Any,
    take: Function,
    join: Function | None = None,
) -> Function:
    """`total(window, p)`: from `start` on through all pixels of a window that are inside the image,
    in C order. x: the image, input 0. join(total, run): for sums; the runs of long ones are added
    by it (sums.py)."""
    height, width = axes[0].size, axes[1].size
    first_row, first_column = corner(axes[0]), corner(axes[1])
    has_row, has_column = inside(axes[0]), inside(axes[1])
    pixel, take_one = pixel_of(x, axes), device(take)

    def visit(total: Any, window: Any, r: Any, c: Any, p: Any) -> Any:
        h, w = first_row(window[1]) + r, first_column(window[2]) + c
        if has_row(h) and has_column(w):
            return take_one(total, pixel(window, h, w, r, c), window, r * width + c, p)
        return total

    return _walk(height, width, visit, start, join)


def over_windows(
    g: Operand,
    axes: tuple[Axis, Axis],
    start: Any,
    take: Function,
    join: Function | None = None,
) -> Function:
    """`total(pixel, p)`: from `start` on through all windows that have a pixel, in C order.

    pixel: its plane, row and column. g: an element per window, input 0. join: as for `over_window`.
    """
    first_row, tap_row = windows_of(axes[0])
    first_column, tap_column = windows_of(axes[1])
    height, width = axes[0].size, axes[1].size
    place, take_one = index_of(g), device(take)

    def visit(total: Any, pixel: Any, a: Any, b: Any, p: Any) -> Any:
        plane, h, w = pixel
        row, column = first_row(h) + a, first_column(w) + b
        r, c = tap_row(h, row), tap_column(w, column)
        if r < height and c < width:
            window = plane, row, column
            return take_one(total, place(plane, row, column), window, r * width + c, p)
        return total

    return _walk(axes[0].overlap, axes[1].overlap, visit, start, join)


def _walk(rows: int, columns: int, visit: Function, start: Any, join: Function | None) -> Function:
    """`total(of, p)`: what visit(total, of, a, b, p) makes of `start`, for a < rows and b < columns
    in C order. With `join`, many terms are cut into runs."""
    size = run_length(rows * columns) if join and rows * columns > FEW_TERMS else 0
    visit_one, join_two = device(visit), device(join or (lambda total, run: run))

    def total(of: Any, p: Any) -> Any:
        joined, run, left = start, start, u32(size)
        for a in range(rows):
            for b in range(columns):
                run = visit_one(run, of, a, b, p)
                if size > 0:
                    left = left - 1
                    if left == 0:
                        joined, run, left = join_two(joined, run), start, u32(size)
        return join_two(joined, run) if size > 0 else run

    return device(total)
