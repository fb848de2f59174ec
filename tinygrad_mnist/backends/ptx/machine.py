"""Runs a kernel: all threads of many blocks at once, block of code by block of code.

Of the blocks of code that threads wait to run, the one that comes first in the text runs first, for
all threads that are there. So threads that have parted meet again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import inf, prod
from typing import Any

import numpy as np

from tinygrad_mnist.backends.ptx.accesses import Accesses
from tinygrad_mnist.backends.ptx.exchange import Exchange
from tinygrad_mnist.backends.ptx.idle import CHANGES, Alteration
from tinygrad_mnist.backends.ptx.kernel import Kernel, Shape
from tinygrad_mnist.backends.ptx.memory import AddressSpace, Allocation, Window
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.backends.ptx.program import Instruction
from tinygrad_mnist.backends.ptx.threads import Lanes
from tinygrad_mnist.backends.ptx.types import PtxError
from tinygrad_mnist.contracts.core.base import Array

# Threads that run at once: enough that NumPy's cost of a call is small, and that a register still
# fits in the L1 cache.
THREADS_AT_ONCE = 8192
# How long a launch with changed values may run, in runs of the first one: a changed value may be
# the end of a loop.
LONGEST = 8


class _TooLongError(Exception):
    """A launch has run more blocks of code than it may."""


def launch(
    kernel: Kernel,
    shape: Shape,
    parameters: Sequence[int],
    windows: Sequence[Window],
    observer: Observer | None = None,
) -> None:
    """Runs a kernel.

    parameters: the values of its parameters, integers or addresses. windows: the memory that they
    point to. observer: records what is wrong; without one, the first access outside of an operand
    raises PtxError.
    """
    if len(parameters) != len(kernel.parameters):
        raise PtxError(
            f"{kernel.name} has {len(kernel.parameters)} parameters, not {len(parameters)}"
        )
    fixed = [*windows, *kernel.constant_windows()]
    if observer is None:
        _execute(kernel, shape, parameters, fixed, None)
        return
    written = {id(w.allocation): w.allocation for w in fixed if w.writable}.values()
    before = [allocation.data.copy() for allocation in written]
    n_run = _execute(kernel, shape, parameters, fixed, observer)
    doubts = observer.doubts()
    harmless = False
    if doubts:
        after = [allocation.data.copy() for allocation in written]

        def is_without_effect(change: dict[int, int]) -> bool:
            _restore(written, before)
            alteration = Alteration(doubts, change)
            try:
                _execute(kernel, shape, parameters, fixed, alteration, LONGEST * n_run)
            except _TooLongError:
                return False
            pairs = zip(written, after, strict=True)
            return all(np.array_equal(allocation.data, data) for allocation, data in pairs)

        harmless = all(map(is_without_effect, CHANGES))
        _restore(written, after)
    observer.settle(harmless)


def _restore(allocations: Iterable[Allocation], contents: Iterable[Array]) -> None:
    for allocation, data in zip(allocations, contents, strict=True):
        allocation.data[...] = data


def _execute(
    kernel: Kernel,
    shape: Shape,
    parameters: Sequence[int],
    windows: Sequence[Window],
    observer: Observer | None,
    limit: float = inf,
) -> int:
    """Runs all blocks. Returns how many blocks of code were run; _TooLongError beyond `limit`."""
    n_threads, n_run = prod(shape.block), 0
    if observer is not None:
        observer.begin(windows, kernel.word("global"))
    with np.errstate(all="ignore"):
        for numbers, watching in _portions(shape, observer):
            n = len(numbers)
            own = kernel.own_windows(n, n * n_threads, shape, watching is not None)
            space = AddressSpace([*windows, *own])
            run = Run(kernel, shape, parameters, space, numbers, watching)
            n_run += run.run(limit - n_run)
    return n_run


def _portions(shape: Shape, observer: Observer | None) -> Iterator[tuple[Array, Observer | None]]:
    """Blocks that run at once, and who observes them."""
    n_threads, n_blocks = prod(shape.block), prod(shape.grid)
    at_once = max(1, THREADS_AT_ONCE // n_threads)
    every = np.arange(n_blocks)
    watched = every[:0] if observer is None else observer.watched(n_blocks, n_threads)
    others = np.setdiff1d(every, watched, assume_unique=True)
    for blocks, who in ((watched, observer), (others, None)):
        for first in range(0, len(blocks), at_once):
            yield blocks[first : first + at_once], who


class Run(Accesses, Exchange):
    """Some blocks of a launch."""

    def run(self, limit: float) -> int:
        """Runs them to the end. Returns how many blocks of code were run; _TooLongError beyond
        `limit`."""
        n_run = 0
        pending: dict[int, list[Lanes]] = {0: [None]}
        waiting: list[tuple[int, Lanes, Instruction]] = []
        while pending or waiting:
            if n_run >= limit:
                raise _TooLongError
            n_run += 1
            if not pending:
                pending = self._pass_barrier(waiting)
                waiting = []
            number = min(pending)
            lanes = self._gathered(pending.pop(number))
            if self.observer is not None:
                self.observer.entered(self, number, lanes)
            condition = self.kernel.functions[number](self, lanes)
            block = self.kernel.blocks[number]
            end = block.end
            if end is None:
                pending.setdefault(number + 1, []).append(lanes)
            elif end.name in ("bar", "barrier"):
                waiting.append((number + 1, lanes, end))
            elif end.name != "bra":
                self.alive -= self.n if lanes is None else len(lanes)
            else:
                assert block.target is not None
                for target, part in self._parted(number, lanes, condition):
                    to = block.target if target else number + 1
                    pending.setdefault(to, []).append(part)
        return n_run

    def _parted(self, number: int, lanes: Lanes, condition: Any) -> list[tuple[bool, Lanes]]:
        """The threads for which a branch is taken, and the others."""
        if condition is None:
            return [(True, lanes)]
        if condition.ndim == 0:
            return [(bool(condition), lanes)]
        taken = np.flatnonzero(condition)
        if len(taken) in (0, len(condition)):
            return [(len(taken) > 0, lanes)]
        if self.observer is not None:
            self.observer.parted(self, number, lanes, condition)
        others = np.flatnonzero(~condition)
        if lanes is not None:
            taken, others = lanes[taken], lanes[others]
        return [(True, taken), (False, others)]

    def _gathered(self, parts: list[Lanes]) -> Lanes:
        """The threads of several parts; None if they are all that have not ended."""
        if parts[0] is None:
            return None
        lanes = parts[0]
        if len(parts) > 1:
            lanes = np.concatenate(parts)
        if len(lanes) == self.alive:
            if self.alive < self.n:
                self._forget_ended(np.sort(lanes))
            return None
        return np.sort(lanes, kind="stable") if len(parts) > 1 else lanes

    def _forget_ended(self, lanes: Array) -> None:
        """Numbers the threads anew: those that have ended take no part any more."""
        self.registers = [r if r is None or r.ndim == 0 else r[lanes] for r in self.registers]
        self._special = {k: v if v.ndim == 0 else v[lanes] for k, v in self._special.items()}
        self.block, self.thread = self.block[lanes], self.thread[lanes]
        self.n = len(lanes)

    def _pass_barrier(
        self, waiting: list[tuple[int, Lanes, Instruction]]
    ) -> dict[int, list[Lanes]]:
        """All threads that have not ended wait: lets them go on."""
        if self.observer is not None:
            for _, lanes, barrier in waiting:
                counts = np.bincount(self.block if lanes is None else self.block[lanes])
                parted = (counts > 0) & (counts < self.n_threads)
                if parted.any():
                    self.observer.divergent(self, int(np.flatnonzero(parted)[0]), barrier)
        pending: dict[int, list[Lanes]] = {}
        for target, lanes, _ in waiting:
            blocks = self.block if lanes is None else self.block[lanes]
            self.epochs[np.unique(blocks)] += 1
            pending.setdefault(target, []).append(lanes)
        return pending


__all__ = ["Kernel", "Run", "Shape", "launch"]
