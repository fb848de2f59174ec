"""The layout of a block's images and filters in shared memory, and the copies to it.

    pixels   [image][channel][row][column]: the region that the block reads, zeros for the padding
    weights  [channel][tap][filter of the block]: weights of neighbouring filters are adjacent

Strides, padding, flips and edges are handled here, once per element; the inner loops have one
layout. A thread starts several loads at a time: all loads of a stage, if there are enough
registers.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from ..core.axes import is_dense
from ..core.call import Function
from ..core.device import TYPES, cuda, device, load16, store16, uint64
from ..core.hardware import STATIC_BYTES
from ..core.index import u32, unravel, wrapped
from ..core.integers import ceil_div, round_up
from .geometry import Convolution, Pair
from .tiling import Tiling

BANKS = 32


class SharedLayout(NamedTuple):
    """The layout of shared memory, in elements.

    rows, columns: of the region. pitch, channel_pitch, image_pitch: distances of rows, channels and
    images. whole: whether a channel has the same layout as in global memory. weights: where they
    begin. filter_pitch: distance of taps. size: of pixels and weights.
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


def shared_layout(tiling: Tiling) -> SharedLayout:
    """The layout with the fewest bank conflicts; of equal ones, the one that is staged fastest."""
    conv = tiling.conv
    rows, columns = tiling.region
    plain = _whole_image(tiling)
    options = [plain] if plain else []
    for pitch in range(round_up(columns, 4), columns + 12, 4):
        for extra in range(0, BANKS, 4):
            channel_pitch = rows * pitch
            image_pitch = tiling.channels * channel_pitch + extra
            options.append((pitch, channel_pitch, image_pitch))
            if tiling.images == 1:
                break
    # The narrowest one always fits: the tiling was chosen for that.
    limit = STATIC_BYTES // (4 * conv.words)
    fitting = [o for o in options if _sizes(tiling, *o)[2] <= limit]
    pitch, channel_pitch, image_pitch = min(fitting, key=lambda o: _turns(tiling, *o))
    weights, filter_pitch, size = _sizes(tiling, pitch, channel_pitch, image_pitch)
    whole = bool(plain) and (pitch, channel_pitch, image_pitch) == plain
    return SharedLayout(
        rows, columns, pitch, channel_pitch, image_pitch, whole, weights, filter_pitch, size
    )


def _sizes(
    tiling: Tiling, pitch: int, channel_pitch: int, image_pitch: int
) -> tuple[int, int, int]:
    """Where weights begin, their pitch, and the total size, for these pitches of pixels."""
    conv = tiling.conv
    # Tiles that extend over the last row of an image read the elements after it.
    behind = max(0, tiling.region[0] * pitch - channel_pitch)
    weights = round_up(tiling.images * image_pitch + behind, 4)
    filter_pitch = tiling.block_filters
    if tiling.filters % 2 == 0:
        filter_pitch = round_up(filter_pitch, 4)
    return weights, filter_pitch, weights + tiling.channels * conv.taps * filter_pitch


def _whole_image(tiling: Tiling) -> tuple[int, int, int] | None:
    """The pitches of an image in global memory, if a block may copy whole images; else None."""
    conv = tiling.conv
    height, width = conv.image
    rows, columns = tiling.region
    fits = tiling.regions == (1, 1) and rows <= height and columns <= width
    even = conv.channels % tiling.channels == 0
    if (
        not fits
        or not even
        or conv.padding != (0, 0)
        or not is_dense(conv.x.shape[1:], conv.x.strides[1:])
    ):
        return None
    if width * height > (rows + 4) * (columns + 4):
        return None  # most of it isn't needed
    return width, height * width, tiling.channels * height * width


def _turns(tiling: Tiling, pitch: int, channel: int, image: int) -> int:
    """Cycles of shared memory in which the threads of a warp read their first pixels."""
    conv = tiling.conv
    columns = tiling.windows[1] * conv.pool[1] * conv.stride[1]
    rows = tiling.windows[0] * conv.pool[0] * conv.stride[0]
    vector = min(4 if columns % 4 == 0 else 2 if columns % 2 == 0 else 1, tiling.row_width)
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


class Origin(NamedTuple):
    """Where a block's work begins: its first image and filter, row and column of windows, and the
    first channel of a stage."""

    image: Any
    filter: Any
    row: Any
    column: Any
    channel: Any


class Axis(NamedTuple):
    """Elements of a stage along one of two axes. The index of an element is the sum of those of
    both axes.

    source: `source(i, origin)`: the index of element i in the operand, and whether it exists.
    target: `target(i)`: its index in shared memory.
    """

    length: int
    source: Function
    target: Function


class Part(NamedTuple):
    """Part of a stage: pixels or weights.

    load(values, thread, a, b, origin, p): loads a thread's elements from (a, b) on, numbers of the
    thread's elements along the two axes, to a local array of `size` values. put(tile, values,
    thread, a, b): stores them to shared memory. rounds, steps: the number of rounds along both
    axes, and their distance.
    """

    load: Function
    put: Function
    size: int
    rounds: Pair
    steps: Pair


class Staging(NamedTuple):
    """How a block gets its pixels and weights.

    origin: `origin(block)`, with channel 0. stage: `stage(tile, thread, origin, c, p)` copies
    channels from c on.
    """

    layout: SharedLayout
    origin: Function
    stage: Function


def staging(tiling: Tiling) -> Staging:
    """The layout of a block's shared memory, and the copies to it."""
    layout = shared_layout(tiling)
    pixels, weights = _pixels(tiling, layout), _weights(tiling, layout)
    if pixels.rounds == weights.rounds == (1, 1):
        copy = _at_once(pixels, weights, tiling.conv)
    else:
        copy = _one_by_one(pixels, weights, tiling.conv)

    @device
    def stage(tile: Any, thread: Any, origin: Any, c: Any, p: Any) -> None:
        n, o, y, x, _ = origin
        copy(tile, thread, Origin(n, o, y, x, c), p)

    return Staging(layout, _first_of_block(tiling), stage)


def _first_of_block(tiling: Tiling) -> Function:
    """`origin` of a `Staging`. Blocks that read the same pixels have consecutive numbers."""
    filters, (rows, columns) = tiling.block_filters, tiling.block_windows
    images, split = tiling.images, unravel(*tiling.regions, tiling.filter_blocks)

    @device
    def origin(block: Any) -> Any:
        n, y, x, o = split(block)
        return Origin(n * images, o * filters, y * rows, x * columns, u32(0))

    return origin


def _at_once(pixels: Part, weights: Part, conv: Convolution) -> Function:
    """`copy(tile, thread, origin, p)` of a stage, with all loads before the first store."""
    n_pixels, n_weights, dtype = pixels.size, weights.size, TYPES[conv.dtype]
    load_pixels, put_pixels = pixels.load, pixels.put
    load_weights, put_weights = weights.load, weights.put

    @device
    def copy(tile: Any, t: Any, origin: Any, p: Any) -> None:
        pixel_values = cuda.local.array(n_pixels, dtype)
        weight_values = cuda.local.array(n_weights, dtype)
        load_weights(weight_values, t, 0, 0, origin, p)
        load_pixels(pixel_values, t, 0, 0, origin, p)
        put_weights(tile, weight_values, t, 0, 0)
        put_pixels(tile, pixel_values, t, 0, 0)

    return copy


def _one_by_one(pixels: Part, weights: Part, conv: Convolution) -> Function:
    """`copy` of pixels, then of weights."""
    copy_pixels, copy_weights = _in_rounds(pixels, conv), _in_rounds(weights, conv)

    @device
    def copy(tile: Any, t: Any, origin: Any, p: Any) -> None:
        copy_pixels(tile, t, origin, p)
        copy_weights(tile, t, origin, p)

    return copy


def _in_rounds(part: Part, conv: Convolution) -> Function:
    """`copy` of one part, in rounds."""
    load, put, size, dtype = part.load, part.put, part.size, TYPES[conv.dtype]
    (rounds_a, rounds_b), (step_a, step_b) = part.rounds, part.steps

    @device
    def copy(tile: Any, t: Any, origin: Any, p: Any) -> None:
        values = cuda.local.array(size, dtype)
        for a in range(rounds_a):
            for b in range(rounds_b):
                load(values, t, a * step_a, b * step_b, origin, p)
                put(tile, values, t, a * step_a, b * step_b)

    return copy


def _in_flight(tiling: Tiling) -> int:
    """Values that a thread loads at a time: more if it has registers to spare."""
    conv = tiling.conv
    rows, columns = tiling.positions
    return (24 if rows * columns * tiling.filters * conv.words <= 16 else 6) // conv.words


def _part(tiling: Tiling, number: int, inner: Axis, outer: Axis, lanes: int = 1) -> Part:
    """The part of operand `number` with these axes; `lanes` neighbours are copied together.

    Elements of the padding are zero. Other elements that don't exist are undefined, and not read.

    Threads are laid along the inner axis as far as possible, the rest along the outer one. So a
    thread computes few indices along each axis; the index of an element is the sum of two.
    """
    conv = tiling.conv
    (n_inner, from_inner, to_inner), (n_outer, from_outer, to_outer) = inner, outer
    along = min(n_inner, tiling.threads)
    across = tiling.threads // along
    count_a, count_b = ceil_div(n_inner, along), ceil_div(n_outer, across)
    most = max(1, _in_flight(tiling) // lanes)
    if count_a * count_b <= most:
        batch_a, batch_b = count_a, count_b
    else:
        batch_a, batch_b = 1, ceil_div(count_b, ceil_div(count_b, most))
    dtype = TYPES[conv.dtype]
    has_padding = number == 0 and conv.padding != (0, 0)
    move_in, move_out = _moves(lanes)

    @device
    def load(v: Any, t: Any, a: Any, b: Any, origin: Any, p: Any) -> None:
        first, second = t % along, t // along
        for da in range(batch_a):
            i = first + (a + da) * along
            from_i, is_there = from_inner(i, origin)
            for db in range(batch_b):
                j = second + (b + db) * across
                from_j, is_here = from_outer(j, origin)
                is_inside = is_there & is_here & (i < n_inner) & (j < n_outer)
                # Outside, element 0 is loaded: a branch would delay the next load.
                k = uint64(from_i + from_j) if is_inside else uint64(0)
                move_in(v, (da * batch_b + db) * lanes, p[number], k)
                if has_padding and not is_inside:
                    v[da * batch_b + db] = dtype(0)

    @device
    def put(tile: Any, v: Any, t: Any, a: Any, b: Any) -> None:
        first, second = t % along, t // along
        for da in range(batch_a):
            i = first + (a + da) * along
            to_i = to_inner(i)
            for db in range(batch_b):
                j = second + (b + db) * across
                to_j = to_outer(j)
                if (i < n_inner) & (j < n_outer) & (second < across):
                    move_out(tile, uint64(to_i + to_j), v, (da * batch_b + db) * lanes)

    return Part(
        load,
        put,
        batch_a * batch_b * lanes,
        (ceil_div(count_a, batch_a), ceil_div(count_b, batch_b)),
        (batch_a, batch_b),
    )


def _moves(lanes: int) -> tuple[Function, Function]:
    """`move_in(values, k, source, i)` and `move_out(target, i, values, k)`: copies of `lanes`
    neighbours."""
    if lanes == 1:

        @device
        def move_in(v: Any, k: Any, source: Any, i: Any) -> None:
            v[k] = source[i]

        @device
        def move_out(target: Any, i: Any, v: Any, k: Any) -> None:
            target[i] = v[k]

    elif lanes == 2:

        @device
        def move_in(v: Any, k: Any, source: Any, i: Any) -> None:
            v[k], v[k + 1] = load16(source, i)

        @device
        def move_out(target: Any, i: Any, v: Any, k: Any) -> None:
            store16(target, i, (v[k], v[k + 1]))

    else:

        @device
        def move_in(v: Any, k: Any, source: Any, i: Any) -> None:
            v[k], v[k + 1], v[k + 2], v[k + 3] = load16(source, i)

        @device
        def move_out(target: Any, i: Any, v: Any, k: Any) -> None:
            store16(target, i, (v[k], v[k + 1], v[k + 2], v[k + 3]))

    return move_in, move_out


def _pixels(tiling: Tiling, layout: SharedLayout) -> Part:
    """The block's pixels: whole channels of contiguous images, or any region of any images."""
    conv = tiling.conv
    if not layout.whole:
        return _part(tiling, 0, *_region_axes(tiling, layout))
    run = tiling.channels * conv.image[0] * conv.image[1]
    strides, base = conv.x.strides, wrapped(conv.x.base)
    lanes = 4 // conv.words
    steps = (run, conv.x.base, strides[0], strides[1] * tiling.channels)
    if conv.x.alignment % 16 != 0 or any(n % lanes for n in steps):
        lanes = 1
    s0, s1, n_images = wrapped(strides[0]), wrapped(strides[1]), conv.images

    @device
    def in_channels(i: Any, origin: Any) -> Any:
        return i * lanes + origin.channel * s1, True

    @device
    def to_place(i: Any) -> Any:
        return i * lanes

    @device
    def of_image(i: Any, origin: Any) -> Any:
        image = origin.image + i
        return base + image * s0, image < n_images

    @device
    def to_image(i: Any) -> Any:
        return i * run

    inner = Axis(run // lanes, in_channels, to_place)
    return _part(tiling, 0, inner, Axis(tiling.images, of_image, to_image), lanes)


def _region_axes(tiling: Tiling, layout: SharedLayout) -> tuple[Axis, Axis]:
    """Pixels of a region, zeros around the image; channels of images."""
    conv = tiling.conv
    rows, columns, channels = layout.rows, layout.columns, tiling.channels
    (height, width), n_images, n_channels = conv.image, conv.images, conv.channels
    step_y, step_x = conv.pool[0] * conv.stride[0], conv.pool[1] * conv.stride[1]
    before_y, before_x = map(wrapped, (-conv.padding[0], -conv.padding[1]))
    pitch, channel_pitch, image_pitch = layout.pitch, layout.channel_pitch, layout.image_pitch
    s0, s1, s2, s3 = map(wrapped, conv.x.strides)
    base = wrapped(conv.x.base)

    @device
    def of_pixel(i: Any, origin: Any) -> Any:
        row = origin.row * step_y + i // columns + before_y
        column = origin.column * step_x + i % columns + before_x
        # In the padding, numbers wrap around to large ones.
        return row * s2 + column * s3, (row < height) & (column < width)

    @device
    def to_pixel(i: Any) -> Any:
        return i // columns * pitch + i % columns

    @device
    def of_channel(i: Any, origin: Any) -> Any:
        channel, image = origin.channel + i % channels, origin.image + i // channels
        exists = (channel < n_channels) & (image < n_images)
        return base + (image * s0 + channel * s1), exists

    @device
    def to_channel(i: Any) -> Any:
        return i % channels * channel_pitch + i // channels * image_pitch

    plane = Axis(rows * columns, of_pixel, to_pixel)
    return plane, Axis(tiling.images * channels, of_channel, to_channel)


def _weights(tiling: Tiling, layout: SharedLayout) -> Part:
    """The block's weights: taps of channels of filters."""
    conv = tiling.conv
    kw, taps = conv.kernel[1], conv.taps
    n_filters, n_channels = conv.filters, conv.channels
    begin, pitch, base = layout.weights, layout.filter_pitch, wrapped(conv.w.base)
    s0, s1, s2, s3 = map(wrapped, conv.w.strides)

    @device
    def of_tap(i: Any, origin: Any) -> Any:
        channel, tap = origin.channel + i // taps, i % taps
        place = tap // kw * s2 + base + tap % kw * s3 + channel * s1
        return place, channel < n_channels

    @device
    def to_tap(i: Any) -> Any:
        return begin + i * pitch

    @device
    def of_filter(i: Any, origin: Any) -> Any:
        number = origin.filter + i
        return number * s0, number < n_filters

    @device
    def to_filter(i: Any) -> Any:
        return i

    inner = Axis(tiling.channels * taps, of_tap, to_tap)
    return _part(tiling, 1, inner, Axis(tiling.block_filters, of_filter, to_filter))
