"""Copies of conv2d_grad_input's weights and gradients to shared memory.

weights: [filter][kh][group of channels][kw, channel of the group], each group aligned to 16 bytes.
g: [image][filter][row][column], unpooled and spaced by the stride along rows.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function
from ..core.device import TYPES, device, int64, uint64
from ..core.index import at, block_index, u32
from .geometry import Convolution
from .grad import window_reader
from .input_tiles import InputTiles


def first_window_row(conv: Convolution, tiles: InputTiles) -> Function:
    """`first()`: the first row of windows in the block's shared memory."""
    rows, bands = tiles.rows, tiles.bands
    reach, stride, pool = conv.kernel[0] - 1, conv.stride[0], conv.pool[0]
    pad = conv.padding[0]

    def first() -> Any:
        if bands == 1:
            return u32(0)
        begin = block_index() % bands * rows
        begin = begin + pad
        if begin <= reach:
            return u32(0)
        before = begin - reach + (stride - 1)
        return before // stride // pool

    return device(first)


def weight_fetcher(call: Call, conv: Convolution, tiles: InputTiles) -> Function:
    """`fetch(p, tile, step, i)`: weight i of a step, in C order of (filter, channel, kh, kw)."""
    at_w = at(conv.w)
    zero = TYPES[conv.dtype](0)
    kernel_h, width = conv.kernel
    n_channels, filters = tiles.groups * tiles.channels, tiles.filters
    all_filters, all_channels = conv.filters, conv.channels

    def fetch(p: Any, tile: Any, step: Any, i: Any) -> Any:
        kw, rest = i % width, i // width
        kh, rest = rest % kernel_h, rest // kernel_h
        c = rest % n_channels + tile * n_channels
        o = rest // n_channels + step * filters
        exists = o < all_filters and c < all_channels
        value = p[0][at_w(o, c, kh, kw) if exists else u32(0)]
        return value if exists else zero

    return device(fetch)


def weight_putter(conv: Convolution, tiles: InputTiles) -> Function:
    """`put(memory, i, value)`: stores weight i of a step."""
    kernel_h, width = conv.kernel
    n_channels, channels, groups = tiles.groups * tiles.channels, tiles.channels, tiles.groups
    row = tiles.row_weights

    def put(memory: Any, i: Any, value: Any) -> None:
        kw, rest = i % width, i // width
        kh, rest = rest % kernel_h, rest // kernel_h
        c, o = rest % n_channels, rest // n_channels
        to = (o * kernel_h + kh) * groups
        to = (to + c // channels) * row
        place = kw * channels + c % channels
        memory[uint64(to) + uint64(place)] = value

    return device(put)


def gradient_fetcher(call: Call, conv: Convolution, tiles: InputTiles) -> Function:
    """`fetch(p, tile, step, i)`: gradient and winners of window i of a step's g."""
    window = window_reader(conv)
    first_row = first_window_row(conv, tiles)
    filters, n_rows, images, bands = tiles.filters, tiles.window_rows, tiles.images, tiles.bands
    all_rows, n_columns = conv.pooled
    n_images, all_filters = conv.images, conv.filters

    def fetch(p: Any, tile: Any, step: Any, i: Any) -> Any:
        first_image = block_index() // bands * images
        w, line = i % n_columns, i // n_columns
        h = line % n_rows + first_row()
        plane = line // n_rows
        o = plane % filters + step * filters
        n = plane // filters + u32(first_image)
        return window(p, n, o, h, w, h < all_rows and o < all_filters and n < n_images)

    return device(fetch)


def gradient_putter(conv: Convolution, tiles: InputTiles) -> Function:
    """`put(memory, i, value, mask)`: unpools window i of a step into shared memory."""
    zero = TYPES[conv.dtype](0)
    begin, pitch, rows = tiles.gradients, tiles.pitch, tiles.gradient_rows
    (pool_h, pool_w), n_columns, n_rows = conv.pool, conv.pooled[1], tiles.window_rows
    filters, image_pitch, border, stride = (
        tiles.filters,
        tiles.image_pitch,
        tiles.border,
        conv.stride[1],
    )
    n_bits = pool_h * pool_w

    def put(memory: Any, i: Any, value: Any, mask: Any) -> None:
        w, line = i % n_columns, i // n_columns
        row, plane = line % n_rows, line // n_rows
        o, image = plane % filters, plane // filters
        to = o * rows + row * pool_h
        to = to * pitch + image * image_pitch
        to = to + begin
        column = int64(w) * (pool_w * stride) + border
        for bit in range(n_bits):
            place = column + bit % pool_w * stride
            won = mask >> bit & 1
            if place >= 0 and place < pitch:
                at = to + bit // pool_w * pitch + u32(place)
                memory[at] = value if won != 0 else zero

    return device(put)
