"""Copies of conv2d_grad_filter's operands to shared memory.

x: [image of the piece][channel of the tile][row][column], with zeros for the padding. g: [image]
[filter of the tile][row][column], unpooled. Lines are aligned to 16 bytes.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function
from ..core.device import TYPES, device, uint64
from ..core.index import at, u32
from .filter_tiles import FilterTiles
from .geometry import Convolution
from .grad import window_reader


def put_pixel(memory: Any, i: Any, value: Any) -> None:
    """Stores element i of a piece of x."""
    memory[i] = value


def image_fetcher(call: Call, conv: Convolution, tiles: FilterTiles) -> Function:
    """`fetch(p, tile, piece, i)`: element i of a piece of x; zero outside of the image."""
    at_x = at(conv.x)
    zero = TYPES[conv.dtype](0)
    n_columns, n_rows, n_channels = tiles.image_pitch, tiles.image_rows, tiles.channels
    row_tiles, rows, kernel_h = tiles.row_tiles, tiles.rows, conv.kernel[0]
    bands, images, lines = tiles.bands, tiles.images, tiles.lines
    (stride_h, _), (pad_h, pad_w), (height, width) = conv.stride, conv.padding, conv.image
    n_images, all_channels = conv.images, conv.channels

    def fetch(p: Any, tile: Any, piece: Any, i: Any) -> Any:
        tile_row = tile % row_tiles * rows
        first_channel = tile_row // kernel_h
        first_image = piece // bands * images
        band = piece % bands * lines * stride_h
        line = i // n_columns
        plane = line // n_rows
        # Rows and columns before the image wrap around to numbers above its size.
        h = line % n_rows + band - pad_h
        w = i % n_columns - pad_w
        c = plane % n_channels + first_channel
        n = plane // n_channels + first_image
        inside = h < height and w < width and c < all_channels and n < n_images
        # Loads without a condition can run concurrently.
        value = p[0][at_x(n, c, h, w) if inside else u32(0)]
        return value if inside else zero

    return device(fetch)


def gradient_fetcher(call: Call, conv: Convolution, tiles: FilterTiles) -> Function:
    """`fetch(p, tile, piece, i)`: gradient and winners of window i of a piece of g."""
    window = window_reader(conv)
    n_filters, n_rows = tiles.filters * tiles.groups, tiles.lines // conv.pool[0]
    all_rows, n_columns = conv.pooled
    row_tiles, bands, images = tiles.row_tiles, tiles.bands, tiles.images
    n_images, all_filters = conv.images, conv.filters

    def fetch(p: Any, tile: Any, piece: Any, i: Any) -> Any:
        first_filter = tile // row_tiles * n_filters
        first_image = piece // bands * images
        w = i % n_columns
        line = i // n_columns
        plane = line // n_rows
        h = piece % bands * n_rows
        h = h + line % n_rows
        o = plane % n_filters + first_filter
        n = plane // n_filters + first_image
        return window(p, n, o, h, w, h < all_rows and o < all_filters and n < n_images)

    return device(fetch)


def gradient_putter(conv: Convolution, tiles: FilterTiles) -> Function:
    """`put(memory, i, value, mask)`: unpools window i of a piece into shared memory."""
    zero = TYPES[conv.dtype](0)
    begin, pitch, lines = tiles.gradients, tiles.line_pitch, tiles.lines
    (pool_h, pool_w), n_columns, n_rows = conv.pool, conv.pooled[1], tiles.lines // conv.pool[0]
    n_bits = pool_h * pool_w

    def put(memory: Any, i: Any, value: Any, mask: Any) -> None:
        w, line = i % n_columns, i // n_columns
        row, plane = line % n_rows, line // n_rows
        to = plane * lines + row * pool_h
        to = to * pitch + w * pool_w
        to = to + begin
        for bit in range(n_bits):
            place = u32(bit // pool_w * pitch + bit % pool_w)
            won = mask >> bit & 1
            memory[uint64(to) + uint64(place)] = value if won != 0 else zero

    return device(put)
