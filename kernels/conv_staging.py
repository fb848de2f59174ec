"""Images and filters of a block in shared memory: how they lie there, and how they get there.

    pixels   [image][channel][row][column]: the region that the block reads, zeros for the padding
    weights  [channel][tap][filter of the block]: those of neighbouring filters side by side

What strides, padding, a flip and edges mean is settled here, once per element; the inner loops see
one layout. A thread has several loads under way at a time; where registers allow it, all of a stage.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from .conv_common import Convolution, Function, is_plain, place, scalar_type, wrapped
from .conv_tiling import (
    Tiling,
    ceil_div,
    n_filter_blocks,
    n_regions,
    region,
    row_width,
    thread_positions,
)
from .device import cuda, device, load16, store16, uint32, uint64

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


class Part(NamedTuple):
    """Part of a stage: pixels or weights. Each thread moves elements `threads` apart, in rounds.

    load(values, first, n, o, y, x, c, p): loads a round's elements, of which `first` is the first,
    into a local array of `size` values. put(tile, values, first): puts them into shared memory.
    rounds: as many; step: elements between them.
    """

    load: Function
    put: Function
    size: int
    rounds: int
    step: int


def staging(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Function:
    """`stage(tile, thread, n, o, y, x, c, p)` fills the block's pixels and weights: those of images
    from n on, filters from o on, windows from row y and column x on, channels from c on."""
    pixels, weights = _pixels(conv, tiling, layout), _weights(conv, tiling, layout)
    put_pixels, put_weights = _moved(pixels, conv), _moved(weights, conv)
    if pixels.rounds * weights.rounds > 1:

        @device
        def stage(tile: Any, t: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> None:
            put_pixels(tile, t, n, o, y, x, c, p)
            put_weights(tile, t, n, o, y, x, c, p)

        return stage

    n_pixels, n_weights, dtype = pixels.size, weights.size, scalar_type(conv)
    load_pixels, store_pixels = pixels.load, pixels.put
    load_weights, store_weights = weights.load, weights.put

    @device
    def stage_at_once(tile: Any, t: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> None:
        pixel_values = cuda.local.array(n_pixels, dtype)
        weight_values = cuda.local.array(n_weights, dtype)
        load_weights(weight_values, t, n, o, y, x, c, p)
        load_pixels(pixel_values, t, n, o, y, x, c, p)
        store_weights(tile, weight_values, t)
        store_pixels(tile, pixel_values, t)

    return stage_at_once


def _moved(part: Part, conv: Convolution) -> Function:
    """`move(tile, thread, n, o, y, x, c, p)`: all rounds, one after the other."""
    load, put, size, dtype = part.load, part.put, part.size, scalar_type(conv)
    step, end = part.step, part.rounds * part.step

    @device
    def move(tile: Any, t: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> None:
        values = cuda.local.array(size, dtype)
        for k in range(0, end, step):
            first = uint32(t + uint32(k))
            load(values, first, n, o, y, x, c, p)
            put(tile, values, first)

    return move


def _in_flight(conv: Convolution, tiling: Tiling) -> int:
    """Values that a thread loads at a time: more where it has registers to spare."""
    rows, columns = thread_positions(conv, tiling)
    return (24 if rows * columns * tiling.filters * conv.words <= 16 else 8) // conv.words


def _pixels(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Part:
    """The block's pixels."""
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
    last_image, base = conv.images - 1, wrapped(conv.x.base)
    s0, s1 = wrapped(strides[0]), wrapped(strides[1])

    @device
    def load(e: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> Any:
        image = uint32(min(uint32(n + uint32(e // uint32(run))), uint32(last_image)))
        i = uint32(uint32(base) + uint32(image * uint32(s0)))
        i = uint32(i + uint32(c * uint32(s1)))
        return p[0][uint64(uint32(i + uint32(e % uint32(run))))]

    @device
    def place_of(e: Any) -> Any:
        return e

    return _part(conv, tiling, tiling.images * run, load, place_of)


def _vectors(conv: Convolution, tiling: Tiling, run: int, lanes: int) -> Part:
    """Whole channels, 16 bytes at a time; an image behind the last one is the last one."""
    total, threads, per_image = tiling.images * run // lanes, tiling.threads, run // lanes
    last_image, s0, s1 = conv.images - 1, conv.x.strides[0], conv.x.strides[1]
    steps = ceil_div(total, threads)
    rounds = ceil_div(steps, max(1, _in_flight(conv, tiling) // lanes))
    batch = ceil_div(steps, rounds)
    is_float64 = conv.words == 2

    @device
    def load(v: Any, first: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> None:
        for k in range(batch):
            e = uint32(min(uint32(first + uint32(k * threads)), uint32(total - 1)))
            image = uint32(min(uint32(n + uint32(e // uint32(per_image))), uint32(last_image)))
            i = uint32(uint32(image * uint32(s0)) + uint32(c * uint32(s1)))
            i = uint32(i + uint32(uint32(e % uint32(per_image)) * uint32(lanes)))
            if is_float64:
                v[2 * k], v[2 * k + 1] = load16(p[0], uint64(i))
            else:
                v[4 * k], v[4 * k + 1], v[4 * k + 2], v[4 * k + 3] = load16(p[0], uint64(i))

    @device
    def put(tile: Any, v: Any, first: Any) -> None:
        for k in range(batch):
            e = uint32(first + uint32(k * threads))
            if e < uint32(total):
                i = uint64(uint32(e * uint32(lanes)))
                if is_float64:
                    store16(tile, i, (v[2 * k], v[2 * k + 1]))
                else:
                    store16(tile, i, (v[4 * k], v[4 * k + 1], v[4 * k + 2], v[4 * k + 3]))

    return Part(load, put, batch * lanes, rounds, batch * threads)


def _gathered_pixels(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Part:
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
        is_inside = (row < uint32(height)) & (column < uint32(width))
        is_inside = is_inside & (channel < uint32(n_channels)) & (image < uint32(n_images))
        # Outside, the first element is loaded and dropped: a branch would delay the next load.
        value = p[0][at(image, channel, row, column) if is_inside else uint64(0)]
        return value if is_inside else dtype(0)

    @device
    def place_of(e: Any) -> Any:
        rest = uint32(e // uint32(columns))
        i = uint32(uint32(rest % uint32(rows)) * uint32(pitch))
        i = uint32(i + uint32(e % uint32(columns)))
        rest = uint32(rest // uint32(rows))
        i = uint32(i + uint32(uint32(rest % uint32(channels)) * uint32(channel_pitch)))
        return uint32(i + uint32(uint32(rest // uint32(channels)) * uint32(image_pitch)))

    return _part(conv, tiling, tiling.images * channels * rows * columns, load, place_of)


def _weights(conv: Convolution, tiling: Tiling, layout: SharedLayout) -> Part:
    """The block's weights."""
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
        is_inside = (f < uint32(n_filters)) & (channel < uint32(n_channels))
        i = at(f, channel, uint32(tap // uint32(kw)), uint32(tap % uint32(kw)))
        value = p[1][i if is_inside else uint64(0)]
        return value if is_inside else dtype(0)

    @device
    def place_of(e: Any) -> Any:
        i = uint32(uint32(begin) + uint32(uint32(e % uint32(per_filter)) * uint32(pitch)))
        return uint32(i + uint32(e // uint32(per_filter)))

    return _part(conv, tiling, tiling.block_filters * per_filter, load, place_of)


def _part(
    conv: Convolution, tiling: Tiling, total: int, element: Function, place_of: Function
) -> Part:
    """The part of `total` elements: `element(e, n, o, y, x, c, p)` is the value of number e, and
    `place_of(e)` its place in shared memory."""
    threads, dtype = tiling.threads, scalar_type(conv)
    steps = ceil_div(total, threads)
    rounds = ceil_div(steps, _in_flight(conv, tiling))
    batch = ceil_div(steps, rounds)
    last = total - 1

    @device
    def load(values: Any, first: Any, n: Any, o: Any, y: Any, x: Any, c: Any, p: Any) -> None:
        for k in range(batch):
            e = uint32(min(uint32(first + uint32(k * threads)), uint32(last)))
            values[k] = dtype(element(e, n, o, y, x, c, p))

    @device
    def put(tile: Any, values: Any, first: Any) -> None:
        for k in range(batch):
            e = uint32(first + uint32(k * threads))
            if e < uint32(total):
                tile[uint64(place_of(e))] = values[k]

    return Part(load, put, batch, rounds, batch * threads)
