"""The tiled forward convolution, with a pool or without.

Pixels and weights of a block are in shared memory (shared_layout.py). A thread adds up all
positions of a few windows for a few filters in registers (tiling.py), in the same order for every
position of the call: channels, rows of the filter, columns. If several threads share a position,
each adds its channels in this order, and their sums are added in the order of the channels. The
order is the same for all positions, and each product is added by one multiply-add, so equal patches
give equal bits.

Launch: a block per filters, windows and images of a tiling. Reference: contracts/conv2d/conv2d.py.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

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
from ..core.index import block_index, ravel, thread_index, u32, unravel, wrapped
from .geometry import Convolution
from .outputs import outputs
from .shared_layout import SharedLayout, shared_layout
from .staging import Box, Part, elements, stager
from .tiling import Tiling

# Registers for values that a thread has loaded and not yet stored to shared memory, in one round or
# in several. With few sums there are some to spare.
ROOMS, ROOMS_BESIDE_SUMS = (48, 24), (12, 6)
FEW_SUMS = 16


class Origin(NamedTuple):
    """Where a block's work begins: its first image and filter, row and column of windows."""

    image: Any
    filter: Any
    row: Any
    column: Any


def tiled(call: Call, tiling: Tiling) -> Launch:
    """The kernel of a call with this tiling."""
    conv = tiling.conv
    layout, first = shared_layout(tiling), _first_of_block(tiling)
    rows, columns = tiling.positions
    n_sums = rows * columns * tiling.filters
    rooms = ROOMS if n_sums * conv.words <= FEW_SUMS else ROOMS_BESIDE_SUMS
    weights = _weights(tiling, layout)
    pixels = _whole_channels(tiling) if layout.whole else _region(tiling, layout)
    stage = stager(conv.dtype, tiling.threads, rooms, weights, pixels)
    add_channels = _sums(tiling, layout)
    put_results, fetch, finish = outputs(call, tiling)
    thread_origin = _thread_origin(tiling, layout)
    n_channels, staged = conv.channels, tiling.channels
    dtype = TYPES[conv.dtype]
    size = max(layout.size, tiling.result_elements)

    def body(p: Any) -> None:
        tile = shared_array(size, dtype)
        sums = cuda.local.array(n_sums, dtype)
        thread = thread_index()
        origin = first(block_index())
        fetched = fetch(thread, origin, p)
        pixel, weight = thread_origin(thread)
        for k in range(n_sums):
            sums[k] = dtype(0)
        for c in range(0, n_channels, staged):
            if c > 0:
                cuda.syncthreads()  # the previous stage has been read
            stage(p, tile, (origin, u32(c)), thread)
            cuda.syncthreads()
            add_channels(tile, sums, pixel, weight, c)
        cuda.syncthreads()
        put_results(tile, sums, thread, origin.filter, p)
        cuda.syncthreads()
        finish(tile, thread, fetched, origin, p)

    return Launch(body, grid_1d(tiling.blocks, tiling.threads))


def _first_of_block(tiling: Tiling) -> Function:
    """`first(block)`: its origin. Blocks that read the same pixels have consecutive numbers."""
    filters, (rows, columns) = tiling.block_filters, tiling.block_windows
    images, split = tiling.images, unravel(*tiling.regions, tiling.filter_blocks)

    @device
    def first(block: Any) -> Any:
        n, y, x, o = split(block)
        return Origin(n * images, o * filters, y * rows, x * columns)

    return first


def _whole_channels(tiling: Tiling) -> Part:
    """The pixels of some channels of contiguous images, by 16 bytes if they are aligned."""
    conv, lanes = tiling.conv, 4 // tiling.conv.words
    run, (per_image, per_channel, _, _) = tiling.channels * prod(conv.image), conv.x.strides
    steps = (run, conv.x.base, per_image, per_channel * tiling.channels)
    if conv.x.alignment % 16 != 0 or any(n % lanes for n in steps):
        lanes = 1
    shape = conv.images, conv.channels, 1, run // lanes
    x = conv.x._replace(shape=shape, strides=(per_image, per_channel, 0, lanes))

    @device
    def first(where: Any) -> Any:
        origin, c = where
        return origin.image, c, u32(0), u32(0)

    box = Box((tiling.images, 1, 1, run // lanes), first, along=1)
    return elements(0, x, box, ravel(run, lanes), False, lanes)


def _region(tiling: Tiling, layout: SharedLayout) -> Part:
    """The pixels of some channels in a region of images, zeros around the image."""
    conv = tiling.conv
    step_y, step_x = conv.pool[0] * conv.stride[0], conv.pool[1] * conv.stride[1]
    before_y, before_x = map(wrapped, (-conv.padding[0], -conv.padding[1]))

    @device
    def corner(where: Any) -> Any:
        origin, c = where
        return origin.image, c, origin.row * step_y + before_y, origin.column * step_x + before_x

    box = Box((tiling.images, tiling.channels, layout.rows, layout.columns), corner, along=2)
    pitch, channel_pitch, image_pitch = layout.pitch, layout.channel_pitch, layout.image_pitch
    coordinates = box.coordinates()

    @device
    def place(j: Any, i: Any) -> Any:
        n, c, y, x = coordinates(j, i)
        return (x + y * pitch) + (c * channel_pitch + n * image_pitch)

    return elements(0, conv.x, box, place, conv.padding != (0, 0))


def _weights(tiling: Tiling, layout: SharedLayout) -> Part:
    """The weights of the block's filters in some channels."""
    conv, pitch = tiling.conv, layout.filter_pitch

    @device
    def first(where: Any) -> Any:
        origin, c = where
        return origin.filter, c, u32(0), u32(0)

    box = Box((tiling.block_filters, tiling.channels, *conv.kernel), first, along=3, whole=2)
    return elements(1, conv.w, box, ravel(1, pitch, base=layout.weights), False)


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
