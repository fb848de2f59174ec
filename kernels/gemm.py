"""gemm: matrix product with an elementwise epilogue.

Shapes: a (m, k), b (k, n), extras (m, n) -> (m, n), any strides, so transposed operands too.

Algorithm: k shared out among threads (`gemm_split.py`), cut in the way that a model of the time on
an H100, below, finds cheapest for m, n, k and dtype. Launch: see that file.
"""

from __future__ import annotations

from collections.abc import Iterator

from .call import Call, Launches, factory
from .gemm_operands import QUAD, Problem, problem
from .gemm_split import Split, split_gemm

# An H100: what the model counts with. Cycles of a multiprocessor, 1.7 to 1.98 GHz.
MULTIPROCESSORS = 132
LATENCY = 700  # from a load to its data, out of the second-level cache, under some load
LEVEL_2_BYTES = 40  # per cycle and multiprocessor, from the second-level cache
LEVEL_1_BYTES = 128  # likewise, from the first level
SHARED_LATENCY = 30


@factory("gemm")
def gemm(call: Call) -> Launches:
    """One kernel, or two; none where the result is empty."""
    shape = problem(call)
    if shape.m == 0 or shape.n == 0:
        return Launches(())
    return split_gemm(call, best_split(shape))


def best_split(shape: Problem) -> Split:
    """The cheapest way to cut a product by the model; of nearly equal ones one with wide stores."""
    costs = {split: split_cycles(shape, split) for split in splits(shape)}
    enough = 1.05 * min(costs.values())
    near = [split for split, cost in costs.items() if cost <= enough]
    return min(near, key=lambda split: (split.columns % QUAD != 0, costs[split], split))


def splits(shape: Problem) -> Iterator[Split]:
    """Ways to cut a product that can run."""
    groups = max(1, -(-shape.k // QUAD))
    shares = {1, *(-(-groups // steps) for steps in (1, 2, 3, 4, 6, 8, 12, 16, 24, 32))}
    for rows in {min(rows, shape.m) for rows in (1, 2, 4, 5, 8, 10)}:
        for columns in (1, 2, 4):
            for slices in shares:
                for row_threads in (1, 2, 4):
                    for column_threads in (1, 2, 4, 8, 16, 32, 64):
                        split = Split(rows, columns, row_threads, column_threads, slices)
                        if split.fits(shape):
                            yield split


def split_cycles(shape: Problem, split: Split) -> float:
    """Cycles that `split_gemm` takes: latencies one after the other, and the busiest of the units
    that add, load, and bring data from the second-level cache."""
    along, down, _ = split.grid(shape)
    per_sm = -(-along * down // MULTIPROCESSORS)  # blocks
    warps = per_sm * -(-split.threads // 32)
    groups = -(-shape.k // QUAD)
    steps = -(-groups // split.slices)
    rows, columns = split.rows, split.columns
    words = shape.itemsize // 4
    # Per warp and step: multiply-adds, loads and what addresses cost them; four warps at a time.
    quads = columns if columns % QUAD == 0 else QUAD * columns  # of b; of a, one per row
    issued = QUAD * rows * columns * words + 3 * (rows + quads) * words + 10
    arithmetic = steps * max(warps / 4, 1) * issued
    loaded = steps * warps * 32 * QUAD * (rows + columns) * shape.itemsize / LEVEL_1_BYTES
    sector = max(split.tile[1] * shape.itemsize, 32)
    moved = per_sm * shape.k * (split.tile[0] * shape.itemsize + sector) / LEVEL_2_BYTES
    results = split.tile[0] * split.tile[1]
    stored = split.tile[0] * sector
    ending = 2 * per_sm * stored / LEVEL_2_BYTES
    if split.slices == 1:
        ending += warps / 4 * 8 * rows * columns / (QUAD if columns % QUAD == 0 else 1)
    waiting = LATENCY * (1 + 0.25 * max(0, steps - 2))
    if split.slices > 1:
        helpers = min(split.slices, split.threads // results)
        chain = -(-split.slices // helpers) + helpers
        exchanged = per_sm * results * split.slices * shape.itemsize / LEVEL_1_BYTES
        waiting += 5 * SHARED_LATENCY + 6 * chain + 2 * exchanged
    return waiting + max(arithmetic, loaded, moved) + ending
