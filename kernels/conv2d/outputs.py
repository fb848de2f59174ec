"""The outputs of a tiled forward convolution: from the sums in registers, through shared memory.

Threads store their results to shared memory in the order of their tiles, and read them in the order
of the output, so that the epilogue reads and writes neighbouring elements. If several threads share
a position, their sums are added in between.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Call, Function
from ..core.device import TYPES, cuda, device, uint64
from ..core.hardware import MULTIPROCESSORS
from ..core.index import ravel, u32, unravel
from .pooling import Window, window
from .tiling import Tiling


class Outputs(NamedTuple):
    """put: `put(tile, sums, thread, o, p)` stores a thread's results to shared memory; o: the
    block's first filter. fetch: `fetch(thread, origin, p)` is what the thread's outputs need
    besides. finish: `finish(tile, thread, fetched, origin, p)` stores the outputs.
    """

    put: Function
    fetch: Function
    finish: Function


def outputs(call: Call, tiling: Tiling) -> Outputs:
    """The outputs of a call."""
    of_window = window(tiling.conv)
    return Outputs(_results(tiling, of_window), *_finish(call, tiling, of_window))


def _results(tiling: Tiling, of_window: Window) -> Function:
    """`put` of the outputs.

    With splits, sum number k is stored at [k][thread]. Without, maxima of the block's windows are
    stored as [image][filter][row][column], and their winners after all of them.
    """
    conv = tiling.conv
    rows, columns = tiling.positions
    filters, threads = tiling.filters, tiling.threads
    if tiling.splits > 1:
        n_sums = rows * columns * filters

        @device
        def put_sums(tile: Any, sums: Any, thread: Any, o: Any, p: Any) -> None:
            for k in range(n_sums):
                tile[thread + k * threads] = sums[k]

        return put_sums

    (tile_rows, tile_columns), n_images = tiling.tiles, tiling.images
    (window_rows, window_columns), (pool_rows, pool_columns) = tiling.windows, conv.pool
    block_rows, block_columns = tiling.block_windows
    plane = block_rows * block_columns
    per_image = plane * tiling.block_filters
    n_outputs, has_winners = tiling.outputs, conv.winners is not None
    bias_at, with_bias, max_and_mask = of_window
    positions, dtype = conv.positions, TYPES[conv.dtype]

    @device
    def put(tile: Any, sums: Any, thread: Any, o: Any, p: Any) -> None:
        values = cuda.local.array(positions, dtype)
        i = thread % tile_columns * window_columns
        rest = thread // tile_columns
        row = rest % tile_rows * window_rows
        i = i + row * block_columns
        rest = rest // tile_rows
        i = i + rest % n_images * per_image
        group = rest // n_images
        i = i + group * (filters * plane)
        first = o + group * filters
        for wr in range(window_rows):
            for wc in range(window_columns):
                corner = (wr * pool_rows * columns + wc * pool_columns) * filters
                for f in range(filters):
                    bias = bias_at(first + f, p)
                    for r in range(pool_rows):
                        for q in range(pool_columns):
                            value = sums[corner + (r * columns + q) * filters + f]
                            values[r * pool_columns + q] = with_bias(value, bias)
                    best, mask = max_and_mask(values)
                    j = uint64(i + (f * plane + wr * block_columns + wc))
                    tile[j] = best
                    if has_winners:
                        tile[j + uint64(n_outputs)] = dtype(mask)

    return put


def _finish(call: Call, tiling: Tiling, of_window: Window) -> tuple[Function, Function]:
    """`fetch` and `finish` of the outputs.

    A thread's only output is fetched before the sums, so that the loads don't wait for them; but
    with more blocks than multiprocessors registers count for more, and other blocks hide the wait.
    """
    threads, total = tiling.threads, tiling.outputs
    element, (inputs, settle) = _element(tiling), _settle(call, tiling, of_window)
    if total <= threads and tiling.blocks <= MULTIPROCESSORS:

        @device
        def fetch(thread: Any, origin: Any, p: Any) -> Any:
            e = min(thread, total - 1)
            i, exists = element(e, origin)
            first, _ = element(u32(0), origin)  # this one exists, and is the block's
            return inputs(e, i if exists else first, origin, p)

        @device
        def finish_one(tile: Any, thread: Any, fetched: Any, origin: Any, p: Any) -> None:
            i, exists = element(thread, origin)
            if exists and thread < total:
                settle(tile, thread, i, fetched, p)

        return fetch, finish_one

    @device
    def nothing(thread: Any, origin: Any, p: Any) -> Any:
        return 0

    @device
    def finish(tile: Any, thread: Any, fetched: Any, origin: Any, p: Any) -> None:
        for k in range(0, total, threads):
            e = thread + k
            i, exists = element(e, origin)
            if exists and e < total:
                settle(tile, e, i, inputs(e, i, origin, p), p)

    return nothing, finish


def _settle(call: Call, tiling: Tiling, of_window: Window) -> tuple[Function, Function]:
    """`inputs(e, i, origin, p)`: loads what element e of the block, output i, needs; and
    `settle(tile, e, i, loaded, p)`: stores the output and its winners."""
    conv = tiling.conv
    n_bytes, has_winners, is_split = conv.mask_bytes, conv.winners is not None, tiling.splits > 1
    result = _split_sum(tiling, of_window) if is_split else _result(tiling)
    fetch, settle_value, store_winners = call.fetches[0], call.settles[0], call.stores[-1]
    bias_at, filters = of_window.bias_at, tiling.block_filters
    plane = tiling.block_windows[0] * tiling.block_windows[1]

    @device
    def inputs(e: Any, i: Any, origin: Any, p: Any) -> Any:
        # Without splits, the bias is in the results already.
        o = origin.filter + e // plane % filters if is_split else origin.filter
        return bias_at(o, p), fetch(i, p)

    @device
    def settle(tile: Any, e: Any, i: Any, loaded: Any, p: Any) -> None:
        bias, fetched = loaded
        value, mask = result(tile, e, bias)
        settle_value(value, fetched, i, p)
        if has_winners:
            for b in range(n_bytes):
                byte = mask >> 8 * b & 255
                store_winners(byte, i * n_bytes + b, p)

    return inputs, settle


def _element(tiling: Tiling) -> Function:
    """`element(e, origin)`: the number in the output of element e of the block, and whether it
    exists."""
    conv = tiling.conv
    filters, (rows, columns) = tiling.block_filters, tiling.block_windows
    n_images, n_filters, (height, width) = conv.images, conv.filters, conv.pooled
    per_image = n_filters * height * width
    split, place = unravel(filters, rows, columns), ravel(per_image, height * width, width, 1)
    if conv.pooled == (rows, columns) and (tiling.images == 1 or filters == n_filters):
        # All windows of an image: the block's elements are adjacent in the output too.
        is_one_image, plane = tiling.images == 1, height * width

        @device
        def neighbour(e: Any, origin: Any) -> Any:
            begin = origin.image * per_image
            i = begin + origin.filter * plane + e
            if is_one_image:
                return i, i < begin + per_image
            return i, i < n_images * per_image

        return neighbour

    @device
    def element(e: Any, origin: Any) -> Any:
        image, channel, y, x = split(e)
        image, channel = image + origin.image, channel + origin.filter
        y, x = y + origin.row, x + origin.column
        exists = y < height and x < width and image < n_images and channel < n_filters
        return place(image, channel, y, x), exists

    return element


def _result(tiling: Tiling) -> Function:
    """`result(tile, e, bias)`: maximum and winners of element e of the block. bias: of its filter,
    for `_split_sum`."""
    conv = tiling.conv
    n_outputs, has_winners = tiling.outputs, conv.winners is not None

    @device
    def result(tile: Any, e: Any, bias: Any) -> Any:
        if has_winners:
            return tile[e], u32(tile[e + n_outputs])
        return tile[e], u32(0)

    return result


def _split_sum(tiling: Tiling, of_window: Window) -> Function:
    """The same, with splits: the sums of several threads are added first."""
    conv = tiling.conv
    filters, threads, splits = tiling.filters, tiling.threads, tiling.splits
    (tile_rows, tile_columns), n_images = tiling.tiles, tiling.images
    (window_rows, window_columns), (pool_rows, pool_columns) = tiling.windows, conv.pool
    block_filters, (block_rows, block_columns) = tiling.block_filters, tiling.block_windows
    columns = tiling.positions[1]
    positions, per_split = conv.positions, threads // splits
    with_bias, max_and_mask, dtype = of_window.with_bias, of_window.max_and_mask, TYPES[conv.dtype]

    @device
    def result(tile: Any, e: Any, bias: Any) -> Any:
        values = cuda.local.array(positions, dtype)
        column, rest = e % block_columns, e // block_columns
        row, rest = rest % block_rows, rest // block_rows
        f, image = rest % block_filters, rest // block_filters
        # The thread of the first split that has it, and the first of its sums there.
        owner = f // filters * n_images + image
        owner = owner * tile_rows + row // window_rows
        owner = owner * tile_columns + column // window_columns
        corner = row % window_rows * (pool_rows * columns)
        corner = corner + column % window_columns * pool_columns
        corner = corner * filters + f % filters
        i = uint64(owner + corner * threads)
        for r in range(pool_rows):
            for q in range(pool_columns):
                j = i + uint64((r * columns + q) * filters * threads)
                value = tile[j]
                for s in range(1, splits):
                    value += tile[j + uint64(s * per_split)]
                values[r * pool_columns + q] = with_bias(value, bias)
        return max_and_mask(values)

    return result
