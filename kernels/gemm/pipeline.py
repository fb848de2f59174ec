"""The loop over terms and the cut of k into parts, for both tiled kernels of gemm.

A block computes a tile of the result. While it multiplies a pair of tiles of the factors in shared
memory, it loads the next pair to registers. There are two buffers, so there is one barrier per
pair.

If there are fewer tiles than multiprocessors, k is cut into `parts`. Each block stores the sums of
its part to the workspace, and a second kernel adds the parts in order and runs the epilogue.

Launch: a block per tile (x) and part of k (z); then a thread per element of the result.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

from ..core.call import Call, Function, Launch, Launches, LaunchShape, grid_1d
from ..core.device import TYPES, cuda, device, shared_array
from ..core.index import grid_index, u32
from ..core.integers import blocks_for, ceil_div
from .operands import QUAD, Problem, Sink, epilogue_sink, resident_blocks, tile_place
from .stage import Stage, quad_storer, stager

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


class Factor(NamedTuple):
    """The tiles of a factor in shared memory.

    load, put: see `stager`. values: elements that a thread loads. size: elements of a buffer.
    """

    load: Function
    put: Function
    values: int
    size: int


def factor(call: Call, side: int, stage: Stage, size: int) -> Factor:
    """side: 0 of a, 1 of b."""
    load, put = stager(call.inputs[side], side, stage)
    return Factor(load, put, QUAD * stage.quads, size)


class Worker(NamedTuple):
    """The work of a thread on a tile.

    place: `place()` is (down, along), the position of its results in the tile, in a unit of the
    other two functions. multiply: `multiply(tiles_a, begin_a, down, tiles_b, begin_b, along, sums)`
    adds the product of two tiles in shared memory to its n_sums sums. finish: `finish(sums, row,
    down, column, along, p)` sends the sums to the sink, for a tile that begins at (row, column).
    """

    place: Function
    multiply: Function
    finish: Function
    n_sums: int


def product_launches(
    call: Call, shape: Problem, cut: Cut, lanes: int, body: Callable[[Sink], Function]
) -> Launches:
    """One kernel, or two if k has several parts.

    body(sink): the body of the kernel that multiplies, and sends `lanes` adjacent elements at a
    time to the sink.
    """
    grid = LaunchShape((prod(cut.tiles(shape)), 1, cut.parts), (cut.threads, 1, 1))
    resident = resident_blocks(cut.threads, MAX_REGISTERS)
    if cut.parts == 1:
        return Launches((Launch(body(epilogue_sink(call, shape, lanes)), grid, resident=resident),))
    number = len(call.inputs) + len(call.outputs)
    product = Launch(body(_partial_sink(shape, number, lanes)), grid, resident=resident)
    workspace = (shape.dtype, cut.parts * shape.m * shape.n)
    return Launches((product, _added_parts(call, shape, cut.parts)), workspace)


def product_body(shape: Problem, cut: Cut, a: Factor, b: Factor, worker: Worker) -> Function:
    """The body of the kernel that multiplies."""
    kind = TYPES[shape.dtype]
    load_a, put_a, n_a, _ = a
    load_b, put_b, n_b, _ = b
    thread_place, multiply, finish, n_sums = worker
    terms, depth, k = cut.terms(shape), cut.depth, shape.k
    buffer_a, buffer_b = a.size, b.size
    n_shared_a, n_shared_b = 2 * a.size, 2 * b.size
    corner = tile_place(cut.tile, cut.tiles(shape)[0])
    zero = kind(0)

    def body(p: Any) -> None:
        tiles_a = shared_array(n_shared_a, kind)
        tiles_b = shared_array(n_shared_b, kind)
        next_a = cuda.local.array(n_a, kind)
        next_b = cuda.local.array(n_b, kind)
        sums = cuda.local.array(n_sums, kind)
        for i in range(n_sums):
            sums[i] = zero
        down, along = thread_place()
        row, column = corner()
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
            multiply(tiles_a, begin_a, down, tiles_b, begin_b, along, sums)
            begin_a, begin_b = buffer_a - begin_a, buffer_b - begin_b
            if term < end:
                put_a(tiles_a, begin_a, next_a)
                put_b(tiles_b, begin_b, next_b)
            cuda.syncthreads()
        finish(sums, row, down, column, along, p)

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
