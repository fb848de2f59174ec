"""The tiled forward convolution, with a pool or without.

Pixels and weights of a block are in shared memory (staging.py). A thread adds up all positions of a
few windows for a few filters in registers (tiling.py), in the same order for every position of the
call: channels, rows of the filter, columns. If several threads share a position, each adds its
channels in this order, and their sums are added in the order of the channels. The order is the same
for all positions, and each product is added by one multiply-add, so equal patches give equal bits.

Launch: a block per filters, windows and images of a tiling. Reference: contracts/conv2d/conv2d.py.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, grid_1d
from ..core.device import (
    TYPES,
    cuda,
    device,
    inlined,
    load16,
    multiply_adds,
    shared_array,
    uint64,
)
from ..core.index import block_index, ravel, thread_index, u32, unravel
from .geometry import Convolution
from .pooling import Window, window
from .staging import SharedLayout, staging
from .tiling import Tiling


def tiled(call: Call, tiling: Tiling) -> Launch:
    """The kernel of a call with this tiling."""
    conv = tiling.conv
    layout, first, stage = staging(tiling)
    add_channels = _sums(tiling, layout)
    of_window = window(conv)
    put_results = _results(tiling, of_window)
    finish = _finish(call, tiling, of_window)
    thread_origin = _thread_origin(tiling, layout)
    rows, columns = tiling.positions
    n_sums = rows * columns * tiling.filters
    n_channels, staged = conv.channels, tiling.channels
    dtype = TYPES[conv.dtype]
    size = max(layout.size, tiling.result_elements)

    def body(p: Any) -> None:
        tile = shared_array(size, dtype)
        sums = cuda.local.array(n_sums, dtype)
        thread = thread_index()
        origin = first(block_index())
        pixel, weight = thread_origin(thread)
        for k in range(n_sums):
            sums[k] = dtype(0)
        for c in range(0, n_channels, staged):
            if c > 0:
                cuda.syncthreads()  # the previous stage has been read
            stage(tile, thread, origin, u32(c), p)
            cuda.syncthreads()
            add_channels(tile, sums, pixel, weight, c)
        cuda.syncthreads()
        put_results(tile, sums, thread, origin.filter, p)
        cuda.syncthreads()
        finish(tile, thread, origin, p)

    return Launch(body, grid_1d(tiling.blocks, tiling.threads))


def _thread_origin(tiling: Tiling, layout: SharedLayout) -> Function:
    """`thread_origin(thread)`: where a thread's pixels and weights begin in shared memory."""
    conv = tiling.conv
    tile_rows, tile_columns = tiling.tiles
    n_images, groups, filters = tiling.images, tiling.groups, tiling.filters
    share = tiling.channels // tiling.splits
    positions = tiling.positions
    step_x, step_image = positions[1] * conv.stride[1], layout.image_pitch
    step_y, step_channel = positions[0] * conv.stride[0] * layout.pitch, layout.channel_pitch
    begin, step_weights = layout.weights, share * conv.taps * layout.filter_pitch
    pixel_at = ravel(share * step_channel, step_image, step_y, step_x)
    weight_at = ravel(step_weights, filters, base=begin)
    split_of = unravel(groups, n_images, tile_rows, tile_columns)

    @device
    def thread_origin(thread: Any) -> Any:
        split, group, image, row, column = split_of(thread)
        return uint64(pixel_at(split, image, row, column)), uint64(weight_at(split, group))

    return thread_origin


def _fetch(tiling: Tiling) -> Function:
    """`fetch(tile, i, weights)`: the weights of one tap for a thread's filters."""
    conv = tiling.conv
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


def _sums(tiling: Tiling, layout: SharedLayout) -> Function:
    """`add(tile, sums, pixel, weight, c)`: adds a thread's channels of the stage that begins at
    c."""
    conv = tiling.conv
    channel_pitch, weights_pitch = layout.channel_pitch, conv.taps * layout.filter_pitch
    n_channels, staged = conv.channels, tiling.channels
    share = tiling.channels // tiling.splits
    is_even = n_channels % staged == 0
    if tiling.has_patch:
        add_channel = _patch_in_registers(tiling, layout)
    elif tiling.has_rows:
        add_channel = _rows(conv, layout, _row_in_registers(tiling, layout))
    else:
        add_channel = _rows(conv, layout, _row_tap_by_tap(tiling, layout))

    @device
    def add(tile: Any, sums: Any, pixel: Any, weight: Any, c: Any) -> None:
        n = share if is_even else min(staged, n_channels - c)
        for _ in range(n):
            add_channel(tile, sums, pixel, weight)
            pixel += uint64(channel_pitch)
            weight += uint64(weights_pitch)

    return add


def _patch_in_registers(tiling: Tiling, layout: SharedLayout) -> Function:
    """`add(tile, sums, pixel, weight)`: adds a channel, unrolled; its patch is loaded once."""
    conv = tiling.conv
    rows, width = tiling.positions[0], tiling.row_width
    height = (rows - 1) * conv.stride[0] + conv.kernel[0]
    pitch, n_pixels, dtype = layout.pitch, height * width, TYPES[conv.dtype]
    add_rows = _patch_rows(tiling, layout, 0)

    @device
    def add(tile: Any, sums: Any, pixel: Any, weight: Any) -> None:
        pixels = cuda.local.array(n_pixels, dtype)
        for r in range(height):
            for q in range(width):
                pixels[r * width + q] = tile[pixel + uint64(r * pitch + q)]
        add_rows(tile, sums, pixels, weight)

    return add


def _patch_rows(tiling: Tiling, layout: SharedLayout, row: int) -> Function:
    """`add(tile, sums, pixels, weight)`: adds the rows of the filters from `row` on.

    Each row is a function of its own: the compiler might not unroll a loop over rows, and then the
    pixels could not stay in registers.
    """
    conv = tiling.conv
    rows, columns = tiling.positions
    filters, n_taps = tiling.filters, conv.kernel[1]
    step_y, step_x = conv.stride
    width, filter_pitch = tiling.row_width, layout.filter_pitch
    first, is_last = row * n_taps, row == conv.kernel[0] - 1
    fetch, dtype = _fetch(tiling), TYPES[conv.dtype]
    multiply_add = multiply_adds[conv.x.dtype]
    add_others = None if is_last else _patch_rows(tiling, layout, row + 1)

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


def _row_in_registers(tiling: Tiling, layout: SharedLayout) -> Function:
    """`add(tile, sums, pixel, weight)`: adds a row of the filters, unrolled."""
    conv = tiling.conv
    rows, columns = tiling.positions
    width, n_taps, filters = tiling.row_width, conv.kernel[1], tiling.filters
    step_y, step_x = conv.stride[0] * layout.pitch, conv.stride[1]
    filter_pitch, n_pixels = layout.filter_pitch, rows * width
    fetch, dtype = _fetch(tiling), TYPES[conv.dtype]
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


def _row_tap_by_tap(tiling: Tiling, layout: SharedLayout) -> Function:
    """The same for long rows, with a loop over taps."""
    conv = tiling.conv
    rows, columns = tiling.positions
    n_taps, filters = conv.kernel[1], tiling.filters
    step_y, step_x = conv.stride[0] * layout.pitch, conv.stride[1]
    filter_pitch = layout.filter_pitch
    fetch, dtype = _fetch(tiling), TYPES[conv.dtype]
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


def _results(tiling: Tiling, of_window: Window) -> Function:
    """`put(tile, sums, thread, o, p)`: stores a thread's results to shared memory. o: the block's
    first filter.

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


def _finish(call: Call, tiling: Tiling, of_window: Window) -> Function:
    """`finish(tile, thread, origin, p)`: the block's outputs, through the epilogue."""
    conv = tiling.conv
    threads, total = tiling.threads, tiling.outputs
    n_bytes, has_winners = conv.mask_bytes, conv.winners is not None
    element = _element(tiling)
    result = _split_sum(tiling, of_window) if tiling.splits > 1 else _result(tiling)
    end, store_winners = call.finishes[0], call.stores[-1]

    @device
    def finish(tile: Any, thread: Any, origin: Any, p: Any) -> None:
        for k in range(0, total, threads):
            e = thread + k
            i, is_inside = element(e, origin)
            if is_inside and e < total:
                value, mask = result(tile, e, origin.filter, p)
                end(value, i, p)
                if has_winners:
                    for b in range(n_bytes):
                        byte = mask >> 8 * b & 255
                        store_winners(byte, i * n_bytes + b, p)

    return finish


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
    """`result(tile, e, o, p)`: maximum and winners of element e of the block. o: the block's first
    filter."""
    conv = tiling.conv
    n_outputs, has_winners = tiling.outputs, conv.winners is not None

    @device
    def result(tile: Any, e: Any, o: Any, p: Any) -> Any:
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
    bias_at, with_bias, max_and_mask = of_window
    dtype = TYPES[conv.dtype]

    @device
    def result(tile: Any, e: Any, o: Any, p: Any) -> Any:
        values = cuda.local.array(positions, dtype)
        column, rest = e % block_columns, e // block_columns
        row, rest = rest % block_rows, rest // block_rows
        f, image = rest % block_filters, rest // block_filters
        # The thread of the first split that has it, and the first of its sums there.
        owner = f // filters * n_images + image
        owner = owner * tile_rows + row // window_rows
        owner = owner * tile_columns
        owner = owner + column // window_columns
        corner = row % window_rows * (pool_rows * columns)
        corner = corner + column % window_columns * pool_columns
        corner = corner * filters + f % filters
        i = uint64(owner + corner * threads)
        bias = bias_at(o + f, p)
        for r in range(pool_rows):
            for q in range(pool_columns):
                j = i + uint64((r * columns + q) * filters * threads)
                value = tile[j]
                for s in range(1, splits):
                    value += tile[j + uint64(s * per_split)]
                values[r * pool_columns + q] = with_bias(value, bias)
        return max_and_mask(values)

    return result
