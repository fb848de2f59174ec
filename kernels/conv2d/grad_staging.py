"""Copies of the operands of both gradients to shared memory: a factor (pixels or weights), and g.

    pixels   [image][channel of the tile][row][column], zeros for the padding
    weights  [filter][kh][group of channels][kw, channel of the group], groups aligned to 16 bytes
    g        [image][filter][row][column], unpooled

`tile` and `step` are the numbers of a tile of the result and of a step of its sum. Each kernel has
its own tiles and steps.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Function
from ..core.device import TYPES, cuda, device, uint32, uint64
from ..core.index import at, u32, wrapped
from ..core.integers import ceil_div
from .filter_tiles import FilterTiles
from .geometry import Convolution
from .input_tiles import InputTiles
from .pooling import window_reader

# Registers for values that a thread has loaded and not yet stored to shared memory. With many sums
# there are fewer; then there is enough arithmetic to wait twice.
ROUND, ROUND_BESIDE_SUMS = 20, 10
MANY_SUMS = 40


class Staged(NamedTuple):
    """An operand in shared memory: `size` elements.

    fetch: `fetch(p, tile, step, i)` loads element i, without a branch, so that many loads run
    concurrently. put: `put(memory, i, ...)` stores what `fetch` returned.
    """

    size: int
    fetch: Function
    put: Function


class Windows(NamedTuple):
    """Windows of g that a step stages, and the layout of their positions.

    images, filters, rows: of windows. begin: of the first line. lines: of a filter, `pitch`
    elements each. gap: elements between images. border: column of the first position of a line; if
    it is negative, positions before column 0 are left out. spacing: distance of positions. origin:
    `origin(tile, step)` is the first image, filter and row of windows.
    """

    images: int
    filters: int
    rows: int
    begin: int
    lines: int
    pitch: int
    gap: int
    border: int
    spacing: int
    origin: Function


def stager(
    dtype_name: str, threads: int, n_sums: int, factors: Staged, gradients: Staged
) -> Function:
    """`stage(p, memory, tile, step, t)`: stages factors (pixels or weights) and windows of g;
    returns whether all factors of thread t are finite. n_sums: sums that a thread has in registers.

    All loads of a round start before the first store waits for one.
    """
    dtype = TYPES[dtype_name]
    zero = dtype(0)
    n_x, fetch_x, put_x = factors
    n_g, fetch_g, put_g = gradients
    words = 2 if dtype_name == "float64" else 1
    room = ROUND_BESIDE_SUMS if words * n_sums >= MANY_SUMS else ROUND

    def share(n: int, rounds: int) -> int:
        return max(1, ceil_div(n, threads * rounds))

    rounds = 1
    while words * share(n_x, rounds) + (words + 1) * share(n_g, rounds) > room:
        rounds += 1
    x_each, g_each = share(n_x, rounds), share(n_g, rounds)

    def stage(p: Any, memory: Any, tile: Any, step: Any, t: Any) -> Any:
        x = cuda.local.array(x_each, dtype)
        g = cuda.local.array(g_each, dtype)
        masks = cuda.local.array(g_each, uint32)
        finite = True
        for r in range(rounds):
            first_x = t + r * x_each * threads
            first_g = t + r * g_each * threads
            for k in range(x_each):
                x[uint64(k)] = fetch_x(p, tile, step, first_x + k * threads)
            for k in range(g_each):
                value, mask = fetch_g(p, tile, step, first_g + k * threads)
                g[uint64(k)] = value
                masks[uint64(k)] = mask
            for k in range(x_each):
                i = first_x + k * threads
                if i < n_x:
                    put_x(memory, i, x[uint64(k)])
                    finite = finite and x[uint64(k)] - x[uint64(k)] == zero
            for k in range(g_each):
                i = first_g + k * threads
                if i < n_g:
                    put_g(memory, i, g[uint64(k)], u32(masks[uint64(k)]))
        return finite

    return device(stage)


def pixels(conv: Convolution, tiles: FilterTiles) -> Staged:
    """The pixels of a tile's channels, for a piece of the positions."""
    at_x = at(conv.x)
    zero = TYPES[conv.dtype](0)
    n_columns, n_rows, n_channels = tiles.image_pitch, tiles.image_rows, tiles.channels
    row_tiles, rows, kernel_h = tiles.row_tiles, tiles.rows, conv.kernel[0]
    bands, images, lines = tiles.bands, tiles.images, tiles.lines
    (stride_h, _), (pad_h, pad_w), (height, width) = conv.stride, conv.padding, conv.image
    n_images, all_channels = conv.images, conv.channels

    def fetch(p: Any, tile: Any, piece: Any, i: Any) -> Any:
        line = i // n_columns
        plane = line // n_rows
        # Rows and columns before the image wrap around to numbers above its size.
        h = line % n_rows + piece % bands * lines * stride_h - pad_h
        w = i % n_columns - pad_w
        c = plane % n_channels + tile % row_tiles * rows // kernel_h
        n = plane // n_channels + piece // bands * images
        inside = h < height and w < width and c < all_channels and n < n_images
        # Loads without a condition can run concurrently.
        value = p[0][at_x(n, c, h, w) if inside else u32(0)]
        return value if inside else zero

    def put(memory: Any, i: Any, value: Any) -> None:
        memory[i] = value

    return Staged(tiles.gradients, device(fetch), device(put))


def weights(conv: Convolution, tiles: InputTiles) -> Staged:
    """The weights of a step's filters, in C order of (filter, channel, kh, kw)."""
    at_w = at(conv.w)
    zero = TYPES[conv.dtype](0)
    kernel_h, width = conv.kernel
    channels, groups, filters = tiles.channels, tiles.groups, tiles.filters
    n_channels, row = groups * channels, tiles.row_weights
    all_filters, all_channels = conv.filters, conv.channels

    def fetch(p: Any, tile: Any, step: Any, i: Any) -> Any:
        kw, rest = i % width, i // width
        kh, rest = rest % kernel_h, rest // kernel_h
        c = rest % n_channels + tile * n_channels
        o = rest // n_channels + step * filters
        exists = o < all_filters and c < all_channels
        value = p[0][at_w(o, c, kh, kw) if exists else u32(0)]
        return value if exists else zero

    def put(memory: Any, i: Any, value: Any) -> None:
        kw, rest = i % width, i // width
        kh, rest = rest % kernel_h, rest // kernel_h
        c, o = rest % n_channels, rest // n_channels
        to = ((o * kernel_h + kh) * groups + c // channels) * row
        memory[uint64(to) + uint64(kw * channels + c % channels)] = value

    return Staged(filters * n_channels * conv.taps, device(fetch), device(put))


def gradients(conv: Convolution, windows: Windows) -> Staged:
    """Windows of g, in C order of (image, filter, row, column)."""
    images, filters, n_rows, begin, lines, pitch, gap, border, spacing, origin = windows
    window, zero = window_reader(conv), TYPES[conv.dtype](0)
    (all_rows, n_columns), (pool_h, pool_w) = conv.pooled, conv.pool
    n_images, all_filters = conv.images, conv.filters
    n_bits, apart, first_column = pool_h * pool_w, pool_w * spacing, wrapped(border)
    # Whether all positions of a line are in it.
    fits = border >= 0 and border + (n_columns * pool_w - 1) * spacing < pitch

    def fetch(p: Any, tile: Any, step: Any, i: Any) -> Any:
        first_image, first_filter, first_row = origin(tile, step)
        w, line = i % n_columns, i // n_columns
        h, plane = line % n_rows + first_row, line // n_rows
        o, n = plane % filters + first_filter, plane // filters + first_image
        return window(p, n, o, h, w, h < all_rows and o < all_filters and n < n_images)

    def put(memory: Any, i: Any, value: Any, mask: Any) -> None:
        w, line = i % n_columns, i // n_columns
        row, plane = line % n_rows, line // n_rows
        column = w * apart + first_column
        to = (plane * lines + row * pool_h) * pitch + plane // filters * gap + begin + column
        for bit in range(n_bits):
            shift = bit % pool_w * spacing
            further = bit // pool_w * pitch + shift
            won = mask >> bit & 1
            if fits:
                memory[uint64(to) + uint64(further)] = value if won != 0 else zero
            elif column + shift < pitch:
                memory[to + further] = value if won != 0 else zero

    return Staged(images * filters * n_rows * n_columns, device(fetch), device(put))
