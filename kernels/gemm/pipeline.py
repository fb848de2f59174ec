"""The loop over terms and the cut of k into parts, for both tiled kernels of gemm.

A block computes a tile of the result. While it multiplies a pair of tiles of the factors in shared
memory, it loads the next pair to registers. There are two buffers, so there is one barrier per
pair.

If there are fewer tiles than multiprocessors, k is cut into `parts`. Each block stores the sums of
its part to the workspace, and a second kernel adds the parts in order and runs the epilogue.

A kernel brings a `Worker`: how a thread multiplies two tiles, and which of the results it has.

Launch: a block per tile (x) and part of k (z); then a thread per element of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from ..core.call import Call, Function, Launch, Launches, LaunchShape, grid_1d
from ..core.device import TYPES, cuda, device, shared_array
from ..core.index import block_index, grid_index, u32
from ..core.integers import blocks_for, ceil_div
from .operands import QUAD, Problem, Sink, epilogue_sink, part_origin, resident_blocks
from .stage import Factor, quad_storer

MAX_REGISTERS = 128  # the most of a thread
THREADS = 256  # of the kernel that adds parts


class Cut(NamedTuple):
    """How a product is cut.

    tile: rows and columns of a block's part of the result. threads: of a block. depth: terms of a
    tile of the factors. parts: of k.
    """

    tile: tuple[int, int]
    threads: int
    depth: int
    parts: int

    def tiles(self, shape: Problem) -> tuple[int, int]:
        """Tiles along n and m."""
        return ceil_div(shape.n, self.tile[1]), ceil_div(shape.m, self.tile[0])

    def terms(self, shape: Problem) -> int:
        """Of a part of k; the last may have fewer."""
        return ceil_div(shape.k, self.parts * self.depth) * self.depth


class Worker(NamedTuple):
    """The work of a thread on a tile.

    place: `place()` is the row and the column of the tile at which its results begin. multiply:
    `multiply(a, b, place, sums)` adds the product of two tiles in shared memory to its n_sums sums;
    a tile is (array, its first element). finisher: `finisher(sink)` makes `finish(sums, row,
    column, p)`, which sends the sums to the sink, `lanes` adjacent elements at a time. There (row,
    column) is the place of the thread's results in the product.
    """

    place: Function
    multiply: Function
    finisher: Callable[[Sink], Function]
    n_sums: int
    lanes: int


def product_launches(
    call: Call, shape: Problem, cut: Cut, factors: tuple[Factor, Factor], worker: Worker
) -> Launches:
    """One kernel, or two if k has several parts."""
    grid = LaunchShape((prod(cut.tiles(shape)), 1, cut.parts), (cut.threads, 1, 1))
    resident = resident_blocks(cut.threads, MAX_REGISTERS)
    number = len(call.inputs) + len(call.outputs)
    if cut.parts == 1:
        sink = epilogue_sink(call, shape, worker.lanes)
    else:
        sink = _partial_sink(shape, number, worker.lanes)
    product = Launch(_product(shape, cut, factors, worker, sink), grid, resident=resident)
    if cut.parts == 1:
        return Launches((product,))
    workspace = (shape.dtype, cut.parts * shape.m * shape.n)
    return Launches((product, _added_parts(call, shape, cut.parts)), workspace)


def _product(
    shape: Problem, cut: Cut, factors: tuple[Factor, Factor], worker: Worker, sink: Sink
) -> Function:
    """The body of the kernel that multiplies."""
    a, b = factors
    kind, zero, k = TYPES[shape.dtype], TYPES[shape.dtype](0), shape.k
    load_a, put_a, n_a, size_a = a[:4]
    load_b, put_b, n_b, size_b = b[:4]
    shared_a, shared_b = 2 * size_a, 2 * size_b
    place, multiply, n_sums = worker.place, worker.multiply, worker.n_sums
    terms, depth = cut.terms(shape), cut.depth
    corner, finish = part_origin(cut.tile, cut.tiles(shape)[0]), worker.finisher(sink)

    def body(p: Any) -> None:
        tiles_a = shared_array(shared_a, kind)
        tiles_b = shared_array(shared_b, kind)
        next_a = cuda.local.array(n_a, kind)
        next_b = cuda.local.array(n_b, kind)
        sums = cuda.local.array(n_sums, kind)
        for i in range(n_sums):
            sums[i] = zero
        in_tile = place()
        row, column = corner(block_index())
        term = u32(cuda.blockIdx.z) * terms
        end = min(term + terms, k)
        begin_a, begin_b = u32(0), u32(0)
        if term < end:
            load_a(p, row, term, next_a)
            load_b(p, column, term, next_b)
            put_a(tiles_a, begin_a, next_a)
            put_b(tiles_b, begin_b, next_b)
        cuda.syncthreads()
        while term < end:
            term = term + depth
            if term < end:
                load_a(p, row, term, next_a)
                load_b(p, column, term, next_b)
            multiply((tiles_a, begin_a), (tiles_b, begin_b), in_tile, sums)
            begin_a, begin_b = size_a - begin_a, size_b - begin_b
            if term < end:
                put_a(tiles_a, begin_a, next_a)
                put_b(tiles_b, begin_b, next_b)
            cuda.syncthreads()
        down, along = in_tile
        finish(sums, row + down, column + along, p)

    return body


def _partial_sink(shape: Problem, number: int, columns: int) -> Sink:
    """To the workspace (parts, m, n), which is operand `number`; four elements at a time if a
    thread has as many adjacent columns."""
    size, store = shape.m * shape.n, quad_storer(shape.dtype)

    @device
    def fetch(i: Any, p: Any) -> Any:
        return (i,)

    if shape.n % QUAD == 0 and columns % QUAD == 0:

        @device
        def settle(values: Any, fetched: Any, i: Any, p: Any) -> None:
            store(p[number], u32(cuda.blockIdx.z) * size + i, values)

        return Sink(fetch, settle, QUAD)

    @device
    def settle_one(value: Any, fetched: Any, i: Any, p: Any) -> None:
        p[number][u32(cuda.blockIdx.z) * size + i] = value

    return Sink(fetch, settle_one, 1)


def _added_parts(call: Call, shape: Problem, parts: int) -> Launch:
    """The kernel that adds the parts in the workspace in order, and runs the epilogue."""
    size, number = shape.m * shape.n, len(call.inputs) + len(call.outputs)
    fetch, settle, limit = call.fetches[0], call.settles[0], size

    def body(p: Any) -> None:
        i = grid_index()
        if i < limit:
            fetched = fetch(i, p)
            total = p[number][i]
            place = i
            for _ in range(1, parts):
                place = place + limit
                total += p[number][place]
            settle(total, fetched, i, p)

    return Launch(body, grid_1d(blocks_for(size, THREADS), min(THREADS, size)))
