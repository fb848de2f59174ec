"""gemm for small results or short k: the threads of a block divide k.

Shapes: a (m, k), b (k, n), extras (m, n) -> (m, n), any strides.

Algorithm: k is cut into groups of four terms. A block computes a tile of the result. Each of its
`slices` of threads adds up every slices-th group; a thread computes `rows` x `columns` elements in
registers, directly from global memory, and multiplies an element of b with all rows of a, so that
the larger factor is read once. Then the sums of the slices are added through shared memory in a
fixed order. With one slice a thread has its results immediately. Loads of the epilogue's inputs
start before the first product.

Versions: without the block's size (`resident`), the assembler kept registers for more blocks, and
loads waited for products. A barrier before the helpers stored their sums ordered nothing.

Launch: one block per tile of `row_threads * rows` x `column_threads * columns` elements, with
slices * row_threads * column_threads threads. The order in which the terms of an element are added
depends on m, n and k alone. Reference: contracts/gemm/gemm.py.
"""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from ..core.call import Call, Function, Launch, Launches, grid_1d
from ..core.device import TYPES, cuda, device, shared_array
from ..core.hardware import STATIC_BYTES
from ..core.index import block_index, thread_index, u32
from ..core.integers import ceil_div
from .operands import (
    QUAD,
    Problem,
    block_results,
    epilogue_sink,
    has_quads,
    keep_quad,
    part_origin,
    problem,
    quads,
)

MAX_THREADS = 512


class Split(NamedTuple):
    """How a product is cut.

    rows, columns: of a thread's part of the result. row_threads, column_threads: of a slice.
    slices: that divide the groups of k.
    """

    rows: int
    columns: int
    row_threads: int
    column_threads: int
    slices: int

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.row_threads * self.column_threads * self.slices

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and columns of a block's part of the result."""
        return self.row_threads * self.rows, self.column_threads * self.columns

    @property
    def row(self) -> int:
        """Distance of slices in shared memory, in elements, so that 16-byte accesses of
        neighbouring threads use different banks."""
        size, skew = self.tile[0] * self.tile[1], QUAD * self.column_threads % 32
        return size + (skew - size) % 32

    def tiles(self, shape: Problem) -> tuple[int, int]:
        """Blocks along n and m."""
        return ceil_div(shape.n, self.tile[1]), ceil_div(shape.m, self.tile[0])

    def fits(self, shape: Problem) -> bool:
        """Whether a block can run: every result of the tile has a thread that adds it up."""
        if self.slices == 1:
            return self.threads <= MAX_THREADS
        results = self.tile[0] * self.tile[1]
        nbytes = self.slices * self.row * shape.itemsize
        return results <= self.threads <= MAX_THREADS and nbytes <= STATIC_BYTES


def split_gemm(call: Call, split: Split) -> Launches:
    """One kernel."""
    shape = problem(call)
    make = _direct if split.slices == 1 else _sliced
    body = make(call, shape, split)
    threads = grid_1d(prod(split.tiles(shape)), split.threads)
    return Launches((Launch(body, threads, resident=1),))


def _loaders(call: Call, shape: Problem, split: Split) -> tuple[Function, Function]:
    """`load_a(p, row, term, x)`, `load_b(p, term, column, y)`: four terms of a thread's factors.

    x[r * QUAD + u], y[u * columns + c]: of term u. Outside of a matrix they are other elements of
    it.
    """
    rows, columns = split.rows, split.columns
    a, b = call.inputs[:2]
    last_row, last_column = shape.m - 1, shape.n - 1
    last_term = max(0, shape.k - 1)
    along_a, down_a = quads(a, 0, 1), quads(a, 0, 0)
    along_b, down_b = quads(b, 1, 1), quads(b, 1, 0)

    if rows % QUAD == 0 and has_quads(a, 0):

        @device
        def load_a(p: Any, row: Any, term: Any, x: Any) -> None:
            for u in range(QUAD):
                inside = min(term + u, last_term)
                for r in range(0, rows, QUAD):
                    keep_quad(x, r * QUAD + u, QUAD, down_a(p, row + r, inside))

    else:

        @device
        def load_a(p: Any, row: Any, term: Any, x: Any) -> None:
            for r in range(rows):
                inside = min(row + r, last_row)
                keep_quad(x, r * QUAD, 1, along_a(p, inside, term))

    if columns % QUAD == 0 and has_quads(b, 1):

        @device
        def load_b(p: Any, term: Any, column: Any, y: Any) -> None:
            for u in range(QUAD):
                inside = min(term + u, last_term)
                for c in range(0, columns, QUAD):
                    keep_quad(y, u * columns + c, 1, along_b(p, inside, column + c))

    else:

        @device
        def load_b(p: Any, term: Any, column: Any, y: Any) -> None:
            for c in range(columns):
                inside = min(column + c, last_column)
                keep_quad(y, c, columns, down_b(p, term, inside))

    return load_a, load_b


def _adder(call: Call, shape: Problem, split: Split) -> Function:
    """`add(p, row, column, number, sums)`: the sums of slice `number` for a thread's elements, of
    which the first is at (row, column)."""
    rows, columns, slices = split.rows, split.columns, split.slices
    load_a, load_b = _loaders(call, shape, split)
    kind = TYPES[shape.dtype]
    k, zero = shape.k, kind(0)
    groups = ceil_div(shape.k, QUAD)
    steps = ceil_div(groups, slices)
    all_busy, whole = groups % slices == 0, shape.k % QUAD == 0
    n_a, n_b = QUAD * rows, QUAD * columns

    @device
    def step(p: Any, row: Any, column: Any, term: Any, sums: Any) -> None:
        x = cuda.local.array(n_a, kind)
        y = cuda.local.array(n_b, kind)
        load_a(p, row, term, x)
        load_b(p, term, column, y)
        for u in range(QUAD):
            if whole or term + u < k:
                for r in range(rows):
                    for c in range(columns):
                        sums[r * columns + c] += x[r * QUAD + u] * y[u * columns + c]

    @device
    def add(p: Any, row: Any, column: Any, number: Any, sums: Any) -> None:
        for i in range(rows * columns):
            sums[i] = zero
        for j in range(steps):
            group = number + j * slices
            if all_busy or group < groups:
                step(p, row, column, group * QUAD, sums)

    return add


def _direct(call: Call, shape: Problem, split: Split) -> Function:
    """The body with one slice: a thread has its results in registers."""
    rows, columns = split.rows, split.columns
    corner = part_origin(split.tile, split.tiles(shape)[0])
    place = part_origin((rows, columns), split.column_threads)
    add = _adder(call, shape, split)
    fetch, settle = block_results(shape, epilogue_sink(call, shape, columns), rows, columns)
    kind = TYPES[shape.dtype]
    n_sums = rows * columns

    def body(p: Any) -> None:
        down, along = place(thread_index())
        first_row, first_column = corner(block_index())
        row, column = first_row + down, first_column + along
        fetched = fetch(row, column, p)
        sums = cuda.local.array(n_sums, kind)
        add(p, row, column, u32(0), sums)
        settle(sums, fetched, row, column, p)

    return body


def _sliced(call: Call, shape: Problem, split: Split) -> Function:
    """The body with several slices, whose sums are added in shared memory."""
    rows, columns, slices = split.rows, split.columns, split.slices
    across, down = split.column_threads, split.row_threads
    tile_columns = split.tile[1]
    corner = part_origin(split.tile, split.tiles(shape)[0])
    size = split.tile[0] * split.tile[1]
    m, n = shape.m, shape.n
    add = _adder(call, shape, split)
    fetch, settle = call.fetches[0], call.settles[0]
    kind = TYPES[shape.dtype]
    zero = kind(0)
    n_sums, n_shared, stride = rows * columns, slices * split.row, split.row
    # Threads that add up one result: each adds every helpers-th slice; then the first adds their
    # sums. As many threads as slices would have nothing to add first.
    helpers = split.threads // int(size)
    if helpers >= slices:
        helpers = 1
    turns = ceil_div(slices, helpers)

    def body(p: Any) -> None:
        shared = shared_array(n_shared, kind)
        t = thread_index()
        first_row, first_column = corner(block_index())
        # The result that this thread adds up.
        result = t % size
        helper = t // size
        row = first_row + result // tile_columns
        column = first_column + result % tile_columns
        i = min(row, m - 1) * n + min(column, n - 1)
        fetched = fetch(i, p)
        # The sums that it computes.
        rest = t // across
        along = t % across * columns
        below = rest % down * rows
        number = rest // down
        sums = cuda.local.array(n_sums, kind)
        add(p, first_row + below, first_column + along, number, sums)
        begin = number * stride + below * tile_columns + along
        for r in range(rows):
            for c in range(columns):
                place = begin + r * tile_columns + c
                shared[place] = sums[r * columns + c]
        cuda.syncthreads()
        total = zero
        for j in range(turns):
            other = helper + j * helpers
            if other < slices and helper < helpers:
                total += shared[other * stride + result]
        if helpers > 1:
            if helper < helpers:  # a place that this thread alone has read
                shared[helper * stride + result] = total
            cuda.syncthreads()
            total = zero
            for j in range(helpers):
                total += shared[j * stride + result]
        if helper == 0 and row < m and column < n:
            settle(total, fetched, i, p)

    return body
