"""What is wrong in a launch, with kernel, block, thread, and the line of the Python code."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np

from tinygrad_mnist.backends.ptx.memory import Window
from tinygrad_mnist.backends.ptx.program import Instruction
from tinygrad_mnist.backends.ptx.races import Shadow, moments, thread_of
from tinygrad_mnist.contracts.core.base import Array

#: Kinds of findings. Two do no harm. `same value`: threads write the same value to one word without
#: an order. `idle read`: a thread reads what another one writes, without an order, or shared memory
#: that nothing has written; but whatever it reads, the launch leaves the same memory.
KINDS = (
    "outside",
    "misaligned",
    "write",
    "unwritten",
    "race",
    "same value",
    "idle read",
    "divergent",
    "overflow",
    "warp",
)
HARMLESS = ("same value", "idle read")

Triple = tuple[int, int, int]


class Finding(NamedTuple):
    """kind: one of KINDS. thread, block: the first that did it; times: how many threads did."""

    kind: str
    kernel: str
    block: Triple
    thread: Triple
    text: str
    instruction: Instruction
    times: int

    def __str__(self) -> str:
        where = f"block {self.block}, thread {self.thread}"
        return (
            f"{self.kind}: {self.kernel}, {where} {self.text}: {self.instruction}"
            f" ({self.times} threads)"
        )


class Running(Protocol):
    """The part of `machine.Run` that is used here."""

    kernel: Any
    shape: Any
    numbers: Array
    n_threads: int
    block: Array
    thread: Array
    epochs: Array


def coordinates(number: int, extent: Triple) -> Triple:
    """The place of a block or thread by its number."""
    x, y, _ = extent
    return number % x, number // x % y, number // (x * y)


class Observer:
    """Collects findings over any number of launches: one for each kind, instruction and text.

    checks_unwritten: whether reads of memory never written are reported: not behind a failed check,
    after which kernels don't write what later ones read.
    """

    def __init__(self) -> None:
        self._findings: dict[tuple[Any, ...], Finding] = {}
        # Of the present launch: reads of memory that it may write; what may turn out to be idle,
        # with its kind otherwise; and the loads and moments of unwritten shared memory.
        self._reads: list[tuple[int, Shadow, Array, Array]] = []
        self._doubtful: list[tuple[Any, ...]] = []
        self._unwritten: list[tuple[int, Array]] = []
        self.checks_unwritten = True

    @property
    def findings(self) -> list[Finding]:
        return list(self._findings.values())

    @property
    def faults(self) -> list[Finding]:
        """The findings that are not harmless."""
        return [f for f in self._findings.values() if f.kind not in HARMLESS]

    # --- launches -----------------------------------------------------------------------------

    def watched(self, n_blocks: int, n_threads: int) -> Array:
        """The blocks of a launch that this observer follows, ascending: all. The others run
        unobserved. n_threads: of a block."""
        return np.arange(n_blocks)

    def begin(self, windows: Iterable[Window], word: int) -> None:
        """Before a launch: nothing has touched the memory that it may write."""
        self._reads, self._doubtful, self._unwritten = [], [], []
        reach: dict[int, list[int]] = {}
        windows = list(windows)
        for window in windows:
            window.allocation.shadow = None
            if window.writable and window.high > window.low:
                begin = window.start + window.low - window.base
                part = [begin, begin + window.high - window.low]
                known = reach.setdefault(id(window.allocation), part)
                known[:] = [min(known[0], part[0]), max(known[1], part[1])]
        for window in windows:
            if id(window.allocation) in reach and window.allocation.shadow is None:
                begin, end = reach[id(window.allocation)]
                window.allocation.shadow = Shadow(begin, end, word)

    def doubts(self) -> dict[int, Array]:
        """After a launch: by the number of a load, the moments of the threads that read there what
        others write without an order, or what nothing has written."""
        found: dict[int, list[Array]] = {}
        for site, own in self._unwritten:
            found.setdefault(site, []).append(own)
        if self._doubtful:
            for site, shadow, words, own in self._reads:
                bad = shadow.written_by_others(words, own)
                if bad.any():
                    found.setdefault(site, []).append(own[bad])
        return {site: np.unique(np.concatenate(parts)) for site, parts in found.items()}

    def settle(self, harmless: bool) -> None:
        """Records the reads in doubt. harmless: whether these are known to be idle."""
        for run, kind, *rest in self._doubtful:
            self._add(run, "idle read" if harmless else kind, *rest)

    def altered(self, run: Running, values: Any, site: int, lanes: Any) -> Any:
        """What a load gives its threads: what the memory has."""
        return values

    def entered(self, run: Running, number: int, lanes: Any) -> None:
        """Threads are about to run a block of code."""

    def parted(self, run: Running, number: int, lanes: Any, condition: Array) -> None:
        """Of the threads at the end of a block of code, some take its branch and some don't."""

    # --- findings -----------------------------------------------------------------------------

    def found(
        self,
        run: Running,
        kind: str,
        text: str,
        i: Instruction,
        lanes: Any,
        in_doubt: bool = False,
    ) -> None:
        """Records what threads did; of what is known already, only how often. in_doubt: whether it
        is harmless if a read of this launch is idle, see `settle`."""
        count = len(run.block) if lanes is None else len(lanes)
        lane = 0 if lanes is None else int(lanes[0])
        finding = (run, kind, text, i, int(run.block[lane]), int(run.thread[lane]), count)
        if in_doubt:
            self._doubtful.append(finding)
        else:
            self._add(*finding)

    def _add(
        self, run: Running, kind: str, text: str, i: Instruction, block: int, thread: int, n: int
    ) -> None:
        key = (kind, run.kernel.name, i.line, i.location)
        if key in self._findings:
            known = self._findings[key]
            self._findings[key] = known._replace(times=known.times + n)
            return
        self._findings[key] = Finding(
            kind,
            run.kernel.name,
            coordinates(int(run.numbers[block]), run.shape.grid),
            coordinates(thread, run.shape.block),
            text,
            i,
            n,
        )

    def divergent(self, run: Running, block: int, barrier: Instruction) -> None:
        text = "waits at a barrier that other threads of its block don't reach"
        self._add(run, "divergent", text, barrier, block, int(run.thread[run.block == block][0]), 1)

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
        """A load. index: of each thread, the first byte in the allocation. used: which elements the
        kernel reads later; the others don't count."""
        allocation = window.allocation
        index, lanes = _spread(run, index, lanes)
        if allocation.written is not None and self.checks_unwritten:
            flags = allocation.written.view(f"u{itemsize}")
            whole = flags.dtype.type(int.from_bytes(b"\1" * itemsize, "little"))
            for k, is_used in enumerate(used):
                if not is_used:
                    continue
                missing = np.flatnonzero(flags[index // itemsize + k] != whole)
                if len(missing):
                    first, own = int(index[missing[0]]) + k * itemsize, lanes[missing]
                    text = f"reads {_place(window, first)}, which nothing has written"
                    is_shared = window.per == "block"
                    if is_shared:
                        self._unwritten.append((site, _moments(run, own)))
                    self.found(run, "unwritten", text, run.kernel.sites[site], own, is_shared)
        if allocation.shadow is None:
            return
        last = len(used) - used[::-1].index(True) if True in used else 0
        words, own, which = allocation.shadow.words(index, last * itemsize, _moments(run, lanes))
        if not last or not len(words):
            return
        bad, others = allocation.shadow.read(words, own)
        if not window.per:
            self._reads.append((site, allocation.shadow, words, own))
        if bad.any():
            where = np.flatnonzero(bad)
            threads = np.unique(which[where])
            other = _who(run, others[where[0]])
            text = f"reads {_place(window, int(index[threads[0]]))}, which {other}"
            text += " writes without a barrier between"
            in_doubt = not window.per
            self.found(run, "race", text, run.kernel.sites[site], lanes[threads], in_doubt)

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
        """A store, before it is done."""
        allocation, itemsize = window.allocation, view.itemsize
        index, lanes = _spread(run, index, lanes)
        if allocation.written is not None:
            flags = allocation.written.view(f"u{itemsize}")
            whole = flags.dtype.type(int.from_bytes(b"\1" * itemsize, "little"))
            for k in range(len(values)):
                flags[index // itemsize + k] = whole
        if allocation.shadow is None:
            return
        nbytes = itemsize * len(values)
        words, own, which = allocation.shadow.words(index, nbytes, _moments(run, lanes))
        by_write, by_read, together, others = allocation.shadow.write(words, own)
        bad = by_write | by_read | together
        if not bad.any():
            return
        where = np.flatnonzero(bad)
        as_before, alike = _same_values(index, view, values)
        of = which[where]
        same = ~by_read[where] & (~by_write[where] | as_before[of]) & (~together[where] | alike[of])
        only_read = by_read[where] & ~(by_write | together)[where] & (not window.per)
        for kind, chosen in (
            ("race", where[~same & ~only_read]),
            ("in doubt", where[only_read]),
            ("same value", where[same]),
        ):
            if not len(chosen):
                continue
            threads = np.unique(which[chosen])
            how = "writes with the same value" if kind == "same value" else "reads or writes"
            text = f"writes {_place(window, int(index[threads[0]]))}, which"
            text += f" {_who(run, others[chosen[0]])} {how} without a barrier between"
            i, in_doubt = run.kernel.sites[site], kind == "in doubt"
            self.found(run, "race" if in_doubt else kind, text, i, lanes[threads], in_doubt)


def _spread(run: Running, index: Any, lanes: Any) -> tuple[Array, Array]:
    """Index and number of each thread."""
    if lanes is None:
        lanes = np.arange(len(run.block))
    return np.broadcast_to(index, len(lanes)), lanes


def _moments(run: Running, lanes: Array) -> Array:
    block = run.block[lanes]
    return moments(run.numbers[block], run.epochs[block], run.thread[lanes])


def _same_values(index: Array, view: Array, values: tuple[Any, ...]) -> tuple[Array, Array]:
    """Of each thread, whether it writes what the memory has already, and whether all threads of
    this store that write to the same place write the same."""
    as_before, alike = np.ones(len(index), bool), np.ones(len(index), bool)
    bits = view.view(f"u{view.itemsize}")
    for k, value in enumerate(values):
        place = index // view.itemsize + k
        own = np.broadcast_to(value, len(index)).astype(view.dtype).view(bits.dtype)
        places, inverse = np.unique(place, return_inverse=True)
        low, high = np.full(len(places), ~bits.dtype.type(0)), np.zeros(len(places), bits.dtype)
        np.minimum.at(low, inverse, own)
        np.maximum.at(high, inverse, own)
        as_before &= bits[place] == own
        alike &= (low == high)[inverse]
    return as_before, alike


def _place(window: Window, index: int) -> str:
    copy = window.stride if window.per else 0
    offset = index - window.start - (window.low - window.base)
    return f"byte {offset % copy if copy else offset} of {window.name}"


def _who(run: Running, moment: Any) -> str:
    other = thread_of(int(moment))
    if other is None:
        return "a thread of another block"
    block, thread = other
    place = coordinates(thread, run.shape.block)
    return f"thread {place} of block {coordinates(block, run.shape.grid)}"
