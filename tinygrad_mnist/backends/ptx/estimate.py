"""An estimate of a launch's time on a GPU, from its counts. Nothing here is measured.

A launch takes the time of the launch itself, and that of the slowest of:

* latency: the cycles of its longest warp alone (`latency.py`), for each time that the blocks of the
  busiest multiprocessor have to take turns
* issue: the instructions of that multiprocessor's blocks, one in a cycle of a scheduler
* a unit, such as `fma` or `integer`: its instructions, by the results that it gives in a cycle
* shared: the wavefronts of shared memory, one in a cycle
* L1: the sectors of global memory, four in a cycle
* L2: the sectors that blocks read, each once, and all that they write, at the bandwidth of the L2
  cache and at that of a multiprocessor

Blocks are taken to be alike. Not in the model: instructions that the machine code has more or less
of than the PTX, units that wait for each other, cold caches of instructions, and memory beyond L2.
"""

from __future__ import annotations

from math import ceil
from typing import NamedTuple

from tinygrad_mnist.backends.ptx.count import Counts
from tinygrad_mnist.backends.ptx.latency import warp_cycles
from tinygrad_mnist.backends.ptx.occupancy import WARP, Occupancy
from tinygrad_mnist.backends.ptx.processors import (
    L1_SECTORS,
    L2_BYTES,
    LAUNCH_SECONDS,
    SCHEDULERS,
    Processor,
)
from tinygrad_mnist.backends.ptx.requests import SECTOR

_MULTIPLY_ADDS = 16 * 8 * 8  # of a tensor instruction, the largest in use


class Estimate(NamedTuple):
    """seconds: of the launch. bound: the slowest part. parts: the seconds of each."""

    seconds: float
    bound: str
    parts: dict[str, float]


def estimate(counts: Counts, held: Occupancy, on: Processor) -> Estimate:
    """held: how many blocks run at once on a multiprocessor; one at least."""
    blocks = ceil(counts.n_blocks / on.multiprocessors)  # of the busiest multiprocessor
    share = blocks / counts.n_blocks
    warps = min(blocks, held.blocks) * -(-counts.n_threads // WARP)
    turns = ceil(blocks / held.blocks)
    moves = counts.by_class["move"]
    loads, stores = counts.total("global", "ld"), counts.total("global", "st")
    from_l2 = (counts.fetched + stores.units) * SECTOR
    cycles = {
        "latency": turns * warp_cycles(counts.kernel, counts.trace, on.cycles),
        "issue": share * (counts.instructions - moves) / min(SCHEDULERS, warps),
        "shared": share * counts.total("shared").units,
        "L1": share * (loads.units + stores.units) / L1_SECTORS,
        "L2": max(share * from_l2 / L2_BYTES, from_l2 / on.l2_bandwidth * on.hertz),
    }
    for name, lanes in on.lanes.items():
        cycles[name] = share * counts.by_class[name] * WARP / lanes
    if counts.by_class["tensor"]:
        cycles["tensor"] = share * counts.by_class["tensor"] * _MULTIPLY_ADDS / on.tensor
    parts = {name: n / on.hertz for name, n in cycles.items()}
    bound = max(parts, key=lambda name: parts[name])
    return Estimate(LAUNCH_SECONDS + parts[bound], bound, parts)
