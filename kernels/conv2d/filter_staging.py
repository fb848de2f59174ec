"""Copies of conv2d_grad_filter's operands to shared memory.

x: [image of the piece][channel of the tile][row][column], with zeros for the padding. g: [image]
[filter of the tile][row][column], unpooled. Lines are aligned to 16 bytes.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function
from ..core.device import TYPES, device, uint32, uint64
from .filter_tiles import FilterTiles
from .grad import Sizes, locator
from .grad_staging import window_reader


def put_pixel(memory: Any, i: Any, value: Any) -> None:
    """Stores element i of a piece of x."""
    memory[uint64(i)] = value


def image_fetcher(call: Call, s: Sizes, tiles: FilterTiles) -> Function:
    """`fetch(p, tile, piece, i)`: element i of a piece of x; zero outside of the image."""
    at_x = locator(call.inputs[0])
    zero = TYPES[s.dtype](0)
    n_columns, n_rows, n_channels = tiles.image_pitch, tiles.image_rows, tiles.channels
    row_tiles, rows, kernel_h = tiles.row_tiles, tiles.rows, s.kernel[0]
    bands, images, lines = tiles.bands, tiles.images, tiles.lines
    (stride_h, _), (pad_h, pad_w), (height, width) = s.stride, s.padding, s.image
    n_images, all_channels = s.n, s.c

    def fetch(p: Any, tile: Any, piece: Any, i: Any) -> Any:
        tile_row = uint32(uint32(tile % uint32(row_tiles)) * uint32(rows))
        first_channel = uint32(tile_row // uint32(kernel_h))
        first_image = uint32(uint32(piece // uint32(bands)) * uint32(images))
        band = uint32(uint32(piece % uint32(bands)) * uint32(lines * stride_h))
        line = uint32(i // uint32(n_columns))
        plane = uint32(line // uint32(n_rows))
        # Rows and columns before the image wrap around to numbers above its size.
        h = uint32(uint32(uint32(line % uint32(n_rows)) + band) - uint32(pad_h))
        w = uint32(uint32(i % uint32(n_columns)) - uint32(pad_w))
        c = uint32(uint32(plane % uint32(n_channels)) + first_channel)
        n = uint32(uint32(plane // uint32(n_channels)) + first_image)
        inside = h < height and w < width and c < all_channels and n < n_images
        # Loads without a condition can run concurrently.
        value = p[0][uint64(at_x(n, c, h, w) if inside else uint32(0))]
        return value if inside else zero

    return device(fetch)


def gradient_fetcher(call: Call, s: Sizes, tiles: FilterTiles) -> Function:
    """`fetch(p, tile, piece, i)`: gradient and winners of window i of a piece of g."""
    window = window_reader(call, s)
    n_filters, n_rows = tiles.filters * tiles.groups, tiles.lines // s.pool[0]
    all_rows, n_columns = s.windows
    row_tiles, bands, images = tiles.row_tiles, tiles.bands, tiles.images
    n_images, all_filters = s.n, s.o

    def fetch(p: Any, tile: Any, piece: Any, i: Any) -> Any:
        first_filter = uint32(uint32(tile // uint32(row_tiles)) * uint32(n_filters))
        first_image = uint32(uint32(piece // uint32(bands)) * uint32(images))
        w = uint32(i % uint32(n_columns))
        line = uint32(i // uint32(n_columns))
        plane = uint32(line // uint32(n_rows))
        h = uint32(uint32(piece % uint32(bands)) * uint32(n_rows))
        h = uint32(h + uint32(line % uint32(n_rows)))
        o = uint32(uint32(plane % uint32(n_filters)) + first_filter)
        n = uint32(uint32(plane // uint32(n_filters)) + first_image)
        return window(p, n, o, h, w, h < all_rows and o < all_filters and n < n_images)

    return device(fetch)


def gradient_putter(s: Sizes, tiles: FilterTiles) -> Function:
    """`put(memory, i, value, mask)`: unpools window i of a piece into shared memory."""
    zero = TYPES[s.dtype](0)
    begin, pitch, lines = tiles.gradients, tiles.line_pitch, tiles.lines
    (pool_h, pool_w), n_columns, n_rows = s.pool, s.windows[1], tiles.lines // s.pool[0]
    n_bits = pool_h * pool_w

    def put(memory: Any, i: Any, value: Any, mask: Any) -> None:
        w, line = uint32(i % uint32(n_columns)), uint32(i // uint32(n_columns))
        row, plane = uint32(line % uint32(n_rows)), uint32(line // uint32(n_rows))
        to = uint32(uint32(plane * uint32(lines)) + uint32(row * uint32(pool_h)))
        to = uint32(uint32(to * uint32(pitch)) + uint32(w * uint32(pool_w)))
        to = uint32(to + uint32(begin))
        for bit in range(n_bits):
            place = uint32(bit // pool_w * pitch + bit % pool_w)
            won = uint32(mask >> uint32(bit)) & uint32(1)
            memory[uint64(to + place)] = value if won != uint32(0) else zero

    return device(put)
