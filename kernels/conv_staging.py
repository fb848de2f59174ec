"""Images and filters of a block in shared memory: how they lie there, and how they get there.

    pixels   [image][channel][row][column]: the region that the block reads, zeros for the padding
    weights  [channel][tap][filter of the block]: those of neighbouring filters side by side

What strides, padding, a flip and edges mean is settled here, once per element; the inner loops see
one layout. Loads of a thread don't wait for each other: LOADS of them are under way at a time.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from .conv_common import Convolution, Function, is_plain, place, scalar_type, wrapped
from .conv_tiling import Tiling, ceil_div, n_filter_blocks, n_regions, region, row_width
from .device import cuda, device, load16, store16, uint32, uint64

LOADS = 8
BANKS = 32


class SharedLayout(NamedTuple):
    """Elements of shared memory. rows, columns: of the region. pitch, channel_pitch, image_pitch:
    between neighbours along these axes. whole: whether a channel lies as in global memory.
    weights: where they begin. filter_pitch: between taps. size: of pixels and weights.
    """

    rows: int
    columns: int
    pitch: int
    channel_pitch: int
    image_pitch: int
    whole: bool
    weights: int
    filter_pitch: int
    size: int


def shared_layout(conv: Convolution, tiling: Tiling) -> SharedLayout:
    """The layout with the fewest conflicts of banks; of equal ones that which is staged fastest."""
    rows, columns = region(conv, tiling)
    plain = _whole_image(conv, tiling)
    options = [plain] if plain else []
    for pitch in range(-(-columns // 4) * 4, columns + 12, 4):
        for extra in range(0, BANKS, 4):
            channel_pitch = rows * pitch
            image_pitch = tiling.channels * channel_pitch + extra
            options.append((pitch, channel_pitch, image_pitch))
            if tiling.images == 1:
                break
    pitch, channel_pitch, image_pitch = min(options, key=lambda o: _turns(conv, tiling, *o))
    # Tiles that reach over the last row of an image read on in what follows.
    behind = max(0, rows * pitch - channel_pitch) if tiling.windows else 0
    weights = -(-(tiling.images * image_pitch + behind) // 4) * 4
    filter_pitch = tiling.block_filters
    if tiling.filters % 2 == 0:
        filter_pitch = -(-filter_pitch // 4) * 4
    size = weights + tiling.channels * conv.taps * filter_pitch
    whole = bool(plain) and (pitch, channel_pitch, image_pitch) == plain
    return SharedLayout(
        rows, columns, pitch, channel_pitch, image_pitch, whole, weights, filter_pitch, size
    )


def _whole_image(conv: Convolution, tiling: Tiling) -> tuple[int, int, int] | None:
    """The pitches of an image as it lies in global memory, where a block may copy whole ones."""
    height, width = conv.image
    rows, columns = region(conv, tiling)
    fits = n_regions(conv, tiling) == (1, 1) and rows <= height and columns <= width
    even = conv.channels % tiling.channels == 0
    if not fits or not even or conv.padding != (0, 0) or not is_plain(conv.x, (1, 2, 3)):
        return None
    if width * height > (rows + 4) * (columns + 4):
        return None  # most of it isn't needed
    return width, height * width, tiling.channels * height * width


def _turns(conv: Convolution, tiling: Tiling, pitch: int, channel: int, image: int) -> int:
    """Cycles in which the banks serve the threads of one warp that read their first pixels."""
    columns = tiling.windows[1] * conv.pool[1] * conv.stride[1]
    rows = tiling.windows[0] * conv.pool[0] * conv.stride[0]
    vector = min(4 if columns % 4 == 0 else 2 if columns % 2 == 0 else 1, row_width(conv, tiling))
    share = tiling.channels // tiling.splits
    words: set[int] = set()
    for thread in range(min(32, tiling.threads)):
        rest, column = divmod(thread, tiling.tiles[1])
        rest, row = divmod(rest, tiling.tiles[0])
        rest, number = divmod(rest, tiling.images)
        split = rest // tiling.groups
        first = number * image + split * share * channel + row * rows * pitch + column * columns
        words.update(first + k for k in range(vector))
    return max(Counter(word % BANKS for word in words).values())


def first_of_block(conv: Convolution, tiling: Tiling) -> Function:
    """The device function `first(block)`: a block's first image, filter, row and column of windows.

    Blocks that read the same pixels follow each other.
    """
    n_filters = n_filter_blocks(conv, tiling)
    n_rows, n_columns = n_regions(conv, tiling)
    filters, images = tiling.block_filters, tiling.images
    rows, columns = tiling.block_windows

    @device
    def first(block: Any) -> Any:
        rest = uint32(block // uint32(n_filters))
        o = uint32(uint32(block % uint32(n_filters)) * uint32(filters))
        x = uint32(uint32(rest % uint32(n_columns)) * uint32(columns))
        rest = uint32(rest // uint32(n_columns))
        y = uint32(uint32(rest % uint32(n_rows)) * uint32(rows))
        n = uint32(uint32(rest // uint32(n_rows)) * uint32(images))
        return n, o, y, x

    return first


# A device function `load(e, n, o, y, x, c, p)` gives element e of what a block stages, which begins
# at image n, filter o, row and column of windows (y, x), and channel c; `put(tile, e, value)` puts
# it into shared memory.


def stage_pixels(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """`stage(tile, thread, n, o, y, x, c, p)` fills the block's pixels."""
    if not layout.whole:
        return _gathered_pixels(conv, tiling, layout)
    run = tiling.channels * conv.image[0] * conv.image[1]
    lanes = 4 // conv.words
    strides = conv.x.strides
    if (
        conv.x.alignment % 16 == 0
        and strides[0] >= 0
        and all(n % lanes == 0 for n in (run, strides[0], strides[1] * tiling.channels))
    ):
        return _vectors(conv, tiling, run, lanes)
    n_images, base = conv.images, wrapped(conv.x.base)
    s0, s1 = wrapped(strides[0]), wrapped(strides[1])

    @device
    def load(e: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> Any:
        image = uint32(min(uint32(n + uint32(e // uint32(run))), uint32(n_images - 1)))
        i = uint32(uint32(base) + uint32(image * uint32(s0)))
        i = uint32(i + uint32(c * uint32(s1)))
        return p[0][uint64(uint32(i + uint32(e % uint32(run))))]

    @device
    def put(tile: Any, e: Any, value: Any) -> None:
        tile[uint64(e)] = value

    return _staged(tiling.images * run, tiling.threads, load, put, scalar_type(conv))


def _vectors(conv: Convolution, tiling: Tiling, run: int, lanes: int) -> Function:
    """Whole channels, 16 bytes at a time; an image behind the last one is the last one."""
    total, threads, per_image = tiling.images * run // lanes, tiling.threads, run // lanes
    n_images, s0, s1 = conv.images, conv.x.strides[0], conv.x.strides[1]

    @device
    def stage(tile: Any, t: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> None:
        for k in range(0, total, threads):
            e = uint32(t + uint32(k))
            image = uint32(min(uint32(n + uint32(e // uint32(per_image))), uint32(n_images - 1)))
            i = uint32(uint32(image * uint32(s0)) + uint32(c * uint32(s1)))
            i = uint32(i + uint32(uint32(e % uint32(per_image)) * uint32(lanes)))
            if e < uint32(total):
                store16(tile, uint64(uint32(e * uint32(lanes))), load16(p[0], uint64(i)))

    return stage


def _gathered_pixels(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """Any region of images of any layout, with zeros around them."""
    rows, columns, channels = layout.rows, layout.columns, tiling.channels
    height, width = conv.image
    n_images, n_channels = conv.images, conv.channels
    step_y, step_x = conv.pool[0] * conv.stride[0], conv.pool[1] * conv.stride[1]
    before_y, before_x = map(wrapped, (-conv.padding[0], -conv.padding[1]))
    pitch, channel_pitch, image_pitch = layout.pitch, layout.channel_pitch, layout.image_pitch
    at, dtype = place(conv.x), scalar_type(conv)

    @device
    def load(e: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> Any:
        rest = uint32(e // uint32(columns))
        column = uint32(uint32(x * uint32(step_x)) + uint32(e % uint32(columns)))
        column = uint32(column + uint32(before_x))  # wraps to a huge number in the padding
        row = uint32(uint32(y * uint32(step_y)) + uint32(rest % uint32(rows)))
        row = uint32(row + uint32(before_y))
        rest = uint32(rest // uint32(rows))
        channel = uint32(c + uint32(rest % uint32(channels)))
        image = uint32(n + uint32(rest // uint32(channels)))
        is_inside = row < uint32(height) and column < uint32(width)
        if is_inside and channel < uint32(n_channels) and image < uint32(n_images):
            return p[0][at(image, channel, row, column)]
        return dtype(0)

    @device
    def put(tile: Any, e: Any, value: Any) -> None:
        rest = uint32(e // uint32(columns))
        i = uint32(
            uint32(uint32(rest % uint32(rows)) * uint32(pitch)) + uint32(e % uint32(columns))
        )
        rest = uint32(rest // uint32(rows))
        i = uint32(i + uint32(uint32(rest % uint32(channels)) * uint32(channel_pitch)))
        i = uint32(i + uint32(uint32(rest // uint32(channels)) * uint32(image_pitch)))
        tile[uint64(i)] = value

    return _staged(tiling.images * channels * rows * columns, tiling.threads, load, put, dtype)


def stage_weights(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """`stage(tile, thread, n, o, y, x, c, p)` fills the block's weights."""
    kw, taps, per_filter = conv.kernel[1], conv.taps, tiling.channels * conv.taps
    n_filters, n_channels = conv.filters, conv.channels
    begin, pitch, dtype = layout.weights, layout.filter_pitch, scalar_type(conv)
    at = place(conv.w)

    @device
    def load(e: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> Any:
        f = uint32(o + uint32(e // uint32(per_filter)))
        rest = uint32(e % uint32(per_filter))
        channel = uint32(c + uint32(rest // uint32(taps)))
        tap = uint32(rest % uint32(taps))
        if f < uint32(n_filters) and channel < uint32(n_channels):
            return p[1][at(f, channel, uint32(tap // uint32(kw)), uint32(tap % uint32(kw)))]
        return dtype(0)

    @device
    def put(tile: Any, e: Any, value: Any) -> None:
        i = uint32(uint32(begin) + uint32(uint32(e % uint32(per_filter)) * uint32(pitch)))
        tile[uint64(uint32(i + uint32(e // uint32(per_filter))))] = value

    return _staged(tiling.block_filters * per_filter, tiling.threads, load, put, dtype)


def _staged(total: int, threads: int, load: Function, put: Function, dtype: Any) -> Function:
    """A thread's elements, `threads` apart: LOADS of them are loaded before the first is stored."""
    steps = ceil_div(total, threads)
    batch = ceil_div(steps, ceil_div(steps, LOADS))
    last = total - 1

    @device
    def stage(tile: Any, t: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> None:
        values = cuda.local.array(batch, dtype)
        for first in range(0, steps * threads, batch * threads):
            for k in range(batch):
                e = uint32(t + uint32(first + k * threads))
                values[k] = load(uint32(min(e, uint32(last))), n, o, y, x, c, p)
            for k in range(batch):
                e = uint32(t + uint32(first + k * threads))
                if e < uint32(total):
                    put(tile, e, values[k])

    return stage
