"""Copies of conv2d_grad_input's weights and gradients to shared memory.

weights: [filter][kh][group of channels][kw, channel of the group], each group aligned to 16 bytes.
g: [image][filter][row][column], unpooled and spaced by the stride along rows.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function
from ..core.device import TYPES, cuda, device, int64, uint32, uint64
from .grad import Sizes, locator
from .grad_staging import window_reader
from .input_tiles import InputTiles


def first_window_row(s: Sizes, tiles: InputTiles) -> Function:
    """`first()`: the first row of windows in the block's shared memory."""
    rows, bands = tiles.rows, tiles.bands
    reach, stride, pool = s.kernel[0] - 1, s.stride[0], s.pool[0]
    pad = s.padding[0]

    def first() -> Any:
        if bands == 1:
            return uint32(0)
        begin = uint32(uint32(uint32(cuda.blockIdx.x) % uint32(bands)) * uint32(rows))
        begin = uint32(begin + uint32(pad))
        if begin <= uint32(reach):
            return uint32(0)
        before = uint32(uint32(begin - uint32(reach)) + uint32(stride - 1))
        return uint32(uint32(before // uint32(stride)) // uint32(pool))

    return device(first)


def weight_fetcher(call: Call, s: Sizes, tiles: InputTiles) -> Function:
    """`fetch(p, tile, step, i)`: weight i of a step, in C order of (filter, channel, kh, kw)."""
    at_w = locator(call.inputs[0])
    zero = TYPES[s.dtype](0)
    kernel_h, width = s.kernel
    n_channels, filters = tiles.groups * tiles.channels, tiles.filters
    all_filters, all_channels = s.o, s.c

    def fetch(p: Any, tile: Any, step: Any, i: Any) -> Any:
        kw, rest = uint32(i % uint32(width)), uint32(i // uint32(width))
        kh, rest = uint32(rest % uint32(kernel_h)), uint32(rest // uint32(kernel_h))
        c = uint32(uint32(rest % uint32(n_channels)) + uint32(tile * uint32(n_channels)))
        o = uint32(uint32(rest // uint32(n_channels)) + uint32(step * uint32(filters)))
        exists = o < all_filters and c < all_channels
        value = p[0][uint64(at_w(o, c, kh, kw) if exists else uint32(0))]
        return value if exists else zero

    return device(fetch)


def weight_putter(s: Sizes, tiles: InputTiles) -> Function:
    """`put(memory, i, value)`: stores weight i of a step."""
    kernel_h, width = s.kernel
    n_channels, channels, groups = tiles.groups * tiles.channels, tiles.channels, tiles.groups
    row = tiles.row_weights

    def put(memory: Any, i: Any, value: Any) -> None:
        kw, rest = uint32(i % uint32(width)), uint32(i // uint32(width))
        kh, rest = uint32(rest % uint32(kernel_h)), uint32(rest // uint32(kernel_h))
        c, o = uint32(rest % uint32(n_channels)), uint32(rest // uint32(n_channels))
        to = uint32(uint32(uint32(o * uint32(kernel_h)) + kh) * uint32(groups))
        to = uint32(uint32(to + uint32(c // uint32(channels))) * uint32(row))
        place = uint32(uint32(kw * uint32(channels)) + uint32(c % uint32(channels)))
        memory[uint64(to + place)] = value

    return device(put)


def gradient_fetcher(call: Call, s: Sizes, tiles: InputTiles) -> Function:
    """`fetch(p, tile, step, i)`: gradient and winners of window i of a step's g."""
    window = window_reader(call, s)
    first_row = first_window_row(s, tiles)
    filters, n_rows, images, bands = tiles.filters, tiles.window_rows, tiles.images, tiles.bands
    all_rows, n_columns = s.windows
    n_images, all_filters = s.n, s.o

    def fetch(p: Any, tile: Any, step: Any, i: Any) -> Any:
        first_image = uint32(uint32(cuda.blockIdx.x) // uint32(bands)) * uint32(images)
        w, line = uint32(i % uint32(n_columns)), uint32(i // uint32(n_columns))
        h = uint32(uint32(line % uint32(n_rows)) + first_row())
        plane = uint32(line // uint32(n_rows))
        o = uint32(uint32(plane % uint32(filters)) + uint32(step * uint32(filters)))
        n = uint32(uint32(plane // uint32(filters)) + uint32(first_image))
        return window(p, n, o, h, w, h < all_rows and o < all_filters and n < n_images)

    return device(fetch)


def gradient_putter(s: Sizes, tiles: InputTiles) -> Function:
    """`put(memory, i, value, mask)`: unpools window i of a step into shared memory."""
    zero = TYPES[s.dtype](0)
    begin, pitch, rows = tiles.gradients, tiles.pitch, tiles.gradient_rows
    (pool_h, pool_w), n_columns, n_rows = s.pool, s.windows[1], tiles.window_rows
    filters, image_pitch, border, stride = (
        tiles.filters,
        tiles.image_pitch,
        tiles.border,
        s.stride[1],
    )
    n_bits = pool_h * pool_w

    def put(memory: Any, i: Any, value: Any, mask: Any) -> None:
        w, line = uint32(i % uint32(n_columns)), uint32(i // uint32(n_columns))
        row, plane = uint32(line % uint32(n_rows)), uint32(line // uint32(n_rows))
        o, image = uint32(plane % uint32(filters)), uint32(plane // uint32(filters))
        to = uint32(uint32(o * uint32(rows)) + uint32(row * uint32(pool_h)))
        to = uint32(uint32(to * uint32(pitch)) + uint32(image * uint32(image_pitch)))
        to = uint32(to + uint32(begin))
        column = int64(w) * (pool_w * stride) + border
        for bit in range(n_bits):
            place = column + bit % pool_w * stride
            won = uint32(mask >> uint32(bit)) & uint32(1)
            if place >= 0 and place < pitch:
                at = uint32(to + uint32(bit // pool_w * pitch) + uint32(place))
                memory[uint64(at)] = value if won != uint32(0) else zero

    return device(put)
