"""The body of the tiled forward convolution, with a pool or without.

A block's threads share pixels and weights in shared memory (conv_staging.py); a thread adds up all
positions of a few windows for a few filters in registers (conv_tiling.py), in the same order for
every position of the call: channels one after the other, rows of the filter, columns. Where several
threads share a position, each adds its channels in this order, and their sums are added in the
order of the channels; all positions alike, so equal patches give equal bits.
"""

from __future__ import annotations

from typing import Any

from .call import Call, Launch
from .conv_common import Convolution, Function, pool_of, scalar_type
from .conv_staging import SharedLayout, first_of_block, shared_layout, stage_pixels, stage_weights
from .conv_tiling import (
    Tiling,
    has_rows,
    n_blocks,
    outputs_of_block,
    result_elements,
    row_width,
    thread_positions,
)
from .device import cuda, device, load16, shared_array, uint32, uint64


def tiled(call: Call, conv: Convolution, tiling: Tiling) -> Launch:
    """The kernel that carries out a call with this tiling."""
    layout = shared_layout(conv, tiling)
    first = first_of_block(conv, tiling)
    pixels = stage_pixels(conv, tiling, layout)
    weights = stage_weights(conv, tiling, layout)
    add_channels = _sums(conv, tiling, layout)
    put_results = _results(conv, tiling)
    finish = _finish(call, conv, tiling)
    whose = _thread_place(conv, tiling, layout)
    rows, columns = thread_positions(conv, tiling)
    n_sums = rows * columns * tiling.filters
    n_channels, staged = conv.channels, tiling.channels
    dtype = scalar_type(conv)
    size = max(layout.size, result_elements(conv, tiling))

    def body(p: Any) -> None:
        tile = shared_array(size, dtype)
        sums = cuda.local.array(n_sums, dtype)
        thread = uint32(cuda.threadIdx.x)
        n, o, y, x = first(uint32(cuda.blockIdx.x))
        pixel, weight = whose(thread)
        for k in range(n_sums):
            sums[k] = dtype(0)
        for c in range(0, n_channels, staged):
            if c > 0:
                cuda.syncthreads()  # the previous stage has been read
            pixels(tile, thread, n, o, y, x, uint32(c), p)
            weights(tile, thread, n, o, y, x, uint32(c), p)
            cuda.syncthreads()
            add_channels(tile, sums, pixel, weight, c)
        cuda.syncthreads()
        put_results(tile, sums, thread)
        cuda.syncthreads()
        finish(tile, thread, n, o, y, x, p)

    return Launch(body, (n_blocks(conv, tiling), 1, 1), (tiling.threads, 1, 1))


def _thread_place(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """`whose(thread)`: where a thread's pixels and weights begin in shared memory."""
    tile_rows, tile_columns = tiling.tiles
    n_images, groups, filters = tiling.images, tiling.groups, tiling.filters
    share = tiling.channels // tiling.splits
    positions = thread_positions(conv, tiling)
    step_x = positions[1] * conv.stride[1]
    step_y = positions[0] * conv.stride[0] * layout.pitch
    step_image, step_channel = layout.image_pitch, share * layout.channel_pitch
    begin, step_weights = layout.weights, share * conv.taps * layout.filter_pitch

    @device
    def whose(thread: Any) -> Any:
        i = uint32(uint32(thread % uint32(tile_columns)) * uint32(step_x))
        rest = uint32(thread // uint32(tile_columns))
        i = uint32(i + uint32(uint32(rest % uint32(tile_rows)) * uint32(step_y)))
        rest = uint32(rest // uint32(tile_rows))
        i = uint32(i + uint32(uint32(rest % uint32(n_images)) * uint32(step_image)))
        rest = uint32(rest // uint32(n_images))
        split = uint32(rest // uint32(groups))
        i = uint32(i + uint32(split * uint32(step_channel)))
        j = uint32(uint32(begin) + uint32(uint32(rest % uint32(groups)) * uint32(filters)))
        return uint64(i), uint64(uint32(j + uint32(split * uint32(step_weights))))

    return whose


def _fetch(conv: Convolution, tiling: Tiling) -> Function:
    """`fetch(tile, i, weights)`: the weights of one tap for a thread's filters."""
    filters = tiling.filters
    lanes = 4 // conv.words
    if filters % 4 == 0 and lanes == 4:

        @device
        def fetch(tile: Any, i: Any, weights: Any) -> None:
            for f in range(0, filters, 4):
                a, b, c, d = load16(tile, i + uint64(f))
                weights[f] = a
                weights[f + 1] = b
                weights[f + 2] = c
                weights[f + 3] = d

    elif filters % 2 == 0 and lanes == 2:

        @device
        def fetch(tile: Any, i: Any, weights: Any) -> None:
            for f in range(0, filters, 2):
                a, b = load16(tile, i + uint64(f))
                weights[f] = a
                weights[f + 1] = b

    else:

        @device
        def fetch(tile: Any, i: Any, weights: Any) -> None:
            for f in range(filters):
                weights[f] = tile[i + uint64(f)]

    return fetch


def _sums(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """`add(tile, sums, pixel, weight, c)`: a thread's channels of the stage that begins at c."""
    kernel_rows, kernel_columns = conv.kernel
    pitch, channel_pitch = layout.pitch, layout.channel_pitch
    filter_pitch = layout.filter_pitch
    weights_pitch = conv.taps * filter_pitch
    n_channels, staged = conv.channels, tiling.channels
    share = tiling.channels // tiling.splits
    is_even = n_channels % staged == 0
    add_row = (_row_in_registers if has_rows(conv, tiling) else _row_tap_by_tap)(
        conv, tiling, layout
    )

    @device
    def add(tile: Any, sums: Any, pixel: Any, weight: Any, c: Any) -> None:
        n = share if is_even else min(staged, n_channels - c)
        for _ in range(n):
            for row in range(kernel_rows):
                i = pixel + uint64(row * pitch)
                add_row(tile, sums, i, weight + uint64(row * kernel_columns * filter_pitch))
            pixel += uint64(channel_pitch)
            weight += uint64(weights_pitch)

    return add


def _row_in_registers(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """`add(tile, sums, pixel, weight)`: one row of the filters, which is unrolled."""
    rows, columns = thread_positions(conv, tiling)
    width, n_taps, filters = row_width(conv, tiling), conv.kernel[1], tiling.filters
    step_y, step_x = conv.stride[0] * layout.pitch, conv.stride[1]
    filter_pitch, n_pixels = layout.filter_pitch, rows * width
    fetch, dtype = _fetch(conv, tiling), scalar_type(conv)

    @device
    def add(tile: Any, sums: Any, pixel: Any, weight: Any) -> None:
        pixels = cuda.local.array(n_pixels, dtype)
        weights = cuda.local.array(filters, dtype)
        for r in range(rows):
            for q in range(width):
                pixels[r * width + q] = tile[pixel + uint64(r * step_y + q)]
        for tap in range(n_taps):
            fetch(tile, weight + uint64(tap * filter_pitch), weights)
            for r in range(rows):
                for q in range(columns):
                    for f in range(filters):
                        k = (r * columns + q) * filters + f
                        sums[k] += pixels[r * width + q * step_x + tap] * weights[f]

    return add


def _row_tap_by_tap(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """The same for long rows, whose taps are a loop."""
    rows, columns = thread_positions(conv, tiling)
    n_taps, filters = conv.kernel[1], tiling.filters
    step_y, step_x = conv.stride[0] * layout.pitch, conv.stride[1]
    filter_pitch = layout.filter_pitch
    fetch, dtype = _fetch(conv, tiling), scalar_type(conv)

    @device
    def add(tile: Any, sums: Any, pixel: Any, weight: Any) -> None:
        weights = cuda.local.array(filters, dtype)
        for tap in range(n_taps):
            fetch(tile, weight + uint64(tap * filter_pitch), weights)
            for r in range(rows):
                for q in range(columns):
                    value = tile[pixel + uint64(r * step_y + q * step_x + tap)]
                    for f in range(filters):
                        sums[(r * columns + q) * filters + f] += value * weights[f]

    return add


def _results(conv: Convolution, tiling: Tiling) -> Function:
    """`put(tile, sums, thread)`: hands over what a thread has, for the end of the kernel.

    With splits that is sum number k at [k][thread]; without, maxima at [image][filter][row][column]
    of the block's windows and, behind them all, their winners.
    """
    rows, columns = thread_positions(conv, tiling)
    filters, threads = tiling.filters, tiling.threads
    if tiling.splits > 1:
        n_sums = rows * columns * filters

        @device
        def put_sums(tile: Any, sums: Any, thread: Any) -> None:
            for k in range(n_sums):
                tile[uint64(uint32(thread + uint32(k * threads)))] = sums[k]

        return put_sums

    (tile_rows, tile_columns), n_images = tiling.tiles, tiling.images
    (window_rows, window_columns), (pool_rows, pool_columns) = tiling.windows, conv.pool
    block_rows, block_columns = tiling.block_windows
    plane = block_rows * block_columns
    per_image = plane * tiling.block_filters
    n_outputs, has_winners = outputs_of_block(conv, tiling), conv.has_winners
    larger, wins = pool_of(conv)
    dtype = scalar_type(conv)

    @device
    def put(tile: Any, sums: Any, thread: Any) -> None:
        i = uint32(uint32(thread % uint32(tile_columns)) * uint32(window_columns))
        rest = uint32(thread // uint32(tile_columns))
        row = uint32(uint32(rest % uint32(tile_rows)) * uint32(window_rows))
        i = uint32(i + uint32(row * uint32(block_columns)))
        rest = uint32(rest // uint32(tile_rows))
        i = uint32(i + uint32(uint32(rest % uint32(n_images)) * uint32(per_image)))
        i = uint32(i + uint32(uint32(rest // uint32(n_images)) * uint32(filters * plane)))
        for wr in range(window_rows):
            for wc in range(window_columns):
                corner = (wr * pool_rows * columns + wc * pool_columns) * filters
                for f in range(filters):
                    best = sums[corner + f]
                    for r in range(pool_rows):
                        for q in range(pool_columns):
                            best = larger(sums[corner + (r * columns + q) * filters + f], best)
                    j = uint64(uint32(i + uint32(f * plane + wr * block_columns + wc)))
                    tile[j] = best
                    if has_winners:
                        mask = uint32(0)
                        for r in range(pool_rows):
                            for q in range(pool_columns):
                                value = sums[corner + (r * columns + q) * filters + f]
                                bit = uint32(wins(value, best) << uint32(r * pool_columns + q))
                                mask = uint32(mask | bit)
                        tile[j + uint64(n_outputs)] = dtype(mask)

    return put


def _finish(call: Call, conv: Convolution, tiling: Tiling) -> Function:
    """`finish(tile, thread, n, o, y, x, p)`: the block's outputs, through the epilogue."""
    rows, columns = tiling.block_windows
    filters, threads, total = tiling.block_filters, tiling.threads, outputs_of_block(conv, tiling)
    n_images, n_filters, (height, width) = conv.images, conv.filters, conv.pooled
    n_bytes, has_winners = conv.mask_bytes, conv.has_winners
    result = (_added if tiling.splits > 1 else _handed)(conv, tiling)
    end = call.finishes[0]
    store_winners = call.stores[-1]

    @device
    def finish(tile: Any, thread: Any, n: Any, o: Any, y: Any, x: Any, p: Any) -> None:
        for k in range(0, total, threads):
            e = uint32(thread + uint32(k))
            column = uint32(e % uint32(columns))
            rest = uint32(e // uint32(columns))
            row = uint32(rest % uint32(rows))
            rest = uint32(rest // uint32(rows))
            f = uint32(rest % uint32(filters))
            number = uint32(rest // uint32(filters))
            image, channel = uint32(n + number), uint32(o + f)
            py, px = uint32(y + row), uint32(x + column)
            is_inside = e < uint32(total) and py < uint32(height) and px < uint32(width)
            if is_inside and image < uint32(n_images) and channel < uint32(n_filters):
                i = uint32(uint32(image * uint32(n_filters)) + channel)
                i = uint32(uint32(i * uint32(height)) + py)
                i = uint32(uint32(i * uint32(width)) + px)
                value, mask = result(tile, e, number, f, row, column)
                end(value, i, p)
                if has_winners:
                    for b in range(n_bytes):
                        byte = uint32(uint32(mask >> uint32(8 * b)) & uint32(255))
                        store_winners(byte, uint32(uint32(i * uint32(n_bytes)) + uint32(b)), p)

    return finish


def _handed(conv: Convolution, tiling: Tiling) -> Function:
    """`result(tile, e, image, f, row, column)`: maximum and winners of output e of the block."""
    n_outputs, has_winners = outputs_of_block(conv, tiling), conv.has_winners

    @device
    def result(tile: Any, e: Any, image: Any, f: Any, row: Any, column: Any) -> Any:
        if has_winners:
            return tile[uint64(e)], uint32(tile[uint64(uint32(e + uint32(n_outputs)))])
        return tile[uint64(e)], uint32(0)

    return result


def _added(conv: Convolution, tiling: Tiling) -> Function:
    """The same where the sums of several threads have to be added first."""
    filters, threads, splits = tiling.filters, tiling.threads, tiling.splits
    (tile_rows, tile_columns), n_images = tiling.tiles, tiling.images
    (window_rows, window_columns), (pool_rows, pool_columns) = tiling.windows, conv.pool
    columns = thread_positions(conv, tiling)[1]
    positions = conv.positions
    per_split = threads // splits
    larger, wins = pool_of(conv)
    dtype = scalar_type(conv)

    @device
    def result(tile: Any, e: Any, image: Any, f: Any, row: Any, column: Any) -> Any:
        values = cuda.local.array(positions, dtype)
        wr, wc = uint32(row % uint32(window_rows)), uint32(column % uint32(window_columns))
        owner = uint32(f // uint32(filters))
        owner = uint32(uint32(owner * uint32(n_images)) + image)
        owner = uint32(uint32(owner * uint32(tile_rows)) + uint32(row // uint32(window_rows)))
        owner = uint32(
            uint32(owner * uint32(tile_columns)) + uint32(column // uint32(window_columns))
        )
        corner = uint32(
            uint32(wr * uint32(pool_rows * columns)) + uint32(wc * uint32(pool_columns))
        )
        corner = uint32(uint32(corner * uint32(filters)) + uint32(f % uint32(filters)))
        i = uint64(uint32(owner + uint32(corner * uint32(threads))))
        best = dtype(0)
        for r in range(pool_rows):
            for q in range(pool_columns):
                j = i + uint64((r * columns + q) * filters * threads)
                value = tile[j]
                for s in range(1, splits):
                    value += tile[j + uint64(s * per_split)]
                values[r * pool_columns + q] = value
                best = value if r + q == 0 else larger(value, best)
        mask = uint32(0)
        for k in range(positions):
            mask = uint32(mask | uint32(wins(values[k], best) << uint32(k)))
        return best, mask

    return result
