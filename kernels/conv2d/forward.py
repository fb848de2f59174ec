"""The tiled forward convolution, with a pool or without.

Pixels and weights of a block are in shared memory (staging.py). A thread adds up all positions of a
few windows for a few filters in registers (tiling.py), in the same order for every position of the
call: channels, rows of the filter, columns. If several threads share a position, each adds its
channels in this order, and their sums are added in the order of the channels. The order is the same
for all positions, and each product is added by one multiply-add, so equal patches give equal bits.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, grid_1d
from ..core.device import (
    cuda,
    device,
    inlined,
    load16,
    multiply_adds,
    shared_array,
    uint32,
    uint64,
)
from .geometry import Convolution, bias_of_filter, scalar_type, window_maximum
from .staging import SharedLayout, first_of_block, shared_layout, staging
from .tiling import (
    Tiling,
    has_patch,
    has_rows,
    n_blocks,
    outputs_of_block,
    result_elements,
    row_width,
    thread_positions,
)


def tiled(call: Call, conv: Convolution, tiling: Tiling) -> Launch:
    """The kernel of a call with this tiling."""
    layout = shared_layout(conv, tiling)
    first = first_of_block(conv, tiling)
    stage = staging(conv, tiling, layout)
    add_channels = _sums(conv, tiling, layout)
    put_results = _results(conv, tiling)
    finish = _finish(call, conv, tiling)
    thread_origin = _thread_origin(conv, tiling, layout)
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
        pixel, weight = thread_origin(thread)
        for k in range(n_sums):
            sums[k] = dtype(0)
        for c in range(0, n_channels, staged):
            if c > 0:
                cuda.syncthreads()  # the previous stage has been read
            stage(tile, thread, n, o, y, x, uint32(c), p)
            cuda.syncthreads()
            add_channels(tile, sums, pixel, weight, c)
        cuda.syncthreads()
        put_results(tile, sums, thread, o, p)
        cuda.syncthreads()
        finish(tile, thread, n, o, y, x, p)

    return Launch(body, grid_1d(n_blocks(conv, tiling), tiling.threads))


def _thread_origin(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """`thread_origin(thread)`: where a thread's pixels and weights begin in shared memory."""
    tile_rows, tile_columns = tiling.tiles
    n_images, groups, filters = tiling.images, tiling.groups, tiling.filters
    share = tiling.channels // tiling.splits
    positions = thread_positions(conv, tiling)
    step_x = positions[1] * conv.stride[1]
    step_y = positions[0] * conv.stride[0] * layout.pitch
    step_image, step_channel = layout.image_pitch, share * layout.channel_pitch
    begin, step_weights = layout.weights, share * conv.taps * layout.filter_pitch

    @device
    def thread_origin(thread: Any) -> Any:
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

    return thread_origin


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
    """`add(tile, sums, pixel, weight, c)`: adds a thread's channels of the stage that begins at
    c."""
    channel_pitch, weights_pitch = layout.channel_pitch, conv.taps * layout.filter_pitch
    n_channels, staged = conv.channels, tiling.channels
    share = tiling.channels // tiling.splits
    is_even = n_channels % staged == 0
    if has_patch(conv, tiling):
        add_channel = _patch_in_registers(conv, tiling, layout)
    elif has_rows(conv, tiling):
        add_channel = _rows(conv, layout, _row_in_registers(conv, tiling, layout))
    else:
        add_channel = _rows(conv, layout, _row_tap_by_tap(conv, tiling, layout))

    @device
    def add(tile: Any, sums: Any, pixel: Any, weight: Any, c: Any) -> None:
        n = share if is_even else min(staged, n_channels - c)
        for _ in range(n):
            add_channel(tile, sums, pixel, weight)
            pixel += uint64(channel_pitch)
            weight += uint64(weights_pitch)

    return add


def _patch_in_registers(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """`add(tile, sums, pixel, weight)`: adds a channel, unrolled; its patch is loaded once."""
    rows, width = thread_positions(conv, tiling)[0], row_width(conv, tiling)
    height = (rows - 1) * conv.stride[0] + conv.kernel[0]
    pitch, n_pixels, dtype = layout.pitch, height * width, scalar_type(conv)
    add_rows = _patch_rows(conv, tiling, layout, 0)

    @device
    def add(tile: Any, sums: Any, pixel: Any, weight: Any) -> None:
        pixels = cuda.local.array(n_pixels, dtype)
        for r in range(height):
            for q in range(width):
                pixels[r * width + q] = tile[pixel + uint64(r * pitch + q)]
        add_rows(tile, sums, pixels, weight)

    return add


def _patch_rows(conv: Convolution, tiling: Tiling, layout: SharedLayout, row: int) -> Function:
    """`add(tile, sums, pixels, weight)`: adds the rows of the filters from `row` on.

    Each row is a function of its own: the compiler might not unroll a loop over rows, and then the
    pixels could not stay in registers.
    """
    rows, columns = thread_positions(conv, tiling)
    filters, n_taps = tiling.filters, conv.kernel[1]
    step_y, step_x = conv.stride
    width, filter_pitch = row_width(conv, tiling), layout.filter_pitch
    first, is_last = row * n_taps, row == conv.kernel[0] - 1
    fetch, dtype = _fetch(conv, tiling), scalar_type(conv)
    multiply_add = multiply_adds[conv.x.dtype]
    add_others = None if is_last else _patch_rows(conv, tiling, layout, row + 1)

    @inlined
    def add(tile: Any, sums: Any, pixels: Any, weight: Any) -> None:
        weights = cuda.local.array(filters, dtype)
        for tap in range(n_taps):
            fetch(tile, weight + uint64((first + tap) * filter_pitch), weights)
            for r in range(rows):
                for q in range(columns):
                    k = (r * step_y + row) * width + q * step_x + tap
                    for f in range(filters):
                        j = (r * columns + q) * filters + f
                        sums[j] = multiply_add(pixels[k], weights[f], sums[j])
        if add_others is not None:
            add_others(tile, sums, pixels, weight)

    return add


def _rows(conv: Convolution, layout: SharedLayout, add_row: Function) -> Function:
    """`add(tile, sums, pixel, weight)`: adds a channel, by rows of the filters."""
    n_rows, pitch = conv.kernel[0], layout.pitch
    weights_pitch = conv.kernel[1] * layout.filter_pitch

    @device
    def add(tile: Any, sums: Any, pixel: Any, weight: Any) -> None:
        for row in range(n_rows):
            i, j = pixel + uint64(row * pitch), weight + uint64(row * weights_pitch)
            add_row(tile, sums, i, j)

    return add


def _row_in_registers(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """`add(tile, sums, pixel, weight)`: adds a row of the filters, unrolled."""
    rows, columns = thread_positions(conv, tiling)
    width, n_taps, filters = row_width(conv, tiling), conv.kernel[1], tiling.filters
    step_y, step_x = conv.stride[0] * layout.pitch, conv.stride[1]
    filter_pitch, n_pixels = layout.filter_pitch, rows * width
    fetch, dtype = _fetch(conv, tiling), scalar_type(conv)
    multiply_add = multiply_adds[conv.x.dtype]

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
                        value = pixels[r * width + q * step_x + tap]
                        sums[k] = multiply_add(value, weights[f], sums[k])

    return add


def _row_tap_by_tap(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """The same for long rows, with a loop over taps."""
    rows, columns = thread_positions(conv, tiling)
    n_taps, filters = conv.kernel[1], tiling.filters
    step_y, step_x = conv.stride[0] * layout.pitch, conv.stride[1]
    filter_pitch = layout.filter_pitch
    fetch, dtype = _fetch(conv, tiling), scalar_type(conv)
    multiply_add = multiply_adds[conv.x.dtype]

    @device
    def add(tile: Any, sums: Any, pixel: Any, weight: Any) -> None:
        weights = cuda.local.array(filters, dtype)
        for tap in range(n_taps):
            fetch(tile, weight + uint64(tap * filter_pitch), weights)
            for r in range(rows):
                for q in range(columns):
                    value = tile[pixel + uint64(r * step_y + q * step_x + tap)]
                    for f in range(filters):
                        k = (r * columns + q) * filters + f
                        sums[k] = multiply_add(value, weights[f], sums[k])

    return add


def _results(conv: Convolution, tiling: Tiling) -> Function:
    """`put(tile, sums, thread, o, p)`: stores a thread's results to shared memory. o: the block's
    first filter.

    With splits, sum number k is stored at [k][thread]. Without, maxima of the block's windows are
    stored as [image][filter][row][column], and their winners after all of them.
    """
    rows, columns = thread_positions(conv, tiling)
    filters, threads = tiling.filters, tiling.threads
    if tiling.splits > 1:
        n_sums = rows * columns * filters

        @device
        def put_sums(tile: Any, sums: Any, thread: Any, o: Any, p: Any) -> None:
            for k in range(n_sums):
                tile[uint64(uint32(thread + uint32(k * threads)))] = sums[k]

        return put_sums

    (tile_rows, tile_columns), n_images = tiling.tiles, tiling.images
    (window_rows, window_columns), (pool_rows, pool_columns) = tiling.windows, conv.pool
    block_rows, block_columns = tiling.block_windows
    plane = block_rows * block_columns
    per_image = plane * tiling.block_filters
    n_outputs, has_winners = outputs_of_block(conv, tiling), conv.has_winners
    max_and_mask, positions = window_maximum(conv), conv.positions
    (bias_at, with_bias), dtype = bias_of_filter(conv), scalar_type(conv)

    @device
    def put(tile: Any, sums: Any, thread: Any, o: Any, p: Any) -> None:
        values = cuda.local.array(positions, dtype)
        i = uint32(uint32(thread % uint32(tile_columns)) * uint32(window_columns))
        rest = uint32(thread // uint32(tile_columns))
        row = uint32(uint32(rest % uint32(tile_rows)) * uint32(window_rows))
        i = uint32(i + uint32(row * uint32(block_columns)))
        rest = uint32(rest // uint32(tile_rows))
        i = uint32(i + uint32(uint32(rest % uint32(n_images)) * uint32(per_image)))
        group = uint32(rest // uint32(n_images))
        i = uint32(i + uint32(group * uint32(filters * plane)))
        first = uint32(o + uint32(group * uint32(filters)))
        for wr in range(window_rows):
            for wc in range(window_columns):
                corner = (wr * pool_rows * columns + wc * pool_columns) * filters
                for f in range(filters):
                    bias = bias_at(uint32(first + uint32(f)), p)
                    for r in range(pool_rows):
                        for q in range(pool_columns):
                            value = sums[corner + (r * columns + q) * filters + f]
                            values[r * pool_columns + q] = with_bias(value, bias)
                    best, mask = max_and_mask(values)
                    j = uint64(uint32(i + uint32(f * plane + wr * block_columns + wc)))
                    tile[j] = best
                    if has_winners:
                        tile[j + uint64(n_outputs)] = dtype(mask)

    return put


def _finish(call: Call, conv: Convolution, tiling: Tiling) -> Function:
    """`finish(tile, thread, n, o, y, x, p)`: the block's outputs, through the epilogue."""
    threads, total = tiling.threads, outputs_of_block(conv, tiling)
    n_bytes, has_winners = conv.mask_bytes, conv.has_winners
    element = _element(conv, tiling)
    result = (_split_sum if tiling.splits > 1 else _result)(conv, tiling)
    end, store_winners = call.finishes[0], call.stores[-1]

    @device
    def finish(tile: Any, thread: Any, n: Any, o: Any, y: Any, x: Any, p: Any) -> None:
        for k in range(0, total, threads):
            e = uint32(thread + uint32(k))
            i, is_inside = element(e, n, o, y, x)
            if is_inside and e < uint32(total):
                value, mask = result(tile, e, o, p)
                end(value, i, p)
                if has_winners:
                    for b in range(n_bytes):
                        byte = uint32(uint32(mask >> uint32(8 * b)) & uint32(255))
                        store_winners(byte, uint32(uint32(i * uint32(n_bytes)) + uint32(b)), p)

    return finish


def _element(conv: Convolution, tiling: Tiling) -> Function:
    """`element(e, n, o, y, x)`: the number in the output of element e of the block, and whether it
    exists."""
    filters, (rows, columns) = tiling.block_filters, tiling.block_windows
    n_images, n_filters, (height, width) = conv.images, conv.filters, conv.pooled
    per_image = n_filters * height * width
    if conv.pooled == (rows, columns) and (tiling.images == 1 or filters == n_filters):
        # All windows of an image: the block's elements are adjacent in the output too.
        is_one_image, plane = tiling.images == 1, height * width

        @device
        def neighbour(e: Any, n: Any, o: Any, y: Any, x: Any) -> Any:
            begin = uint32(n * uint32(per_image))
            i = uint32(uint32(begin + uint32(o * uint32(plane))) + e)
            if is_one_image:
                return i, i < uint32(begin + uint32(per_image))
            return i, i < uint32(n_images * per_image)

        return neighbour

    @device
    def element(e: Any, n: Any, o: Any, y: Any, x: Any) -> Any:
        px = uint32(x + uint32(e % uint32(columns)))
        rest = uint32(e // uint32(columns))
        py = uint32(y + uint32(rest % uint32(rows)))
        rest = uint32(rest // uint32(rows))
        channel = uint32(o + uint32(rest % uint32(filters)))
        image = uint32(n + uint32(rest // uint32(filters)))
        i = uint32(uint32(image * uint32(n_filters)) + channel)
        i = uint32(uint32(i * uint32(height)) + py)
        i = uint32(uint32(i * uint32(width)) + px)
        is_inside = py < uint32(height) and px < uint32(width)
        return i, is_inside and image < uint32(n_images) and channel < uint32(n_filters)

    return element


def _result(conv: Convolution, tiling: Tiling) -> Function:
    """`result(tile, e, o, p)`: maximum and winners of element e of the block. o: the block's first
    filter."""
    n_outputs, has_winners = outputs_of_block(conv, tiling), conv.has_winners

    @device
    def result(tile: Any, e: Any, o: Any, p: Any) -> Any:
        if has_winners:
            return tile[uint64(e)], uint32(tile[uint64(uint32(e + uint32(n_outputs)))])
        return tile[uint64(e)], uint32(0)

    return result


def _split_sum(conv: Convolution, tiling: Tiling) -> Function:
    """The same, with splits: the sums of several threads are added first."""
    filters, threads, splits = tiling.filters, tiling.threads, tiling.splits
    (tile_rows, tile_columns), n_images = tiling.tiles, tiling.images
    (window_rows, window_columns), (pool_rows, pool_columns) = tiling.windows, conv.pool
    block_filters, (block_rows, block_columns) = tiling.block_filters, tiling.block_windows
    columns = thread_positions(conv, tiling)[1]
    positions, per_split = conv.positions, threads // splits
    max_and_mask, dtype = window_maximum(conv), scalar_type(conv)
    bias_at, with_bias = bias_of_filter(conv)

    @device
    def result(tile: Any, e: Any, o: Any, p: Any) -> Any:
        values = cuda.local.array(positions, dtype)
        column, rest = uint32(e % uint32(block_columns)), uint32(e // uint32(block_columns))
        row, rest = uint32(rest % uint32(block_rows)), uint32(rest // uint32(block_rows))
        f, image = uint32(rest % uint32(block_filters)), uint32(rest // uint32(block_filters))
        # The thread of the first split that has it, and the first of its sums there.
        owner = uint32(uint32(uint32(f // uint32(filters)) * uint32(n_images)) + image)
        owner = uint32(uint32(owner * uint32(tile_rows)) + uint32(row // uint32(window_rows)))
        owner = uint32(owner * uint32(tile_columns))
        owner = uint32(owner + uint32(column // uint32(window_columns)))
        corner = uint32(uint32(row % uint32(window_rows)) * uint32(pool_rows * columns))
        corner = uint32(
            corner + uint32(uint32(column % uint32(window_columns)) * uint32(pool_columns))
        )
        corner = uint32(uint32(corner * uint32(filters)) + uint32(f % uint32(filters)))
        i = uint64(uint32(owner + uint32(corner * uint32(threads))))
        bias = bias_at(uint32(o + f), p)
        for r in range(pool_rows):
            for q in range(pool_columns):
                j = i + uint64((r * columns + q) * filters * threads)
                value = tile[j]
                for s in range(1, splits):
                    value += tile[j + uint64(s * per_split)]
                values[r * pool_columns + q] = with_bias(value, bias)
        return max_and_mask(values)

    return result
