"""conv2d_grad_filter, conv2d_pool_grad_filter: the gradient of a convolution's filters.

Shapes: x (N, C, H, W), g (N, O, OH, OW), extras (O, C, KH, KW) -> epilogue(dw, extras); behind a
pool g is (N, O, PH, PW), and winners (N, O, PH, PW, bytes) follow it. Any strides.

Algorithm: dw is the sum over all positions of a gradient times the patch under the filter: a
product of two matrices that are never stored. A block computes some filters and some rows of
filters, (c, kh). Piece by piece it stages lines of x, and of g unpooled, in shared memory. A thread
computes such a row for a few filters. It moves along a line; for four positions it needs few
16-byte loads for 4 * filters * KW products, which it adds to sums in registers. If there are more
threads, they divide the lines, and their sums are added in order at the end.

Launch: for a small batch one kernel, with enough blocks to fill the GPU. For a large batch blocks
divide the images too. Their sums go to the workspace, and a second kernel adds them in order and
runs the epilogue. If tiles don't fit in shared memory, a block computes an element of dw. A block
has about 128, 256 or 512 threads (filter_tiles.py). Reference: contracts/conv2d/conv2d.py.

With a pool, a gradient of zero must add nothing. Its product with x does so if x is finite. A block
that finds another x tests every gradient from then on. Not used: products of the winners alone.
They differ from filter to filter, so that each would need a load from shared memory.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, Launches, LaunchShape, factory, grid_1d
from ..core.device import TYPES, cuda, device, quad_loader, uint64
from ..core.index import at, block_index, ravel, thread_index, u32, unravel, wrapped
from ..core.integers import blocks_for, ceil_div
from ..core.sums import longest_run
from .filter_tiles import FilterTiles, filter_tiles, resident
from .geometry import Convolution, gradient_convolution
from .grad_limits import QUAD
from .pooling import unpooled
from .staging import Box, Lines, Part, elements, gradients
from .tile_kernel import Destination, TileKernel, combiner, quad_reader, tile_body, tile_launch

THREADS = 128
LEAST = 8  # positions that make a thread worthwhile
PARTS = 8  # threads that divide the partial sums of an element
TOGETHER = 32  # elements of a block that adds partial sums


@factory("conv2d_grad_filter")
@factory("conv2d_pool_grad_filter")
def grad_filter(call: Call) -> Launches:
    """One or two kernels."""
    conv = gradient_convolution(call, "w")
    n = call.outputs[0].size
    if n == 0:
        return Launches(())
    tiles = filter_tiles(conv)
    if tiles is None:
        return by_element(call, conv)
    shape = LaunchShape((tiles.ranges, tiles.tiles, 1), (tiles.threads, 1, 1))
    first = tile_launch(by_tile(call, conv, tiles), shape, resident(conv, tiles))
    if tiles.ranges == 1:
        return Launches((first,))
    return Launches((first, add_partials(call, conv, tiles.ranges)), (conv.dtype, tiles.ranges * n))


def by_tile(call: Call, conv: Convolution, tiles: FilterTiles) -> Function:
    """The body of the kernel whose threads move along lines."""
    kernel = TileKernel(
        factors=pixels(conv, tiles),
        gradients=windows(conv, tiles),
        zeros=(0, 0),
        first=first_piece(tiles),
        steps=tiles.pieces_per_block,
        all_steps=tiles.pieces,
        accumulate=make_accumulate(conv, tiles),
        store=make_store(call, conv, tiles),
        n_sums=tiles.filters * conv.kernel[1],
        shared=tiles.shared,
        threads=tiles.threads,
    )
    return tile_body(conv, kernel)


def first_piece(tiles: FilterTiles) -> Function:
    """`first()`: the number of the block's first piece."""
    per_block, alone = tiles.pieces_per_block, tiles.ranges == 1

    def first() -> Any:
        return u32(0) if alone else block_index() * per_block

    return device(first)


def pixels(conv: Convolution, tiles: FilterTiles) -> Part:
    """The pixels of a tile's channels, for a piece of the positions; zeros for the padding."""
    row_tiles, rows, kernel_h = tiles.row_tiles, tiles.rows, conv.kernel[0]
    bands, images, step = tiles.bands, tiles.images, tiles.lines * conv.stride[0]
    before_h, before_w = map(wrapped, (-conv.padding[0], -conv.padding[1]))

    def origin(where: Any) -> Any:
        tile, piece = where
        c = tile % row_tiles * rows // kernel_h
        return piece // bands * images, c, piece % bands * step + before_h, u32(before_w)

    lengths = images, tiles.channels, tiles.image_rows, tiles.image_pitch
    return elements(0, conv.x, Box(lengths, device(origin)), ravel(0, 1), True)


def windows(conv: Convolution, tiles: FilterTiles) -> Part:
    """The windows of g of a piece, for the tile's filters."""
    n_filters, n_rows = tiles.filters * tiles.groups, tiles.lines // conv.pool[0]
    row_tiles, bands, images = tiles.row_tiles, tiles.bands, tiles.images

    def origin(where: Any) -> Any:
        tile, piece = where
        o = tile // row_tiles * n_filters
        return piece // bands * images, o, piece % bands * n_rows, u32(0)

    box = Box((images, n_filters, n_rows, conv.pooled[1]), device(origin))
    return gradients(conv, box, Lines(tiles.gradients, tiles.lines, tiles.line_pitch))


def make_accumulate(conv: Convolution, tiles: FilterTiles) -> Function:
    """`accumulate` of a `TileKernel`: adds the thread's lines of a piece to its sums."""
    units, split, rows, kernel_h = tiles.units, tiles.split, tiles.rows, conv.kernel[0]
    lines, channels, flip = tiles.lines, tiles.channels, conv.flip
    image_rows, pitch, line_pitch = tiles.image_rows, tiles.image_pitch, tiles.line_pitch
    begin, filters, groups = tiles.gradients, tiles.filters, tiles.groups
    stride_h, used_h, bands, row_tiles = conv.stride[0], conv.used[0], tiles.bands, tiles.row_tiles
    n_lines, whole, rest = tiles.images * lines, conv.used[1] // QUAD, conv.used[1] % QUAD
    step = QUAD * conv.stride[1]
    line_apart = lines * line_pitch
    add_quad, add_rest = (make_accumulate_quad(conv, tiles, n) for n in (QUAD, rest))

    def accumulate(
        memory: Any, sums: Any, tile: Any, piece: Any, t: Any, has_nonfinite: Any
    ) -> None:
        unit = t % units
        group, row = unit // rows, unit % rows
        tile_row = tile % row_tiles * rows
        full_row = tile_row + row
        kh = full_row % kernel_h
        tap = kernel_h - 1 - kh if flip else kh
        c = full_row // kernel_h - tile_row // kernel_h
        left = used_h - piece % bands * lines
        line = t // units
        while line < n_lines:
            image, r = line // lines, line % lines
            plane = image * channels + c
            x = (plane * image_rows + r * stride_h + tap) * pitch
            o = (image * groups + group) * filters
            g = o * line_apart + r * line_pitch + begin
            if r < left:
                for quad in range(whole):
                    add_quad(memory, sums, x + quad * step, g, has_nonfinite)
                    g = g + QUAD
                if rest:
                    add_rest(memory, sums, x + whole * step, g, has_nonfinite)
            line = line + split

    return device(accumulate)


def make_accumulate_quad(conv: Convolution, tiles: FilterTiles, positions: int) -> Function:
    """`add(memory, sums, x, g, has_nonfinite)`: adds some adjacent positions.

    x, g: where they begin in shared memory, g for the thread's first filter.
    """
    dtype, filters = TYPES[conv.dtype], tiles.filters
    width, stride, flip = conv.kernel[1], conv.stride[1], conv.flip
    n_loads = ceil_div(max(0, positions - 1) * stride + width, QUAD)
    n_seen = n_loads * QUAD
    apart = tiles.lines * tiles.line_pitch
    read, load = quad_reader(conv.dtype, n_loads), quad_loader(conv.dtype)

    def add(memory: Any, sums: Any, x: Any, g: Any, has_nonfinite: Any) -> None:
        seen = cuda.local.array(n_seen, dtype)
        factors = cuda.local.array(QUAD, dtype)
        read(memory, x, seen)
        for o in range(filters):
            a, b, c, d = load(memory, g + o * apart)
            factors[0] = a
            factors[uint64(1)] = b
            factors[uint64(2)] = c
            factors[uint64(3)] = d
            for q in range(positions):
                for k in range(width):
                    tap = width - 1 - k if flip else k
                    product = factors[uint64(q)] * seen[uint64(q * stride + tap)]
                    if not has_nonfinite or factors[uint64(q)] != dtype(0):
                        sums[uint64(o * width + k)] += product

    return device(add)


def make_store(call: Call, conv: Convolution, tiles: FilterTiles) -> Function:
    """`store(p, memory, sums, tile, t)`: adds up the sums of a block's threads, and sends them to
    the epilogue or to the workspace."""
    units, filters, rows = tiles.units, tiles.filters, tiles.rows
    width, per_filter = conv.kernel[1], tiles.rows * conv.kernel[1]
    n_outputs = tiles.outputs
    destination = Destination(tile_locator(conv, tiles), call.fetches[0], call.settles[0])
    if tiles.ranges > 1:
        destination = destination._replace(**partial_sums(call))
    combine = combiner(conv.dtype, tiles.threads, n_outputs, tiles.split, destination)

    def store(p: Any, memory: Any, sums: Any, tile: Any, t: Any) -> None:
        cuda.syncthreads()
        unit, member = t % units, t // units
        group, row = unit // rows, unit % rows
        to = group * filters * per_filter + row * width + member * n_outputs
        for o in range(filters):
            for k in range(width):
                memory[uint64(to) + uint64(o * per_filter + k)] = sums[uint64(o * width + k)]
        cuda.syncthreads()
        combine(p, memory, tile, u32(0), t)

    return device(store)


def tile_locator(conv: Convolution, tiles: FilterTiles) -> Function:
    """`locate` of a `Destination`: elements of a tile in dw."""
    n_filters, rows, width = tiles.groups * tiles.filters, tiles.rows, conv.kernel[1]
    all_filters, all_rows = conv.filters, conv.channels * conv.kernel[0]
    row_tiles, split = tiles.row_tiles, unravel(rows, width)
    index_of = ravel(all_rows * width, width, 1)

    def locate(v: Any, tile: Any, step: Any) -> Any:
        o, row, kw = split(v)
        o, row = tile // row_tiles * n_filters + o, tile % row_tiles * rows + row
        return index_of(o, row, kw), o < all_filters and row < all_rows

    return device(locate)


def partial_sums(call: Call) -> dict[str, Function]:
    """`fetch` and `settle` of a `Destination`: the block's part of the workspace."""
    n, workspace = call.outputs[0].size, len(call.inputs) + len(call.outputs)

    def nothing(i: Any, p: Any) -> Any:
        return 0

    def settle(value: Any, fetched: Any, i: Any, p: Any) -> None:
        p[workspace][block_index() * n + i] = value

    return {"fetch": device(nothing), "settle": device(settle)}


def add_partials(call: Call, conv: Convolution, ranges: int) -> Launch:
    """The kernel that adds up the partial sums in the workspace."""
    dtype, finish, n = TYPES[conv.dtype], call.finishes[0], call.outputs[0].size
    workspace = len(call.inputs) + len(call.outputs)
    zero = dtype(0)
    parts = min(PARTS, ranges)
    share = ceil_div(ranges, parts)
    threads = TOGETHER * parts

    def body(p: Any) -> None:
        sums = cuda.shared.array(threads, dtype)
        t = thread_index()
        part = t // TOGETHER
        i = block_index() * TOGETHER + t % TOGETHER
        total = zero
        for k in range(share):
            k_th = part * share + k
            if i < n and k_th < ranges:
                total += p[workspace][uint64(k_th * n) + uint64(i)]
        sums[t] = total
        cuda.syncthreads()
        if t < TOGETHER and i < n:
            for k in range(1, parts):
                total += sums[uint64(t) + uint64(k * TOGETHER)]
            finish(total, i, p)

    return Launch(body, grid_1d(blocks_for(n, TOGETHER), threads))


def by_element(call: Call, conv: Convolution) -> Launches:
    """The kernel with a block per element of dw."""
    at_x = at(conv.x)
    gradient = unpooled(conv)
    finish = call.finishes[0]
    dtype = TYPES[conv.dtype]
    zero = dtype(0)
    n_channels, (height, width) = conv.channels, conv.image
    n_rows, n_columns = conv.kernel
    (stride_h, stride_w), (pad_h, pad_w) = conv.stride, conv.padding
    (used_h, used_w), pooled, flip = conv.used, conv.has_pool, conv.flip
    n_positions = conv.images * used_h * used_w
    threads = 1
    while threads < THREADS and threads * LEAST <= n_positions // 2:
        threads *= 2
    steps = threads.bit_length() - 1
    run_size = longest_run(n_positions)

    def body(p: Any) -> None:
        i, t = block_index(), thread_index()
        kw = i % n_columns
        kh = i // n_columns % n_rows
        filters = i // (n_rows * n_columns)
        c, o = filters % n_channels, filters // n_channels
        tap_h = n_rows - 1 - kh if flip else kh
        tap_w = n_columns - 1 - kw if flip else kw
        total, run, left = zero, zero, u32(run_size)
        k = t
        while k < n_positions:
            ow = k % used_w
            oh = k // used_w % used_h
            image = k // (used_h * used_w)
            # Rows and columns before the image wrap around to numbers above its size.
            h = oh * stride_h + tap_h - pad_h
            w = ow * stride_w + tap_w - pad_w
            value = gradient(p, image, o, oh, ow)
            if not pooled or value != zero:
                inside = h < height and w < width
                run += value * (p[0][at_x(image, c, h, w)] if inside else zero)
            left = left - 1
            if left == 0:
                total, run, left = dtype(total + run), zero, u32(run_size)
            k = k + threads
        sums = cuda.shared.array(threads, dtype)
        sums[t] = total + run
        cuda.syncthreads()
        for step in range(steps):
            half = u32(threads >> (step + 1))
            if t < half:
                sums[t] += sums[t + half]
            cuda.syncthreads()
        if t == 0:
            finish(sums[0], i, p)

    n = call.outputs[0].size
    return Launches((Launch(body, grid_1d(n, threads)),) if n else ())
