"""Counts what a launch does: instructions, requests to memory, divergent branches.

A warp counts as one for every run of a block of code in which a thread of it takes part: threads
that part meet again as in `machine.py`. Large launches are counted in some of their blocks, spread
evenly over the grid, the first and the last one among them, and the counts are scaled up.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.backends.ptx.blocks import SKIP, Block
from tinygrad_mnist.backends.ptx.classes import CLASSES, INDEX, class_of
from tinygrad_mnist.backends.ptx.kernel import Kernel, Shape
from tinygrad_mnist.backends.ptx.machine import launch
from tinygrad_mnist.backends.ptx.memory import VARIABLE_BASE, Window
from tinygrad_mnist.backends.ptx.observe import Observer, Running
from tinygrad_mnist.backends.ptx.program import Instruction
from tinygrad_mnist.backends.ptx.requests import SECTOR, WARP, rows_of, sectors, wavefronts
from tinygrad_mnist.backends.ptx.types import PtxError
from tinygrad_mnist.contracts.core.base import Array

COUNTED_THREADS = 1 << 16  # of a launch; of larger ones, so many are counted


@dataclass
class Access:
    """What one load or store has done. requests: by warps. units: sectors of global memory, or
    wavefronts of shared memory; least: how many of them would do."""

    instruction: Instruction
    space: str
    requests: int = 0
    units: int = 0
    least: int = 0


class Sum(NamedTuple):
    """Of all accesses of a kind. per_request: units; 0 without requests."""

    requests: int
    units: int
    least: int

    @property
    def per_request(self) -> float:
        return self.units / self.requests if self.requests else 0.0

    @property
    def excess(self) -> int:
        """Units that there would be none of without conflicts, or with dense accesses."""
        return self.units - self.least


@dataclass
class Counts:
    """Of one launch.

    counted: blocks that were counted. The figures are scaled up to all blocks, but for `accesses`.
    by_class: instructions of warps. thread_instructions: instructions of threads. divergent:
    branches at which a warp parted. barriers: of a warp, on average. fetched: sectors that blocks
    read, each once by a block. trace: the blocks of code that the warp with the most instructions
    ran.
    """

    kernel: Kernel
    shape: Shape
    counted: int
    by_class: dict[str, int]
    thread_instructions: int
    divergent: int
    fetched: int
    accesses: list[Access]
    trace: list[int] = field(repr=False)

    @property
    def n_blocks(self) -> int:
        return prod(self.shape.grid)

    @property
    def n_threads(self) -> int:
        """Of a block."""
        return prod(self.shape.block)

    @property
    def is_sampled(self) -> bool:
        return self.counted < self.n_blocks

    @cached_property
    def instructions(self) -> int:
        """Of all warps."""
        return sum(self.by_class.values())

    def share(self, *classes: str) -> float:
        """The share of these classes among the instructions."""
        return sum(self.by_class[c] for c in classes) / max(self.instructions, 1)

    @property
    def active_threads(self) -> float:
        """Threads that take part in an instruction of a warp, on average."""
        return self.thread_instructions / max(self.instructions, 1)

    @property
    def barriers(self) -> float:
        """That a warp waits at, on average."""
        return self.by_class["barrier"] / (self.n_blocks * -(-self.n_threads // WARP))

    def total(self, space: str, name: str = "") -> Sum:
        """The accesses of a space, scaled up. name: 'ld' or 'st' alone."""
        chosen = [a for a in self.accesses if a.space == space and name in ("", a.instruction.name)]
        scale = self.n_blocks / self.counted
        return Sum(
            *(
                round(scale * sum(getattr(a, part) for a in chosen))
                for part in ("requests", "units", "least")
            )
        )


def count(
    kernel: Kernel, shape: Shape, parameters: Sequence[int], windows: Sequence[Window]
) -> Counts:
    """Runs a launch, as `machine.launch` does, and counts. PtxError for accesses outside of
    operands; races aren't looked for."""
    counter = Counter(kernel)
    launch(kernel, shape, parameters, windows, counter)
    return counter.counts(shape)


class Counter(Observer):
    """Counts one launch; finds nothing wrong but what stops it anyway."""

    def __init__(self, kernel: Kernel, most_threads: int = COUNTED_THREADS) -> None:
        super().__init__()
        self._kernel = kernel
        self._most_threads = most_threads
        self._warps_at = np.zeros(len(kernel.blocks), np.int64)
        self._threads_at = np.zeros(len(kernel.blocks), np.int64)
        self._lengths = _lengths(kernel.blocks)
        self._divergent = self._fetched = 0
        self._accesses: dict[int, Access] = {}
        self._run: Running | None = None
        self._block: Array | None = None  # `run.block` as the warps below were found
        self._counted = 0
        self._seats: dict[int, tuple[Any, Array, Array, Array]] = {}
        self._path: list[tuple[int, Array]] = []
        self._weights = np.zeros(0, np.int64)
        self._best, self.trace = 0, list[int]()
        self._read: list[Array] = []
        self._places: dict[int, int] = {}  # of allocations, by their ids

    # --- what the machine calls ---------------------------------------------------------------

    def watched(self, n_blocks: int, n_threads: int) -> Array:
        self._counted = min(n_blocks, max(2, self._most_threads // n_threads))
        if self._counted == n_blocks:
            return np.arange(n_blocks)
        return np.linspace(0, n_blocks - 1, self._counted).round().astype(np.int64)

    def begin(self, windows: Iterable[Window], word: int) -> None:
        for window in windows:
            window.allocation.shadow = None

    def doubts(self) -> dict[int, Array]:
        return {}

    def entered(self, run: Running, number: int, lanes: Any) -> None:
        if run is not self._run:
            self._finish()
            self._run = run
            self._weights = np.zeros(len(run.numbers) * -(-run.n_threads // WARP), np.int64)
        warps, _, _ = self._by_warp(run, lanes)
        self._warps_at[number] += len(warps)
        self._threads_at[number] += len(run.block) if lanes is None else len(lanes)
        self._path.append((number, warps))
        self._weights[warps] += self._lengths[number]

    def parted(self, run: Running, number: int, lanes: Any, condition: Array) -> None:
        block = self._kernel.blocks[number]
        if block.end is None or block.end.opcode == SKIP:
            return
        _, row, _ = self._by_warp(run, lanes)
        n = int(row[-1]) + 1
        taken = np.bincount(row, condition, n)
        here = np.bincount(row, minlength=n)
        self._divergent += int(np.count_nonzero((taken > 0) & (taken < here)))

    def loaded(
        self,
        run: Running,
        window: Window,
        index: Any,
        itemsize: int,
        used: tuple[bool, ...],
        site: int,
        lanes: Any,
    ) -> None:
        self._accessed(run, window, index, itemsize * len(used), site, lanes)

    def stored(
        self,
        run: Running,
        window: Window,
        index: Any,
        view: Array,
        values: tuple[Any, ...],
        site: int,
        lanes: Any,
    ) -> None:
        self._accessed(run, window, index, view.itemsize * len(values), site, lanes)

    def found(self, *finding: Any, **_: Any) -> None:
        super().found(*finding)
        raise PtxError(str(self.findings[0]))

    # --- the counts ---------------------------------------------------------------------------

    def counts(self, shape: Shape) -> Counts:
        """After the launch."""
        self._finish()
        scale = prod(shape.grid) / max(self._counted, 1)
        by_class = np.zeros(len(CLASSES), np.int64)
        blocks = self._kernel.blocks
        for block, n in zip(blocks, self._warps_at, strict=True):
            for name in issued(blocks, block):
                by_class[INDEX[name]] += n
        lengths = [len(b.body) + (b.end is not None and b.end.opcode != SKIP) for b in blocks]
        return Counts(
            self._kernel,
            shape,
            self._counted,
            {name: round(scale * int(n)) for name, n in zip(CLASSES, by_class, strict=True)},
            round(scale * int(self._threads_at @ np.array(lengths, np.int64))),
            round(scale * self._divergent),
            round(scale * self._fetched),
            list(self._accesses.values()),
            self.trace,
        )

    def _by_warp(self, run: Running, lanes: Any) -> tuple[Array, Array, Array]:
        """The numbers of the warps of some threads; of each thread, which of them it is in, and its
        lane there."""
        if run.block is not self._block:
            self._block, self._seats = run.block, {}
        known = self._seats.get(id(lanes))
        if known is not None:
            return known[1:]
        block, thread = run.block, run.thread
        if lanes is not None:
            block, thread = block[lanes], thread[lanes]
        number = block * -(-run.n_threads // WARP) + thread // WARP
        is_new = np.diff(number, prepend=-1) != 0
        found = (lanes, number[is_new], np.cumsum(is_new) - 1, thread % WARP)
        if len(self._seats) > 16:  # the threads of blocks of code that have run
            self._seats = {}
        self._seats[id(lanes)] = found
        return found[1:]

    def _accessed(
        self, run: Running, window: Window, index: Any, width: int, site: int, lanes: Any
    ) -> None:
        instruction = self._kernel.sites[site]
        space = _space(window)
        access = self._accesses.setdefault(site, Access(instruction, space))
        warps, row, lane = self._by_warp(run, lanes)
        access.requests += len(warps)
        if space not in ("global", "shared"):
            return
        addresses = np.broadcast_to(index, len(row))
        if space == "shared":
            addresses = addresses % max(window.stride, 1)
        table, active = rows_of(addresses, row, lane, len(warps))
        if space == "shared":
            units, least = wavefronts(table, active, width, instruction.name != "st")
        else:
            units, least, in_order = sectors(table, width)
            if instruction.name != "st":
                self._note_read(window, in_order, warps // -(-run.n_threads // WARP))
        access.units += int(units.sum())
        access.least += int(least.sum())

    def _note_read(self, window: Window, in_order: Array, block: Array) -> None:
        """Remembers which sectors blocks read."""
        place = self._places.setdefault(id(window.allocation), len(self._places))
        keys = in_order // SECTOR + ((block[:, None] << 16 | place) << 32)
        is_new = np.diff(keys, axis=1, prepend=-1) != 0
        self._read.append(keys[is_new])

    def _finish(self) -> None:
        """After some blocks of the launch have ended."""
        if self._read:
            self._fetched += len(np.unique(np.concatenate(self._read)))
            self._read = []
        if len(self._weights) and int(self._weights.max()) > self._best:
            warp = int(self._weights.argmax())
            self._best = int(self._weights[warp])
            self.trace = [number for number, warps in self._path if _has(warps, warp)]
        self._path = []


def _has(warps: Array, warp: int) -> bool:
    place = int(np.searchsorted(warps, warp))
    return place < len(warps) and int(warps[place]) == warp


def _space(window: Window) -> str:
    if window.per:
        return "shared" if window.per == "block" else "local"
    return "constant" if window.base >= VARIABLE_BASE else "global"


def issued(blocks: Sequence[Block], block: Block) -> list[str]:
    """The classes of the instructions that a warp issues with a block of code. An instruction with
    a guard belongs to the block before it: all threads meet it, those that skip it as well."""
    before = blocks[block.number - 1].end if block.number else None
    if before is not None and before.opcode == SKIP:
        return []
    names = [class_of(i) for i in block.body]
    if block.end is not None and block.end.opcode == SKIP:
        guarded = blocks[block.number + 1]
        alone = guarded.body[0] if guarded.body else guarded.end
        assert alone is not None
        return [*names, class_of(alone)]
    return names if block.end is None else [*names, class_of(block.end)]


def _lengths(blocks: Sequence[Block]) -> list[int]:
    return [len(issued(blocks, block)) for block in blocks]
