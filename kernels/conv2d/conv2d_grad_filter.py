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
runs the epilogue. If tiles don't fit in shared memory, a block computes an element of dw.

With a pool, a gradient of zero must add nothing. Its product with x does so if x is finite. A block
that finds another x tests every gradient from then on.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Call, Function, Launch, Launches, LaunchShape, factory, grid_1d
from ..core.device import TYPES, cuda, device, uint32, uint64
from ..core.integers import blocks_for, ceil_div
from ..core.sums import longest_run
from .filter_staging import gradient_fetcher, gradient_putter, image_fetcher, put_pixel
from .filter_tiles import FilterTiles, filter_tiles
from .grad import QUAD, Sizes, locator, sizes, unpooled
from .grad_staging import Staged, TileKernel, combiner, quad_loader, tile_body

THREADS = 128
LEAST = 8  # positions that make a thread worthwhile
PARTS = 8  # threads that divide the partial sums of an element
TOGETHER = 32  # elements of a block that adds partial sums


@factory("conv2d_grad_filter")
@factory("conv2d_pool_grad_filter")
def grad_filter(call: Call) -> Launches:
    """One or two kernels."""
    x, g = call.inputs[:2]
    s = sizes(call, x, call.outputs[0], g)
    n = call.outputs[0].size
    if n == 0:
        return Launches(())
    tiles = filter_tiles(s)
    if tiles is None:
        return by_element(call, s)
    first = Launch(
        by_tile(call, s, tiles), LaunchShape((tiles.ranges, tiles.tiles, 1), (tiles.threads, 1, 1))
    )
    if tiles.ranges == 1:
        return Launches((first,))
    return Launches((first, add_partials(call, s, tiles.ranges)), (s.dtype, tiles.ranges * n))


def by_tile(call: Call, s: Sizes, tiles: FilterTiles) -> Function:
    """The body of the kernel whose threads move along lines."""
    x = Staged(tiles.gradients, image_fetcher(call, s, tiles), device(put_pixel))
    g = Staged(tiles.windows, gradient_fetcher(call, s, tiles), gradient_putter(s, tiles))
    pieces, per_block = tiles.pieces, tiles.pieces_per_block

    def nothing(memory: Any, t: Any) -> None:
        return

    def span() -> Any:
        first = uint32(uint32(cuda.blockIdx.x) * uint32(per_block))
        return first, min(uint32(first + uint32(per_block)), uint32(pieces))

    kernel = TileKernel(
        device(nothing),
        per_block > 1,
        device(span),
        make_accumulate(s, tiles),
        make_store(call, s, tiles),
        tiles.filters * s.kernel[1],
        tiles.shared,
        tiles.threads,
    )
    return tile_body(s, kernel, x, g)


def make_accumulate(s: Sizes, tiles: FilterTiles) -> Function:
    """`accumulate` of a `TileKernel`: adds the thread's lines of a piece to its sums."""
    units, split, rows, kernel_h = tiles.units, tiles.split, tiles.rows, s.kernel[0]
    lines, channels, flip = tiles.lines, tiles.channels, s.flip
    image_rows, pitch, line_pitch = tiles.image_rows, tiles.image_pitch, tiles.line_pitch
    begin, filters, groups = tiles.gradients, tiles.filters, tiles.groups
    stride_h, used_h, bands, row_tiles = s.stride[0], s.used[0], tiles.bands, tiles.row_tiles
    n_lines, whole, rest = tiles.images * lines, s.used[1] // QUAD, s.used[1] % QUAD
    step = QUAD * s.stride[1]
    line_apart = lines * line_pitch
    add_quad, add_rest = make_accumulate_quad(s, tiles, QUAD), make_accumulate_quad(s, tiles, rest)

    def accumulate(
        memory: Any, sums: Any, tile: Any, piece: Any, t: Any, has_nonfinite: Any
    ) -> None:
        unit = uint32(t % uint32(units))
        group, row = uint32(unit // uint32(rows)), uint32(unit % uint32(rows))
        tile_row = uint32(uint32(tile % uint32(row_tiles)) * uint32(rows))
        full_row = uint32(tile_row + row)
        kh = uint32(full_row % uint32(kernel_h))
        tap = uint32(uint32(kernel_h - 1) - kh) if flip else kh
        c = uint32(full_row // uint32(kernel_h)) - uint32(tile_row // uint32(kernel_h))
        left = uint32(used_h) - uint32(uint32(piece % uint32(bands)) * uint32(lines))
        line = uint32(t // uint32(units))
        while line < n_lines:
            image, r = uint32(line // uint32(lines)), uint32(line % uint32(lines))
            plane = uint32(uint32(image * uint32(channels)) + uint32(c))
            x = uint32(uint32(plane * uint32(image_rows)) + uint32(r * uint32(stride_h)))
            x = uint32(uint32(x + tap) * uint32(pitch))
            o = uint32(uint32(uint32(image * uint32(groups)) + group) * uint32(filters))
            g = uint32(uint32(o * uint32(line_apart)) + uint32(r * uint32(line_pitch)))
            g = uint32(g + uint32(begin))
            if r < uint32(left):
                for quad in range(whole):
                    add_quad(memory, sums, uint32(x + uint32(quad * step)), g, has_nonfinite)
                    g = uint32(g + uint32(QUAD))
                if rest:
                    add_rest(memory, sums, uint32(x + uint32(whole * step)), g, has_nonfinite)
            line = uint32(line + uint32(split))

    return device(accumulate)


def make_accumulate_quad(s: Sizes, tiles: FilterTiles, positions: int) -> Function:
    """`add(memory, sums, x, g, has_nonfinite)`: adds some adjacent positions.

    x, g: where they begin in shared memory, g for the thread's first filter.
    """
    dtype, load = TYPES[s.dtype], quad_loader(s.dtype)
    filters, width, stride, flip = tiles.filters, s.kernel[1], s.stride[1], s.flip
    n_loads = ceil_div(max(0, positions - 1) * stride + width, QUAD)
    n_seen = n_loads * QUAD
    apart = tiles.lines * tiles.line_pitch

    def add(memory: Any, sums: Any, x: Any, g: Any, has_nonfinite: Any) -> None:
        seen = cuda.local.array(n_seen, dtype)
        factors = cuda.local.array(QUAD, dtype)
        for k in range(n_loads):
            a, b, c, d = load(memory, uint32(x + uint32(k * QUAD)))
            seen[uint64(k * QUAD)] = a
            seen[uint64(k * QUAD + 1)] = b
            seen[uint64(k * QUAD + 2)] = c
            seen[uint64(k * QUAD + 3)] = d
        for o in range(filters):
            a, b, c, d = load(memory, uint32(g + uint32(o * apart)))
            factors[uint64(0)] = a
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


def make_store(call: Call, s: Sizes, tiles: FilterTiles) -> Function:
    """`store(p, memory, sums, tile, t)`: adds up the sums of a block's threads, and sends them to
    the epilogue or to the workspace."""
    finish, units, filters, rows = call.finishes[0], tiles.units, tiles.filters, tiles.rows
    width, row_tiles, groups = s.kernel[1], tiles.row_tiles, tiles.groups
    all_filters, all_rows, n_outputs = s.o, s.c * s.kernel[0], tiles.outputs
    partial, n = tiles.ranges > 1, call.outputs[0].size
    workspace = len(call.inputs) + len(call.outputs)
    place = rows * width

    def emit(p: Any, value: Any, v: Any, tile: Any, step: Any) -> None:
        o = uint32(v // uint32(place))
        o = uint32(uint32(uint32(tile // uint32(row_tiles)) * uint32(groups * filters)) + o)
        row = uint32(uint32(v % uint32(place)) // uint32(width))
        row = uint32(uint32(uint32(tile % uint32(row_tiles)) * uint32(rows)) + row)
        if o < all_filters and row < all_rows:
            i = uint32(uint32(o * uint32(all_rows)) + row)
            i = uint32(uint32(i * uint32(width)) + uint32(v % uint32(width)))
            if partial:
                block = uint32(uint32(cuda.blockIdx.x) * uint32(n))
                p[workspace][uint64(block + i)] = value
            else:
                finish(value, i, p)

    combine = combiner(s.dtype, tiles.threads, n_outputs, tiles.split, device(emit))

    def store(p: Any, memory: Any, sums: Any, tile: Any, t: Any) -> None:
        cuda.syncthreads()
        unit, member = uint32(t % uint32(units)), uint32(t // uint32(units))
        group, row = uint32(unit // uint32(rows)), uint32(unit % uint32(rows))
        to = uint32(uint32(group * uint32(filters * place)) + uint32(row * uint32(width)))
        to = uint32(to + uint32(member * uint32(n_outputs)))
        for o in range(filters):
            for k in range(width):
                memory[uint64(to + uint32(o * place + k))] = sums[uint64(o * width + k)]
        cuda.syncthreads()
        combine(p, memory, tile, uint32(0), t)

    return device(store)


def add_partials(call: Call, s: Sizes, ranges: int) -> Launch:
    """The kernel that adds up the partial sums in the workspace."""
    dtype, finish, n = TYPES[s.dtype], call.finishes[0], call.outputs[0].size
    workspace = len(call.inputs) + len(call.outputs)
    zero = dtype(0)
    parts = min(PARTS, ranges)
    share = ceil_div(ranges, parts)
    threads = TOGETHER * parts

    def body(p: Any) -> None:
        sums = cuda.shared.array(threads, dtype)
        t = uint32(cuda.threadIdx.x)
        part = uint32(t // uint32(TOGETHER))
        i = uint32(uint32(cuda.blockIdx.x) * uint32(TOGETHER)) + uint32(t % uint32(TOGETHER))
        total = zero
        for k in range(share):
            k_th = uint32(uint32(part * uint32(share)) + uint32(k))
            if i < n and k_th < ranges:
                total += p[workspace][uint64(uint32(k_th * uint32(n)) + i)]
        sums[uint64(t)] = total
        cuda.syncthreads()
        if t < TOGETHER and i < n:
            for k in range(1, parts):
                total += sums[uint64(t + uint32(k * TOGETHER))]
            finish(total, uint32(i), p)

    return Launch(body, grid_1d(blocks_for(n, TOGETHER), threads))


def by_element(call: Call, s: Sizes) -> Launches:
    """The kernel with a block per element of dw."""
    at_x = locator(call.inputs[0])
    gradient = unpooled(s, call.inputs[1], call.inputs[2] if s.pooled else None, 1)
    finish = call.finishes[0]
    dtype = TYPES[s.dtype]
    zero = dtype(0)
    n_channels, (height, width) = s.c, s.image
    n_rows, n_columns = s.kernel
    (stride_h, stride_w), (pad_h, pad_w) = s.stride, s.padding
    (used_h, used_w), pooled, flip = s.used, s.pooled, s.flip
    n_positions = s.n * used_h * used_w
    threads = 1
    while threads < THREADS and threads * LEAST <= n_positions // 2:
        threads *= 2
    steps = threads.bit_length() - 1
    run_size = longest_run(n_positions)

    def body(p: Any) -> None:
        i, t = uint32(cuda.blockIdx.x), uint32(cuda.threadIdx.x)
        kw = uint32(i % uint32(n_columns))
        kh = uint32(uint32(i // uint32(n_columns)) % uint32(n_rows))
        filters = uint32(i // uint32(n_rows * n_columns))
        c, o = uint32(filters % uint32(n_channels)), uint32(filters // uint32(n_channels))
        tap_h = uint32(uint32(n_rows - 1) - kh) if flip else kh
        tap_w = uint32(uint32(n_columns - 1) - kw) if flip else kw
        total, run, left = zero, zero, uint32(run_size)
        k = t
        while k < n_positions:
            ow = uint32(k % uint32(used_w))
            oh = uint32(uint32(k // uint32(used_w)) % uint32(used_h))
            image = uint32(k // uint32(used_h * used_w))
            # Rows and columns before the image wrap around to numbers above its size.
            h = uint32(uint32(oh * uint32(stride_h)) + tap_h - uint32(pad_h))
            w = uint32(uint32(ow * uint32(stride_w)) + tap_w - uint32(pad_w))
            value = gradient(p, image, o, oh, ow)
            if not pooled or value != zero:
                inside = h < height and w < width
                run += value * (p[0][uint64(at_x(image, c, h, w))] if inside else zero)
            left = uint32(left - uint32(1))
            if left == uint32(0):
                total, run, left = dtype(total + run), zero, uint32(run_size)
            k = uint32(k + uint32(threads))
        sums = cuda.shared.array(threads, dtype)
        sums[uint64(t)] = total + run
        cuda.syncthreads()
        for step in range(steps):
            half = uint32(threads >> (step + 1))
            if t < half:
                sums[uint64(t)] += sums[uint64(t + half)]
            cuda.syncthreads()
        if t == 0:
            finish(sums[uint64(0)], i, p)

    n = call.outputs[0].size
    return Launches((Launch(body, grid_1d(n, threads)),) if n else ())
