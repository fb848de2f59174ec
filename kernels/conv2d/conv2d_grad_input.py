"""conv2d_grad_input, conv2d_pool_grad_input: the gradient of a convolution's input.

Shapes: w (O, C, KH, KW), g (N, O, OH, OW), extras (N, C, H, W) -> epilogue(dx, extras); behind a
pool g is (N, O, PH, PW), and winners (N, O, PH, PW, bytes) follow it. Any strides.

Algorithm: every element of dx is a sum over the positions whose patch contains it. A block computes
some images, rows and channels. It stages weights, and g unpooled, of a few filters at a time in
shared memory. A thread computes a row, or a segment of one, in up to four channels. For each filter
and row of it, it loads the line of g there and KW weights of each channel, and adds KW products for
every pixel and channel to sums in registers. Columns without a position, at the edges or between
those of a stride, cost nothing if a thread has a whole row: the compiler knows them. Neighbours in
a warp differ in image or channel, so they skip the same rows.

Launch: for a small batch the threads of a block divide the filters too, and their sums are added in
order at the end. If tiles don't fit in shared memory, a thread computes an element of dx. A block
has about 128, 256 or 512 threads (input_tiles.py). Reference: contracts/conv2d/conv2d.py.

With a pool, a gradient of zero must add nothing. Its product with w does so if w is finite. A block
that finds another w tests every gradient from then on. Products of the winners alone aren't used:
see conv2d_grad_filter.py. With rows of g as close as possible, rows that threads read together were
in the same banks; where there is room they are an odd number of 16-byte groups apart.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, Launches, LaunchShape, factory, grid_1d
from ..core.device import TYPES, cuda, device, int64, uint64
from ..core.index import at, block_index, grid_index, ravel, u32
from ..core.integers import blocks_for, ceil_div
from .geometry import Convolution, gradient_convolution
from .grad_limits import QUAD
from .input_tiles import InputTiles, input_tiles, resident
from .pooling import unpooled
from .staging import Box, Lines, Part, elements, gradients
from .tile_kernel import Destination, TileKernel, combiner, quad_reader, tile_body, tile_launch

THREADS = 128


@factory("conv2d_grad_input")
@factory("conv2d_pool_grad_input")
def grad_input(call: Call) -> Launches:
    """One kernel."""
    conv = gradient_convolution(call, "x")
    if call.outputs[0].size == 0:
        return Launches(())
    tiles = input_tiles(conv)
    if tiles is None:
        return gather(call, conv)
    grid = (tiles.image_groups * tiles.bands, tiles.channel_tiles, 1)
    shape = LaunchShape(grid, (tiles.threads, 1, 1))
    launch = tile_launch(by_tile(call, conv, tiles), shape, resident(conv, tiles))
    return Launches((launch,))


def by_tile(call: Call, conv: Convolution, tiles: InputTiles) -> Function:
    """The body of the kernel whose threads compute rows."""
    first_row = first_window_row(conv, tiles)

    def first() -> Any:
        return u32(0)

    # There are zeros between and around positions, if threads read them.
    n_zeros = tiles.images * tiles.image_pitch if tiles.segments > 1 else 0
    kernel = TileKernel(
        factors=weights(conv, tiles),
        gradients=windows(conv, tiles, first_row),
        zeros=(tiles.gradients, n_zeros),
        first=device(first),
        steps=tiles.steps,
        all_steps=tiles.steps,
        accumulate=make_accumulate(conv, tiles, first_row),
        store=make_store(call, conv, tiles),
        n_sums=tiles.pixels * tiles.channels,
        shared=tiles.shared,
        threads=tiles.threads,
    )
    return tile_body(conv, kernel)


def first_window_row(conv: Convolution, tiles: InputTiles) -> Function:
    """`first()`: the first row of windows in the block's shared memory."""
    rows, bands = tiles.rows, tiles.bands
    reach, stride, pool = conv.kernel[0] - 1, conv.stride[0], conv.pool[0]
    pad = conv.padding[0]

    def first() -> Any:
        if bands == 1:
            return u32(0)
        begin = block_index() % bands * rows + pad
        if begin <= reach:
            return u32(0)
        return (begin - reach + (stride - 1)) // stride // pool

    return device(first)


def weights(conv: Convolution, tiles: InputTiles) -> Part:
    """The weights of a step's filters."""
    kernel_h, filters = conv.kernel[0], tiles.filters
    channels, groups, row = tiles.channels, tiles.groups, tiles.row_weights
    n_channels = groups * channels

    def origin(where: Any) -> Any:
        tile, step = where
        return step * filters, tile * n_channels, u32(0), u32(0)

    box = Box((filters, n_channels, *conv.kernel), device(origin), whole=2)
    coordinates = box.coordinates()

    def place(j: Any, i: Any) -> Any:
        o, c, kh, kw = coordinates(j, i)
        to = ((o * kernel_h + kh) * groups + c // channels) * row
        return to + kw * channels + c % channels

    return elements(0, conv.w, box, device(place), True)


def windows(conv: Convolution, tiles: InputTiles, first_row: Function) -> Part:
    """The windows of g of a step's filters that the block's rows need."""
    filters, images, bands = tiles.filters, tiles.images, tiles.bands

    def origin(where: Any) -> Any:
        _, step = where
        return block_index() // bands * images, step * filters, first_row(), u32(0)

    lines, pitch = tiles.gradient_rows, tiles.pitch
    gap = tiles.image_pitch - filters * lines * pitch
    box = Box((images, filters, tiles.window_rows, conv.pooled[1]), device(origin))
    lines_of_g = Lines(tiles.gradients, lines, pitch, gap, tiles.border, conv.stride[1])
    return gradients(conv, box, lines_of_g)


def make_accumulate(conv: Convolution, tiles: InputTiles, first_row: Function) -> Function:
    """`accumulate` of a `TileKernel`: adds the filters of a step to the thread's sums."""
    members, segments, rows, groups = tiles.members, tiles.segments, tiles.rows, tiles.groups
    split, filters, pixels, bands = tiles.split, tiles.filters, tiles.pixels, tiles.bands
    kernel_h, flip, stride, pad = conv.kernel[0], conv.flip, conv.stride[0], conv.padding[0]
    used, pool, all_filters = conv.used[0], conv.pool[0], conv.filters
    begin, pitch, image_pitch = tiles.gradients, tiles.pitch, tiles.image_pitch
    filter_pitch, row_weights = tiles.gradient_rows * tiles.pitch, tiles.row_weights
    add_line = make_accumulate_line(conv, tiles)

    def accumulate(
        memory: Any, sums: Any, tile: Any, step: Any, t: Any, has_nonfinite: Any
    ) -> None:
        member, rest = t % members, t // members
        segment, rest = rest % segments, rest // segments
        h, first = rest % rows, rest // rows
        image, group = member // groups, member % groups
        h = h + block_index() % bands * rows + pad
        above = first_row() * pool
        g = begin + image * image_pitch + segment * pixels
        left = min(filters, int64(all_filters) - int64(step) * filters)
        for o in range(int64(first), left, split):
            line = g + o * filter_pitch
            for kh in range(kernel_h):
                # Rows before the first position wrap around to numbers above all positions.
                row = h - (kernel_h - 1 - kh if flip else kh)
                oh = row // stride
                if oh < used and oh * stride == row:
                    weights = ((o * kernel_h + kh) * groups + group) * row_weights
                    begin_of_line = line + (oh - above) * pitch
                    add_line(memory, sums, begin_of_line, weights, has_nonfinite)

    return device(accumulate)


def make_accumulate_line(conv: Convolution, tiles: InputTiles) -> Function:
    """`add(memory, sums, g, w, has_nonfinite)`: adds the products of a line of g to the thread's
    pixels.

    g, w: where the line and its weights begin in shared memory.
    """
    dtype, border, width = TYPES[conv.dtype], tiles.border, conv.kernel[1]
    end = (conv.used[1] - 1) * conv.stride[1] + border + 1
    n_quads, n_weights = ceil_div(tiles.pixels + width - 1, QUAD), tiles.row_weights // QUAD
    n_seen, n_factors = n_quads * QUAD, n_weights * QUAD
    # If a thread has a whole row, it reads the quads with positions alone.
    limits = (border, end) if tiles.segments == 1 else (0, n_seen)
    read_line = quad_reader(conv.dtype, n_quads, *limits)
    read_weights = quad_reader(conv.dtype, n_weights)
    add_taps = make_accumulate_taps(conv, tiles, width)

    def add(memory: Any, sums: Any, g: Any, w: Any, has_nonfinite: Any) -> None:
        seen = cuda.local.array(n_seen, dtype)
        factors = cuda.local.array(n_factors, dtype)
        read_line(memory, g, seen)
        read_weights(memory, w, factors)
        add_taps(sums, seen, factors, has_nonfinite)

    return device(add)


def make_accumulate_taps(conv: Convolution, tiles: InputTiles, taps: int) -> Function:
    """`add(sums, seen, factors, has_nonfinite)`: adds the products of the first `taps` taps of a
    filter's row. Each tap is a function of its own: to the compiler its pixels are constants.
    """
    zero = TYPES[conv.dtype](0)
    if taps == 0:

        def nothing(sums: Any, seen: Any, factors: Any, has_nonfinite: Any) -> None:
            return

        return device(nothing)
    before = make_accumulate_taps(conv, tiles, taps - 1)
    tap, pixels, channels = taps - 1, tiles.pixels, tiles.channels
    shift = tap if conv.flip else conv.kernel[1] - taps
    begin, end, step = 0, pixels, 1
    if tiles.segments == 1:  # other pixels have no position
        step = conv.stride[1]
        begin = tiles.border - shift
        begin += -(min(begin, 0) // step) * step
        end = min(pixels, (conv.used[1] - 1) * step + tiles.border - shift + 1)

    def add(sums: Any, seen: Any, factors: Any, has_nonfinite: Any) -> None:
        before(sums, seen, factors, has_nonfinite)
        for q in range(begin, end, step):
            value = seen[uint64(q + shift)]
            if not has_nonfinite or value != zero:
                for c in range(channels):
                    sums[uint64(c * pixels + q)] += value * factors[uint64(tap * channels + c)]

    return device(add)


def make_store(call: Call, conv: Convolution, tiles: InputTiles) -> Function:
    """`store(p, memory, sums, tile, t)`: adds up the sums of a block's threads, one channel at a
    time, and sends them to the epilogue."""
    members, segments, rows = tiles.members, tiles.segments, tiles.rows
    pixels, channels, plane = tiles.pixels, tiles.channels, tiles.plane
    row, n_outputs = segments * pixels, members * plane
    destination = Destination(plane_locator(conv, tiles), call.fetches[0], call.settles[0])
    combine = combiner(conv.dtype, tiles.threads, n_outputs, tiles.split, destination)

    def store(p: Any, memory: Any, sums: Any, tile: Any, t: Any) -> None:
        member, rest = t % members, t // members
        segment, rest = rest % segments, rest // segments
        h, part = rest % rows, rest // rows
        to = member * plane + h * row + segment * pixels + part * n_outputs
        channel = u32(0)
        while channel < channels:
            cuda.syncthreads()
            for c in range(channels):  # registers can't be indexed by a variable
                if c == channel:
                    for q in range(pixels):
                        memory[uint64(to) + uint64(q)] = sums[uint64(c * pixels + q)]
            cuda.syncthreads()
            combine(p, memory, tile, channel, t)
            channel = channel + 1

    return device(store)


def plane_locator(conv: Convolution, tiles: InputTiles) -> Function:
    """`locate` of a `Destination`: elements of a tile in dx, of one channel of each thread."""
    row, plane = tiles.segments * tiles.pixels, tiles.plane
    groups, channels = tiles.groups, tiles.channels
    rows, bands, images = tiles.rows, tiles.bands, tiles.images
    n_images, all_channels, (height, width) = conv.images, conv.channels, conv.image
    place = ravel(all_channels * height * width, height * width, width, 1)

    def locate(v: Any, tile: Any, channel: Any) -> Any:
        member, rest = v // plane, v % plane
        r, w = rest // row, rest % row
        c = (tile * groups + member % groups) * channels + channel
        n = block_index() // bands * images + member // groups
        h = block_index() % bands * rows + r
        inside = r < rows and h < height and w < width
        return place(n, c, h, w), inside and c < all_channels and n < n_images

    return device(locate)


def gather(call: Call, conv: Convolution) -> Launches:
    """The kernel with a thread per element of dx."""
    at_w = at(conv.w)
    gradient = unpooled(conv)
    finish = call.finishes[0]
    zero = TYPES[conv.dtype](0)
    n = call.outputs[0].size
    n_channels, (height, width) = conv.channels, conv.image
    n_filters, (n_rows, n_columns) = conv.filters, conv.kernel
    (stride_h, stride_w), (pad_h, pad_w) = conv.stride, conv.padding
    (used_h, used_w), pooled, flip = conv.used, conv.has_pool, conv.flip

    def body(p: Any) -> None:
        i = grid_index()
        if i < n:
            w = i % width
            h = i // width % height
            plane = i // (height * width)
            c, image = plane % n_channels, plane // n_channels
            total = zero
            for o in range(n_filters):
                for kh in range(n_rows):
                    # Numbers below zero wrap around to numbers above all positions.
                    row = h + pad_h - (n_rows - 1 - kh if flip else kh)
                    oh = row // stride_h
                    if oh < used_h and oh * stride_h == row:
                        for kw in range(n_columns):
                            tap = u32(n_columns - 1 - kw if flip else kw)
                            column = w + pad_w - tap
                            ow = column // stride_w
                            if ow < used_w and ow * stride_w == column:
                                value = gradient(p, image, o, oh, ow)
                                if not pooled or value != zero:
                                    total += p[0][at_w(o, c, kh, kw)] * value
            finish(total, i, p)

    threads = min(THREADS, max(1, n))
    return Launches((Launch(body, grid_1d(blocks_for(n, threads), threads)),))
