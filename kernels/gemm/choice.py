"""The choice of a kernel for a matrix product and of its cut, by a model of the time on an H100.

The choice depends on m, n, k and the dtype alone, and so does the order in which terms are added.
Cycles are those of a multiprocessor, 1.7 to 1.98 GHz. The constants are from data sheets and
published measurements of latencies. They serve to rank the ways to compute a product, not to
predict times.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..core.hardware import MULTIPROCESSORS, WARP
from ..core.integers import ceil_div
from ..core.sums import longest_run
from .operands import QUAD, Problem, resident_blocks
from .pipeline import MAX_REGISTERS, Cut
from .split import Split
from .tensor import TensorTiling
from .tensor_core import COLUMNS, TERMS
from .tiled import Tiling

LATENCY = 700  # of a load from the second-level cache, under some load
LEVEL_2_BYTES = 40  # per cycle and multiprocessor, from the second-level cache
LEVEL_1_BYTES = 128  # per cycle and multiprocessor, from the first-level cache
SHARED_LATENCY = 30
TENSOR_MULTIPLY_ADDS = 480  # of tf32, per cycle, without instructions of this chip alone
MULTIPLY_ADDS = 128  # of float32, per cycle
EFFICIENCY = 0.8  # of multiply-adds in the inner loop of tiles, with eight warps or more
LAUNCH = 2000  # of one more kernel in the graph


def best(shape: Problem, allow_tf32: bool = False) -> Split | Tiling | TensorTiling:
    """The fastest way to compute a product, by the model."""
    split = best_split(shape)
    ways: list[tuple[float, Split | Tiling | TensorTiling]] = []
    if split is not None:
        ways.append((split_cycles(shape, split), split))
    ways += [(tiled_cycles(shape, tiling), tiling) for tiling in tilings(shape)]
    if allow_tf32 and shape.dtype == "float32":
        ways += [(tensor_cycles(shape, tiling), tiling) for tiling in tensor_tilings(shape)]
    return min(ways, key=lambda way: way[0])[1]


def best_split(shape: Problem) -> Split | None:
    """The fastest split of k; of nearly equal ones, one with 16-byte stores. None: k is long."""
    costs = {split: split_cycles(shape, split) for split in splits(shape)}
    if not costs:
        return None
    enough = 1.05 * min(costs.values())
    near = [split for split, cost in costs.items() if cost <= enough]
    return min(near, key=lambda split: (split.columns % QUAD != 0, costs[split], split))


def splits(shape: Problem) -> Iterator[Split]:
    """The splits of a product that can run, and whose runs are short enough (sums.py)."""
    groups = max(1, ceil_div(shape.k, QUAD))
    most = 40 if shape.dtype == "float32" else 16  # sums of a thread that fit in registers
    shares = {1, *(ceil_div(groups, steps) for steps in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32))}
    longest = longest_run(shape.k)
    shares = {slices for slices in shares if QUAD * ceil_div(groups, slices) <= longest}
    for rows in {min(rows, shape.m) for rows in (1, 2, 4, 5, 8, 10)}:
        for columns in (1, 2, 4):
            for slices in shares:
                for row_threads in (1, 2, 4):
                    for column_threads in (1, 2, 4, 8, 16, 32, 64):
                        split = Split(rows, columns, row_threads, column_threads, slices)
                        if split.fits(shape) and rows * columns <= most:
                            yield split


def split_cycles(shape: Problem, split: Split) -> float:
    """Cycles of `split_gemm`: the latencies in sequence, and the time of the busiest unit:
    arithmetic, loads, or the second-level cache."""
    along, down = split.tiles(shape)
    per_sm = ceil_div(along * down, MULTIPROCESSORS)  # blocks
    warps = per_sm * ceil_div(split.threads, WARP)
    groups = ceil_div(shape.k, QUAD)
    steps = ceil_div(groups, split.slices)
    rows, columns = split.rows, split.columns
    words = shape.itemsize // 4
    # Per warp and step: multiply-adds, loads and their address arithmetic; four warps at a time.
    quads = columns if columns % QUAD == 0 else QUAD * columns  # of b; of a, one per row
    issued = QUAD * rows * columns * words + 3 * (rows + quads) * words + 10
    arithmetic = steps * max(warps / 4, 1) * issued
    loaded = steps * warps * WARP * QUAD * (rows + columns) * shape.itemsize / LEVEL_1_BYTES
    sector = max(split.tile[1] * shape.itemsize, 32)
    moved = per_sm * shape.k * (split.tile[0] * shape.itemsize + sector) / LEVEL_2_BYTES
    results = split.tile[0] * split.tile[1]
    stored = split.tile[0] * sector
    ending = 2 * per_sm * stored / LEVEL_2_BYTES
    if split.slices == 1:
        ending += warps / 4 * 8 * rows * columns / (QUAD if columns % QUAD == 0 else 1)
    waves = ceil_div(per_sm * split.threads, 1024)
    waiting = waves * LATENCY * (1 + 0.25 * max(0, steps - 2))
    if split.slices > 1:
        helpers = min(split.slices, split.threads // results)
        chain = ceil_div(split.slices, helpers) + helpers
        exchanged = per_sm * results * split.slices * shape.itemsize / LEVEL_1_BYTES
        waiting += 5 * SHARED_LATENCY + 6 * chain + 2 * exchanged
    return waiting + max(arithmetic, loaded, moved) + ending


def tilings(shape: Problem) -> Iterator[Tiling]:
    """Tilings of a product."""
    if shape.dtype == "float32":
        # Also with as many columns as n needs, such as 104 for a layer of 100.
        across = max(1, ceil_div(shape.n, 8 * ceil_div(shape.n, 128)))
        blocks = {(8, 8, r, c) for r in (8, 16) for c in (8, 16, across)} | {(4, 4, 32, 4)}
    else:
        across = max(1, ceil_div(shape.n, 4 * ceil_div(shape.n, 64)))
        blocks = {(4, 4, r, c) for r in (8, 16) for c in (8, 16, across)} | {(4, 4, 32, 4)}
    for block in sorted(blocks, reverse=True):
        one = Tiling(*block)
        for parts in _parts(shape, one.cut):
            yield one._replace(parts=parts)


def _parts(shape: Problem, cut: Cut) -> Iterator[int]:
    """The numbers of parts that k may be cut into. A part is not longer than a run (sums.py)."""
    along, down = cut.tiles(shape)
    least = max(1, ceil_div(shape.k, longest_run(shape.k)))
    yield least
    for wanted in (1, 2, 3, 4, 6):  # blocks per multiprocessor
        parts = wanted * MULTIPROCESSORS // (along * down)
        if least < parts <= shape.k // 64:
            yield parts


def tiled_cycles(shape: Problem, tiling: Tiling) -> float:
    """Cycles of `tiled_gemm`."""
    cut = tiling.cut
    rows, columns = cut.tile
    words = shape.itemsize // 4
    speed = MULTIPLY_ADDS * EFFICIENCY / words
    # A term costs a thread's multiply-adds, and loads from shared memory at 128 bytes per cycle.
    loads = cut.threads * (tiling.rows + tiling.columns) * shape.itemsize / LEVEL_1_BYTES
    return _cycles(shape, cut, max(rows * columns / speed, loads))


def tensor_tilings(shape: Problem) -> Iterator[TensorTiling]:
    """Tilings of a product for tensor cores."""
    for row_warps, column_warps in ((4, 2), (2, 2), (4, 1)):
        tiles = ceil_div(shape.n, COLUMNS)
        fitting = ceil_div(tiles, column_warps * ceil_div(tiles, 8 * column_warps))
        for n_tiles in sorted({8, 4, fitting}, reverse=True):
            one = TensorTiling(row_warps, column_warps, 2, n_tiles)
            for parts in _parts(shape, one.cut):
                yield one._replace(parts=parts)


def tensor_cycles(shape: Problem, tiling: TensorTiling) -> float:
    """Cycles of `tensor_gemm`."""
    cut = tiling.cut
    rows, columns = cut.tile
    # Words that the lanes of a warp read for TERMS terms; a word of 32 lanes takes a cycle.
    loads = cut.threads // WARP * (4 * tiling.m_tiles + 2 * tiling.n_tiles) / TERMS
    return _cycles(shape, cut, max(rows * columns / TENSOR_MULTIPLY_ADDS, loads))


def _cycles(shape: Problem, cut: Cut, term: float) -> float:
    """term: cycles of a tile and term, if eight warps or more share a multiprocessor."""
    along, down = cut.tiles(shape)
    rows, columns = cut.tile
    terms = cut.terms(shape)
    per_sm = ceil_div(along * down * cut.parts, MULTIPROCESSORS)  # blocks
    resident = min(per_sm, resident_blocks(cut.threads, MAX_REGISTERS))
    term /= min(1, resident * cut.threads / 256)
    moved = terms * (rows + columns) * shape.itemsize / LEVEL_2_BYTES
    stored = 2 * rows * columns * shape.itemsize / LEVEL_2_BYTES
    cycles = per_sm * (max(terms * term, moved) + stored) + 3 * LATENCY
    if cut.parts > 1:
        sums = cut.parts * shape.m * shape.n * shape.itemsize
        # Written, then read.
        cycles += LAUNCH + LATENCY + 3 * sums / (MULTIPROCESSORS * LEVEL_2_BYTES)
    return cycles
