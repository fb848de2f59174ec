"""gemm for large products: tiles in shared memory, blocks of the result in registers.

Shapes: a (m, k), b (k, n), extras (m, n) -> (m, n), any strides.

Algorithm: the loop of `pipeline.py`, DEPTH terms at a time. A thread computes `rows` x `columns`
elements of the result, in groups of four neighbours half a tile apart, so that 16-byte accesses of
a warp to shared memory have no bank conflicts. A term takes rows / 4 + columns / 4 of those
accesses for rows * columns multiply-adds.

Launch: see `pipeline.py`; row_threads * column_threads threads a block. All elements add their
terms in the same order: that of k within a part, then parts in order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Call, Function, Launches
from ..core.device import TYPES, cuda, device
from ..core.index import thread_index
from .operands import QUAD, Problem, Sink, block_results, problem, quad_loader
from .pipeline import Cut, Factor, Worker, factor, product_body, product_launches
from .stage import Stage, keep_quad

DEPTH = 8  # terms of a tile
PAD = 4  # elements between the terms of a tile, so that transposing stores have few bank conflicts


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
    def cut(self) -> Cut:
        """The cut into tiles."""
        tile = self.row_threads * self.rows, self.column_threads * self.columns
        return Cut(tile, self.row_threads * self.column_threads, DEPTH, self.parts)


def tiled_gemm(call: Call, tiling: Tiling) -> Launches:
    """One kernel, or two if k has several parts."""
    shape = problem(call)
    a, b = (_factor(call, side, tiling) for side in (0, 1))
    place, multiply = _place(tiling), _multiplier(shape, tiling)
    n_sums = tiling.rows * tiling.columns

    def body(sink: Sink) -> Function:
        worker = Worker(place, multiply, _finisher(shape, tiling, sink), n_sums)
        return product_body(shape, tiling.cut, a, b, worker)

    return product_launches(call, shape, tiling.cut, QUAD, body)


def _factor(call: Call, side: int, tiling: Tiling) -> Factor:
    """side: 0 of a, 1 of b."""
    width = tiling.cut.tile[side]
    stage = Stage(width, DEPTH, width + PAD, 0, tiling.cut.threads)
    return factor(call, side, stage, DEPTH * stage.across)


def _place(tiling: Tiling) -> Function:
    """`place()`: the row and the column of a thread in its block."""
    across = tiling.column_threads

    @device
    def place() -> Any:
        thread = thread_index()
        return thread // across, thread % across

    return place


def _multiplier(shape: Problem, tiling: Tiling) -> Function:
    """`multiply(tiles_a, begin_a, thread_row, tiles_b, begin_b, thread_column, sums)`: adds the
    product of two tiles in shared memory to a thread's sums."""
    kind, load = TYPES[shape.dtype], quad_loader(shape.dtype)
    rows, columns = tiling.rows, tiling.columns
    row_step, column_step = QUAD * tiling.row_threads, QUAD * tiling.column_threads
    across_a, across_b = tiling.cut.tile[0] + PAD, tiling.cut.tile[1] + PAD
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
        # Two terms at a time: loads of the second run while the first is multiplied.
        x = cuda.local.array(n_x, kind)
        y = cuda.local.array(n_y, kind)
        at_a = begin_a + thread_row * QUAD
        at_b = begin_b + thread_column * QUAD
        for term in range(0, DEPTH, 2):
            for u in range(2):
                for r in range(0, rows, QUAD):
                    i = (term + u) * across_a + r // QUAD * row_step
                    four = load(tiles_a, at_a + i)
                    keep(x, u * rows + r, four)
                for c in range(0, columns, QUAD):
                    i = (term + u) * across_b + c // QUAD * column_step
                    four = load(tiles_b, at_b + i)
                    keep(y, u * columns + c, four)
            for u in range(2):
                for r in range(rows):
                    for c in range(columns):
                        sums[r * columns + c] += x[u * rows + r] * y[u * columns + c]

    return multiply


def _finisher(shape: Problem, tiling: Tiling, sink: Sink) -> Function:
    """`finish(sums, row, thread_row, column, thread_column, p)`: sends a thread's results to the
    sink, in blocks of 4 x 4."""
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
        first_row = row + thread_row * QUAD
        first_column = column + thread_column * QUAD
        for r in range(0, rows, QUAD):
            for c in range(0, columns, QUAD):
                for i in range(size):
                    values[i] = sums[(r + i // QUAD) * columns + c + i % QUAD]
                down = first_row + r // QUAD * row_step
                along = first_column + c // QUAD * column_step
                settle(values, fetch(down, along, p), down, along, p)

    return finish
