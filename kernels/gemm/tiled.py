"""gemm for large products: tiles in shared memory, blocks of the result in registers.

Shapes: a (m, k), b (k, n), extras (m, n) -> (m, n), any strides.

Algorithm: the loop of `pipeline.py`, DEPTH terms at a time. A thread computes `rows` x `columns`
elements of the result, in groups of four neighbours half a tile apart, so that 16-byte accesses of
a warp to shared memory have no bank conflicts. A term takes rows / 4 + columns / 4 of those
accesses for rows * columns multiply-adds. In registers there are two terms, so that loads of the
second run while the first is multiplied.

Launch: see `pipeline.py`; row_threads * column_threads threads a block. All elements add their
terms in the same order: that of k within a part, then parts in order. Reference:
contracts/gemm/gemm.py.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Call, Function, Launches
from ..core.device import TYPES, cuda, device, quad_loader
from ..core.index import thread_index
from .operands import (
    QUAD,
    Problem,
    Sink,
    block_results,
    keep_quad,
    part_origin,
    problem,
)
from .pipeline import Cut, Worker, product_launches
from .stage import Stage, factor

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
    shape, cut = problem(call), tiling.cut
    a, b = (factor(call, k, Stage(cut.tile[k], DEPTH, cut.threads, PAD)) for k in (0, 1))
    of_thread = part_origin((QUAD, QUAD), tiling.column_threads)
    worker = Worker(
        device(lambda: of_thread(thread_index())),
        _multiplier(shape, tiling, a.term, b.term),
        lambda sink: _finisher(shape, tiling, sink),
        tiling.rows * tiling.columns,
        QUAD,
    )
    return product_launches(call, shape, cut, (a, b), worker)


def _multiplier(shape: Problem, tiling: Tiling, term_a: int, term_b: int) -> Function:
    """`multiply(a, b, place, sums)`: see `Worker`. term_a, term_b: distance of terms of a tile."""
    kind, load = TYPES[shape.dtype], quad_loader(shape.dtype)
    rows, columns = tiling.rows, tiling.columns
    row_step, column_step = QUAD * tiling.row_threads, QUAD * tiling.column_threads
    n_x, n_y = 2 * rows, 2 * columns

    @device
    def multiply(a: Any, b: Any, place: Any, sums: Any) -> None:
        # Two terms at a time: loads of the second run while the first is multiplied.
        x = cuda.local.array(n_x, kind)
        y = cuda.local.array(n_y, kind)
        at_a, at_b = a[1] + place[0], b[1] + place[1]
        for term in range(0, DEPTH, 2):
            for u in range(2):
                for r in range(0, rows, QUAD):
                    i = (term + u) * term_a + r // QUAD * row_step
                    keep_quad(x, u * rows + r, 1, load(a[0], at_a + i))
                for c in range(0, columns, QUAD):
                    i = (term + u) * term_b + c // QUAD * column_step
                    keep_quad(y, u * columns + c, 1, load(b[0], at_b + i))
            for u in range(2):
                for r in range(rows):
                    for c in range(columns):
                        sums[r * columns + c] += x[u * rows + r] * y[u * columns + c]

    return multiply


def _finisher(shape: Problem, tiling: Tiling, sink: Sink) -> Function:
    """`finish(sums, row, column, p)`: see `Worker`; in blocks of 4 x 4."""
    kind = TYPES[shape.dtype]
    rows, columns = tiling.rows, tiling.columns
    row_step, column_step = QUAD * tiling.row_threads, QUAD * tiling.column_threads
    fetch, settle = block_results(shape, sink, QUAD, QUAD)
    size = QUAD * QUAD

    @device
    def finish(sums: Any, row: Any, column: Any, p: Any) -> None:
        values = cuda.local.array(size, kind)
        for r in range(0, rows, QUAD):
            for c in range(0, columns, QUAD):
                for i in range(size):
                    values[i] = sums[(r + i // QUAD) * columns + c + i % QUAD]
                down = row + r // QUAD * row_step
                along = column + c // QUAD * column_step
                settle(values, fetch(down, along, p), down, along, p)

    return finish
