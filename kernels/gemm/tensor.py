"""gemm on tensor cores, if float32 factors may be rounded to tf32.

Shapes: a (m, k), b (k, n), extras (m, n) -> (m, n), float32, any strides. Compute capability 8.0.

Algorithm: the loop of `pipeline.py`. A warp computes a block of the result in fragments of 16 x 8,
and multiplies 8 terms with one instruction per fragment. Factors are rounded once, when they are
stored to shared memory: to the nearest tf32, where the hardware would truncate. In shared memory
terms are adjacent if they are so in global memory; otherwise rows or columns are, so nothing is
transposed. Gaps keep the lanes of a fragment in different banks. For 8 terms a lane reads m_tiles *
4 + n_tiles * 2 words for m_tiles * n_tiles instructions.

Launch: see `pipeline.py`; row_warps * column_warps warps a block. Reference:
contracts/gemm/gemm.py, within the tolerance of tf32.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Call, Function, Launches
from ..core.device import cuda, device, float32
from ..core.index import thread_index
from .operands import QUAD, Problem, Sink, block_results, part_origin, problem
from .pipeline import Cut, Worker, product_launches
from .stage import Factor, Stage, factor
from .tensor_core import COLUMNS, LANES, ROWS, TERMS, multiply_add_tf32, tf32

DEPTH = 16  # terms of a tile in shared memory
PAD_ACROSS, PAD_ALONG = 8, 4  # elements, so that lanes (g, q) of a fragment use different banks


class TensorTiling(NamedTuple):
    """How a product is cut.

    row_warps, column_warps: of a block. m_tiles, n_tiles: fragments of a warp, down and along.
    parts: of k.
    """

    row_warps: int
    column_warps: int
    m_tiles: int
    n_tiles: int
    parts: int = 1

    @property
    def cut(self) -> Cut:
        """The cut into tiles."""
        tile = self.row_warps * self.m_tiles * ROWS, self.column_warps * self.n_tiles * COLUMNS
        return Cut(tile, self.row_warps * self.column_warps * LANES, DEPTH, self.parts)


def tensor_gemm(call: Call, tiling: TensorTiling) -> Launches:
    """One kernel, or two if k has several parts."""
    shape, cut = problem(call), tiling.cut
    a, b = (
        factor(call, k, Stage(cut.tile[k], DEPTH, cut.threads, PAD_ACROSS, PAD_ALONG, tf32))
        for k in (0, 1)
    )
    part = tiling.m_tiles * ROWS, tiling.n_tiles * COLUMNS
    of_warp = part_origin(part, tiling.column_warps)
    worker = Worker(
        device(lambda: of_warp(thread_index() // LANES)),
        _multiplier(tiling, a, b),
        lambda sink: _finisher(shape, tiling, sink),
        tiling.m_tiles * tiling.n_tiles * QUAD,
        2,
    )
    return product_launches(call, shape, cut, (a, b), worker)


def _multiplier(tiling: TensorTiling, factor_a: Factor, factor_b: Factor) -> Function:
    """`multiply(a, b, place, sums)`: see `Worker`. All threads of a warp have its place."""
    m_tiles, n_tiles = tiling.m_tiles, tiling.n_tiles
    line_a, term_a = factor_a.line, factor_a.term
    line_b, term_b = factor_b.line, factor_b.term
    n_a, n_b = 4 * m_tiles, 2 * n_tiles

    @device
    def multiply(a: Any, b: Any, place: Any, sums: Any) -> None:
        x = cuda.local.array(n_a, float32)
        y = cuda.local.array(n_b, float32)
        lane = thread_index() % LANES
        g, q = lane // 4, lane % 4
        at_a = a[1] + (place[0] + g) * line_a + q * term_a
        at_b = b[1] + (place[1] + g) * line_b + q * term_b
        for term in range(0, DEPTH, TERMS):
            for i in range(m_tiles):
                for part in range(4):  # (g, q), (g + 8, q), (g, q + 4), (g + 8, q + 4)
                    step = (i * ROWS + part % 2 * 8) * line_a + (term + part // 2 * 4) * term_a
                    x[4 * i + part] = a[0][at_a + step]
            for j in range(n_tiles):
                for part in range(2):  # (q, g), (q + 4, g)
                    step = j * COLUMNS * line_b + (term + part * 4) * term_b
                    y[2 * j + part] = b[0][at_b + step]
            for i in range(m_tiles):
                four = x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]
                for j in range(n_tiles):
                    s = 4 * (i * n_tiles + j)
                    c = sums[s], sums[s + 1], sums[s + 2], sums[s + 3]
                    c = multiply_add_tf32(four, (y[2 * j], y[2 * j + 1]), c)
                    sums[s], sums[s + 1], sums[s + 2], sums[s + 3] = c

    return multiply


def _finisher(shape: Problem, tiling: TensorTiling, sink: Sink) -> Function:
    """`finish(sums, row, column, p)`: see `Worker`; two of a lane's results at a time."""
    m_tiles, n_tiles = tiling.m_tiles, tiling.n_tiles
    fetch, settle = block_results(shape, sink, 1, 2)

    @device
    def finish(sums: Any, row: Any, column: Any, p: Any) -> None:
        values = cuda.local.array(2, float32)
        lane = thread_index() % LANES
        first_row = row + lane // 4
        first_column = column + lane % 4 * 2
        for i in range(m_tiles):
            for j in range(n_tiles):
                for half in range(2):
                    s = 4 * (i * n_tiles + j) + 2 * half
                    values[0] = sums[s]
                    values[1] = sums[s + 1]
                    below = first_row + i * ROWS + half * 8
                    beside = first_column + j * COLUMNS
                    settle(values, fetch(below, beside, p), below, beside, p)

    return finish
