"""gemm on tensor cores, if float32 factors may be rounded to tf32.

Shapes: a (m, k), b (k, n), extras (m, n) -> (m, n), float32, any strides. Compute capability 8.0.

Algorithm: the loop of `pipeline.py`. A warp computes a block of the result in fragments of 16 x 8,
and multiplies 8 terms with one instruction per fragment. Factors are rounded once, when they are
stored to shared memory: to the nearest tf32, where the hardware would truncate. In shared memory
terms are adjacent if they are so in global memory; otherwise rows or columns are, so nothing is
transposed. Gaps keep the lanes of a fragment in different banks. For 8 terms a lane reads m_tiles *
4 + n_tiles * 2 words for m_tiles * n_tiles instructions.

Launch: see `pipeline.py`; row_warps * column_warps warps a block.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..core.call import Call, Function, Launches
from ..core.device import cuda, device, float32
from ..core.index import thread_index
from .operands import QUAD, Problem, Sink, block_results, problem
from .pipeline import Cut, Worker, factor, product_body, product_launches
from .stage import Stage, is_across
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


class _Layout(NamedTuple):
    """The layout of a tile. line: distance of rows of a or columns of b. term: distance of terms.
    size: elements of a buffer."""

    stage: Stage
    line: int
    term: int
    size: int


def tensor_gemm(call: Call, tiling: TensorTiling) -> Launches:
    """One kernel, or two if k has several parts."""
    shape = problem(call)
    layout_a, layout_b = _layout(call, 0, tiling), _layout(call, 1, tiling)
    a = factor(call, 0, layout_a.stage, layout_a.size)
    b = factor(call, 1, layout_b.stage, layout_b.size)
    place, multiply = _place(tiling), _multiplier(tiling, layout_a, layout_b)
    n_sums = tiling.m_tiles * tiling.n_tiles * QUAD

    def body(sink: Sink) -> Function:
        worker = Worker(place, multiply, _finisher(shape, tiling, sink), n_sums)
        return product_body(shape, tiling.cut, a, b, worker)

    return product_launches(call, shape, tiling.cut, 2, body)


def _layout(call: Call, side: int, tiling: TensorTiling) -> _Layout:
    """side: 0 of a, 1 of b."""
    width = tiling.cut.tile[side]
    stage = Stage(width, DEPTH, width + PAD_ACROSS, DEPTH + PAD_ALONG, tiling.cut.threads, tf32)
    if is_across(call.inputs[side], side):
        return _Layout(stage, 1, stage.across, DEPTH * stage.across)
    return _Layout(stage, stage.along, 1, width * stage.along)


def _place(tiling: TensorTiling) -> Function:
    """`place()`: the row and the column of the tile at which the thread's warp begins."""
    column_warps = tiling.column_warps
    warp_rows = tiling.m_tiles * ROWS
    warp_columns = tiling.n_tiles * COLUMNS

    @device
    def place() -> Any:
        warp = thread_index() // LANES
        down = warp // column_warps * warp_rows
        return down, warp % column_warps * warp_columns

    return place


def _multiplier(tiling: TensorTiling, layout_a: _Layout, layout_b: _Layout) -> Function:
    """`multiply(tiles_a, begin_a, down, tiles_b, begin_b, along, sums)`: adds the product of two
    tiles in shared memory to the sums of a warp; its part of the result begins at row `down` and
    column `along`."""
    m_tiles, n_tiles = tiling.m_tiles, tiling.n_tiles
    line_a, term_a = layout_a.line, layout_a.term
    line_b, term_b = layout_b.line, layout_b.term
    n_a, n_b = 4 * m_tiles, 2 * n_tiles

    @device
    def multiply(
        tiles_a: Any, begin_a: Any, down: Any, tiles_b: Any, begin_b: Any, along: Any, sums: Any
    ) -> None:
        x = cuda.local.array(n_a, float32)
        y = cuda.local.array(n_b, float32)
        lane = thread_index() % LANES
        g, q = lane // 4, lane % 4
        at_a = (down + g) * line_a
        at_a = begin_a + at_a + q * term_a
        at_b = (along + g) * line_b
        at_b = begin_b + at_b + q * term_b
        for term in range(0, DEPTH, TERMS):
            for i in range(m_tiles):
                for part in range(4):  # (g, q), (g + 8, q), (g, q + 4), (g + 8, q + 4)
                    step = (i * ROWS + part % 2 * 8) * line_a + (term + part // 2 * 4) * term_a
                    x[4 * i + part] = tiles_a[at_a + step]
            for j in range(n_tiles):
                for part in range(2):  # (q, g), (q + 4, g)
                    step = j * COLUMNS * line_b + (term + part * 4) * term_b
                    y[2 * j + part] = tiles_b[at_b + step]
            for i in range(m_tiles):
                a = x[4 * i], x[4 * i + 1], x[4 * i + 2], x[4 * i + 3]
                for j in range(n_tiles):
                    s = 4 * (i * n_tiles + j)
                    c = sums[s], sums[s + 1], sums[s + 2], sums[s + 3]
                    c = multiply_add_tf32(a, (y[2 * j], y[2 * j + 1]), c)
                    sums[s], sums[s + 1], sums[s + 2], sums[s + 3] = c

    return multiply


def _finisher(shape: Problem, tiling: TensorTiling, sink: Sink) -> Function:
    """`finish(sums, row, down, column, along, p)`: sends a lane's results to the sink, two at a
    time.

    (row, column): where the tile begins; (down, along): where the warp's part begins in it.
    """
    m_tiles, n_tiles = tiling.m_tiles, tiling.n_tiles
    fetch, settle = block_results(shape, sink, 1, 2)

    @device
    def finish(sums: Any, row: Any, down: Any, column: Any, along: Any, p: Any) -> None:
        values = cuda.local.array(2, float32)
        lane = thread_index() % LANES
        first_row = row + down + lane // 4
        first_column = column + along + lane % 4 * 2
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
