"""Windows of a pool over images: which pixels a window has, and which windows have a pixel.

Kernels walk over either with a function `take(total, k, window, tap, p)`, which returns the new
total. `p[0][k]` is the element of input 0: the pixel, or the gradient of the window. window: its
plane, row and column. tap: number of the pixel in the window.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Call, Function, Operand
from ..core.device import device, int32, uint64
from ..core.index import u32
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


def unravel(shape: tuple[int, ...]) -> Function:
    """`index(i)`: (plane, row, column), int32, of element i (uint32) of (N, C, rows, columns).

    Planes are numbered through N and C.
    """
    height, width = max(shape[2], 1), max(shape[3], 1)  # where one is 0, there is no element

    def index(i: Any) -> Any:
        line = i // width
        plane = line // height
        row = line - plane * height
        return int32(plane), int32(row), int32(i - line * width)

    return device(index)


def locate(operand: Operand) -> tuple[Function, Function]:
    """The index of elements of an operand (N, C, rows, columns, ...), with index 0 on further axes.

    `begin(plane)`: int32, where a plane begins. `place(begin, row, column)`: uint64, the index of
    an element of that plane.
    """
    channels = max(operand.shape[1], 1)
    base, s0, s1, s2, s3 = operand.base, *operand.strides[:4]
    if s0 == channels * s1:

        def begin(plane: Any) -> Any:
            return int32(base + plane * s1)

    else:

        def begin(plane: Any) -> Any:
            n = int32(u32(plane) // channels)
            return int32(base + n * s0 + int32(plane - n * channels) * s1)

    def place(begin: Any, row: Any, column: Any) -> Any:
        return uint64(u32(int32(begin + row * s2 + column * s3)))

    return device(begin), device(place)


def corner(axis: Axis) -> Function:
    """`first(k)`: the first pixel of window k, int32; negative if it is in the padding."""
    stride, padding = axis.stride, axis.padding
    return device(lambda k: int32(k * stride - padding))


def inside(axis: Axis) -> Function:
    """`test(k)`: whether pixel k exists; always True if all windows are inside the image."""
    pixels = axis.pixels
    if axis.is_inside:
        return device(lambda k: True)
    return device(lambda k: k >= 0 and k < pixels)


def windows_of(axis: Axis) -> tuple[Function, Function]:
    """Which windows have a pixel.

    `first(k)`: the first of the `axis.overlap` windows that may have pixel k, int32. `tap(k,
    window)`: the pixel's position in the window, int32; negative if it isn't in the window, or
    there is no such window.
    """
    stride, padding, size, windows = axis.stride, axis.padding, axis.size, axis.windows
    before = axis.overlap - 1

    def first(k: Any) -> Any:
        return int32(int32(u32(k + padding) // stride) - before)

    def tap(k: Any, window: Any) -> Any:
        place = int32(k + padding - window * stride)
        is_there = window >= 0 and window < windows and place < size
        return place if is_there else int32(-1)

    return device(first), device(tap)


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
    run_size = _run_size(height * width, join)
    first_row, first_column = corner(axes[0]), corner(axes[1])
    has_row, has_column = inside(axes[0]), inside(axes[1])
    begin, place = locate(x)
    take_one = device(take)

    def over(window: Any, p: Any) -> Any:
        number, row, column = window
        plane, h, w = begin(number), first_row(row), first_column(column)
        total = start
        for r in range(height):
            for c in range(width):
                if has_row(h + r) and has_column(w + c):
                    total = take_one(total, place(plane, h + r, w + c), window, r * width + c, p)
        return total

    def over_runs(window: Any, p: Any) -> Any:
        number, row, column = window
        plane, h, w = begin(number), first_row(row), first_column(column)
        total, run, left = start, start, int32(run_size)
        for r in range(height):
            for c in range(width):
                if has_row(h + r) and has_column(w + c):
                    run = take_one(run, place(plane, h + r, w + c), window, r * width + c, p)
                left = int32(left - 1)
                if left == 0:
                    total, run, left = join_two(total, run), start, int32(run_size)
        return join_two(total, run)

    if join is None or run_size is None:
        return device(over)
    join_two = device(join)
    return device(over_runs)


def _run_size(terms: int, join: Function | None) -> int | None:
    """Terms of a run; None if all are one."""
    return None if join is None or terms <= FEW_TERMS else run_length(terms)


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
    rows, columns, width = axes[0].overlap, axes[1].overlap, axes[1].size
    run_size = _run_size(rows * columns, join)
    begin, place = locate(g)
    take_one = device(take)

    def over(pixel: Any, p: Any) -> Any:
        number, h, w = pixel
        plane, row0, column0 = begin(number), first_row(h), first_column(w)
        total = start
        for a in range(rows):
            row = int32(row0 + a)
            for b in range(columns):
                column = int32(column0 + b)
                r = tap_row(h, row)
                if r >= 0:
                    c = tap_column(w, column)
                    if c >= 0:
                        window = number, row, column
                        total = take_one(total, place(plane, row, column), window, r * width + c, p)
        return total

    def over_runs(pixel: Any, p: Any) -> Any:
        number, h, w = pixel
        plane, row0, column0 = begin(number), first_row(h), first_column(w)
        total, run, left = start, start, int32(run_size)
        for a in range(rows):
            row = int32(row0 + a)
            r = tap_row(h, row)
            for b in range(columns):
                column = int32(column0 + b)
                c = tap_column(w, column)
                if r >= 0 and c >= 0:
                    window = number, row, column
                    run = take_one(run, place(plane, row, column), window, r * width + c, p)
                left = int32(left - 1)
                if left == 0:
                    total, run, left = join_two(total, run), start, int32(run_size)
        return join_two(total, run)

    if join is None or run_size is None:
        return device(over)
    join_two = device(join)
    return device(over_runs)
