"""gemm where arithmetic counts: tiles in shared memory, blocks of the result in registers.

Shapes: a (m, k), b (k, n), extras (m, n) -> (m, n), any strides.

Algorithm: a block computes a tile of the result, DEPTH terms at a time. While it multiplies one
pair of tiles in shared memory, the next ones are on their way to registers; two buffers, so one
barrier per DEPTH terms. A thread has `rows` x `columns` elements: quads of neighbours, half a tile
apart, so that a warp's 16-byte accesses to shared memory meet no bank twice. A term costs
rows / 4 + columns / 4 of those accesses for rows * columns multiply-adds.

Where tiles are too few for the multiprocessors, k is cut in `parts`, multiples of DEPTH: each block
stores its part's sums to the workspace, and a second kernel adds them in order and runs the
epilogue.

Launch: one block per tile and part, of row_threads * column_threads threads; then 256 threads a
block, one for every element or 16 bytes of elements. All elements add their terms in the same
order: that of k within a part, then parts in order.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from ..core.call import Call, Function, Launch, Launches, LaunchShape, grid_1d
from ..core.device import TYPES, cuda, device, np, shared_array, uint32, uint64
from ..core.integers import blocks_for, ceil_div
from .operands import (
    QUAD,
    Problem,
    Sink,
    block_results,
    epilogue_sink,
    problem,
    quad_loader,
    resident_blocks,
    tile_place,
)
from .stage import Stage, keep_quad, quad_storer, stager

REGISTERS = 128  # of a thread, at most so many
DEPTH = 8  # terms of a tile
PAD = 4  # elements between the terms of a tile, so that transposing stores meet few banks twice
THREADS = 256  # of the kernel that adds parts


class Tiling(NamedTuple):
    """How a product is cut.

    rows, columns: of a thread's part of the result, multiples of four. row_threads,
    column_threads: of a block. parts: of k.
    """

    rows: int
    columns: int
    row_threads: int
    column_threads: int
    parts: int = 1

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.row_threads * self.column_threads

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and columns of a block's part of the result."""
        return self.row_threads * self.rows, self.column_threads * self.columns

    def tiles(self, shape: Problem) -> tuple[int, int]:
        """Tiles along n and m."""
        return ceil_div(shape.n, self.tile[1]), ceil_div(shape.m, self.tile[0])

    def terms(self, shape: Problem) -> int:
        """Of a part of k; the last may have fewer."""
        return ceil_div(shape.k, self.parts * DEPTH) * DEPTH


def tiled_gemm(call: Call, tiling: Tiling) -> Launches:
    """One kernel, or two with the sums of parts in between."""
    shape = problem(call)
    grid = LaunchShape((prod(tiling.tiles(shape)), 1, tiling.parts), (tiling.threads, 1, 1))
    resident = resident_blocks(tiling.threads, REGISTERS)
    if tiling.parts == 1:
        body = _product(call, shape, tiling, epilogue_sink(call, shape, QUAD))
        return Launches((Launch(body, grid, resident=resident),))
    number = len(call.inputs) + len(call.outputs)
    body = _product(call, shape, tiling, partial_sink(shape, number, QUAD))
    product = Launch(body, grid, resident=resident)
    workspace = (shape.dtype, tiling.parts * shape.m * shape.n)
    return Launches((product, added_parts(call, shape, tiling.parts)), workspace)


def _product(call: Call, shape: Problem, tiling: Tiling, sink: Sink) -> Function:
    """The body of the kernel that multiplies; the block's z is the number of its part of k."""
    kind = TYPES[shape.dtype]
    (tile_rows, tile_columns), threads = tiling.tile, tiling.threads
    stage_a = Stage(tile_rows, DEPTH, tile_rows + PAD, 0, threads)
    stage_b = Stage(tile_columns, DEPTH, tile_columns + PAD, 0, threads)
    load_a, put_a = stager(call.inputs[0], 0, stage_a)
    load_b, put_b = stager(call.inputs[1], 1, stage_b)
    across = np.uint32(tiling.column_threads)
    terms, k = np.uint32(tiling.terms(shape)), np.uint32(shape.k)
    buffer_a, buffer_b = np.uint32(DEPTH * stage_a.across), np.uint32(DEPTH * stage_b.across)
    n_shared_a, n_shared_b = 2 * int(buffer_a), 2 * int(buffer_b)
    n_a, n_b, n_sums = QUAD * stage_a.quads, QUAD * stage_b.quads, tiling.rows * tiling.columns
    multiply, finish = _multiplier(shape, tiling), _finisher(shape, tiling, sink)
    corner = tile_place(tiling.tile, tiling.tiles(shape)[0])
    zero = kind(0)

    def body(p: Any) -> None:
        tiles_a = shared_array(n_shared_a, kind)
        tiles_b = shared_array(n_shared_b, kind)
        next_a = cuda.local.array(n_a, kind)
        next_b = cuda.local.array(n_b, kind)
        sums = cuda.local.array(n_sums, kind)
        for i in range(n_sums):
            sums[i] = zero
        thread = uint32(cuda.threadIdx.x)
        thread_row, thread_column = uint32(thread // across), uint32(thread % across)
        row, column = corner()
        term = uint32(uint32(cuda.blockIdx.z) * terms)
        end = min(uint32(term + terms), k)
        begin_a, begin_b = uint32(0), uint32(0)
        if term < end:
            load_a(p, row, term, next_a)
            load_b(p, column, term, next_b)
            put_a(tiles_a, begin_a, next_a)
            put_b(tiles_b, begin_b, next_b)
        cuda.syncthreads()
        while term < end:
            term = uint32(term + uint32(DEPTH))
            if term < end:
                load_a(p, row, term, next_a)
                load_b(p, column, term, next_b)
            multiply(tiles_a, begin_a, thread_row, tiles_b, begin_b, thread_column, sums)
            begin_a, begin_b = uint32(buffer_a - begin_a), uint32(buffer_b - begin_b)
            if term < end:
                put_a(tiles_a, begin_a, next_a)
                put_b(tiles_b, begin_b, next_b)
            cuda.syncthreads()
        finish(sums, row, thread_row, column, thread_column, p)

    return body


def _multiplier(shape: Problem, tiling: Tiling) -> Function:
    """`multiply(tiles_a, begin_a, thread_row, tiles_b, begin_b, thread_column, sums)`: a pair of
    tiles in shared memory, added to a thread's sums."""
    kind, load = TYPES[shape.dtype], quad_loader(shape.dtype)
    rows, columns = tiling.rows, tiling.columns
    row_step, column_step = QUAD * tiling.row_threads, QUAD * tiling.column_threads
    across_a, across_b = tiling.tile[0] + PAD, tiling.tile[1] + PAD
    n_x, n_y, keep = 2 * rows, 2 * columns, device(keep_quad)

    @device
    def multiply(
        tiles_a: Any,
        begin_a: Any,
        thread_row: Any,
        tiles_b: Any,
        begin_b: Any,
        thread_column: Any,
        sums: Any,
    ) -> None:
        # Two terms at a time: the second one's loads run while the first one's products do.
        x = cuda.local.array(n_x, kind)
        y = cuda.local.array(n_y, kind)
        at_a = uint32(begin_a + uint32(thread_row * uint32(QUAD)))
        at_b = uint32(begin_b + uint32(thread_column * uint32(QUAD)))
        for term in range(0, DEPTH, 2):
            for u in range(2):
                for r in range(0, rows, QUAD):
                    i = uint32((term + u) * across_a + r // QUAD * row_step)
                    four = load(tiles_a, uint64(uint32(at_a + i)))
                    keep(x, u * rows + r, four)
                for c in range(0, columns, QUAD):
                    i = uint32((term + u) * across_b + c // QUAD * column_step)
                    four = load(tiles_b, uint64(uint32(at_b + i)))
                    keep(y, u * columns + c, four)
            for u in range(2):
                for r in range(rows):
                    for c in range(columns):
                        sums[r * columns + c] += x[u * rows + r] * y[u * columns + c]

    return multiply


def _finisher(shape: Problem, tiling: Tiling, sink: Sink) -> Function:
    """`finish(sums, row, thread_row, column, thread_column, p)`: a thread's results to the sink,
    four by four."""
    kind = TYPES[shape.dtype]
    rows, columns = tiling.rows, tiling.columns
    row_step, column_step = QUAD * tiling.row_threads, QUAD * tiling.column_threads
    fetch, settle = block_results(shape, sink, QUAD, QUAD)
    size = QUAD * QUAD

    @device
    def finish(
        sums: Any, row: Any, thread_row: Any, column: Any, thread_column: Any, p: Any
    ) -> None:
        values = cuda.local.array(size, kind)
        first_row = uint32(row + uint32(thread_row * uint32(QUAD)))
        first_column = uint32(column + uint32(thread_column * uint32(QUAD)))
        for r in range(0, rows, QUAD):
            for c in range(0, columns, QUAD):
                for i in range(size):
                    values[i] = sums[(r + i // QUAD) * columns + c + i % QUAD]
                down = uint32(first_row + uint32(r // QUAD * row_step))
                along = uint32(first_column + uint32(c // QUAD * column_step))
                settle(values, fetch(down, along, p), down, along, p)

    return finish


def partial_sink(shape: Problem, number: int, columns: int) -> Sink:
    """To the workspace, which is operand `number`: the block's part of k, then m, then n; by four
    where a thread has as many neighbours."""
    size, store = np.uint32(shape.m * shape.n), quad_storer(shape.dtype)

    @device
    def fetch(i: Any, p: Any) -> Any:
        return (i,)

    if shape.n % QUAD == 0 and columns % QUAD == 0:

        @device
        def settle(values: Any, fetched: Any, i: Any, p: Any) -> None:
            store(p[number], uint32(uint32(uint32(cuda.blockIdx.z) * size) + i), values)

        return Sink(fetch, settle, QUAD)

    @device
    def settle_one(value: Any, fetched: Any, i: Any, p: Any) -> None:
        p[number][uint64(uint32(uint32(uint32(cuda.blockIdx.z) * size) + i))] = value

    return Sink(fetch, settle_one, 1)


def added_parts(call: Call, shape: Problem, parts: int) -> Launch:
    """The kernel that adds the workspace's parts, in order, and runs the epilogue."""
    size, number = shape.m * shape.n, len(call.inputs) + len(call.outputs)
    fetch, settle, limit = call.fetches[0], call.settles[0], np.uint32(size)

    def body(p: Any) -> None:
        i = uint32(cuda.grid(1))
        if i < limit:
            fetched = fetch(i, p)
            total = p[number][uint64(i)]
            place = i
            for _ in range(1, parts):
                place = uint32(place + limit)
                total += p[number][uint64(place)]
            settle(total, fetched, i, p)

    return Launch(body, grid_1d(blocks_for(size, THREADS), min(THREADS, size)))
