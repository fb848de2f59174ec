"""Timed runs: those that a profile records, and all runs if `config.debug` is at least 2."""

from __future__ import annotations

import atexit
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.backends.base import ChunkProgram, Operand, Program, Timeline, Timings
from tinygrad_mnist.compile.listing import counted, scaled
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.compile.report import RUNS
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import IndexOutOfRangeError

_TOP = 4  # kernels that a line names


class Recorded(NamedTuple):
    """Consecutive runs of one plan, with the name of their function."""

    name: str
    plan: Plan
    timings: Timings


class RecordedChunks(NamedTuple):
    """Consecutive runs of one plan, chunk by chunk."""

    plan: Plan
    timeline: Timeline


class _Records(NamedTuple):
    """What one `recording`, or one `recording_chunks`, has recorded."""

    runs: list[Recorded] | None = None
    chunks: list[RecordedChunks] | None = None


_records: ContextVar[_Records] = ContextVar("records", default=_Records())  # noqa: B039
_recorders: list[object] = []  # one for each recording in any thread; quicker to check


@contextmanager
def recording() -> Iterator[list[Recorded]]:
    """Times every run of a function in this thread and adds it to the list that it yields."""
    runs: list[Recorded] = []
    with _installed(_Records(runs=runs)):
        yield runs


@contextmanager
def recording_chunks() -> Iterator[list[RecordedChunks]]:
    """Records when each chunk runs, in every run of a function in this thread whose device has
    chunks, and adds it to the list that it yields. Calls run side by side as usual."""
    chunks: list[RecordedChunks] = []
    with _installed(_Records(chunks=chunks)):
        yield chunks


@contextmanager
def _installed(records: _Records) -> Iterator[None]:
    token = _records.set(records)
    _recorders.append(token)
    try:
        yield
    finally:
        _recorders.remove(token)
        _records.reset(token)


def watched(program: Program, name: str, plan: Plan) -> Program:
    """`program` itself, or one that records its runs if a profile or `config.debug` needs it."""
    if _recorders:
        runs, chunks = _records.get()
        if chunks is not None and isinstance(program, ChunkProgram):
            return ChunkRecorder(program, name, plan)
        if runs is not None:
            return TimedProgram(program, name, plan)
    return TimedProgram(program, name, plan) if config.debug >= RUNS else program


class TimedProgram:
    """A program that times each of its runs, for the recorder and for standard error."""

    def __init__(self, program: Program, name: str, plan: Plan) -> None:
        self._program = program
        self._name = name
        self._plan = plan

    @property
    def workspace_bytes(self) -> int:
        return self._program.workspace_bytes

    def run(self, arrays: Sequence[Operand], slots: Sequence[int]) -> None:
        row = np.array(slots, dtype=np.int64).reshape(1, -1)
        progress = np.zeros(1, dtype=np.int64)
        error = self.sweep(arrays, [False] * len(arrays), row, progress)
        if error is not None:
            raise error

    def sweep(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> IndexOutOfRangeError | None:
        return self.profile(arrays, stacked, slots, progress)[1]

    def profile(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> tuple[Timings, IndexOutOfRangeError | None]:
        timings, error = self._program.profile(arrays, stacked, slots, progress)
        if len(timings.begins):
            runs = _records.get().runs
            if runs is not None:
                runs.append(Recorded(self._name, self._plan, timings))
            if config.debug >= RUNS:
                _print_runs(self._name, self._plan, timings)
        return timings, error


class ChunkRecorder(TimedProgram):
    """A program that records the chunks of each of its runs."""

    def __init__(self, program: Any, name: str, plan: Plan) -> None:
        super().__init__(program, name, plan)
        self._chunk_program: ChunkProgram = program

    def sweep(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> IndexOutOfRangeError | None:
        timeline, error = self._chunk_program.timeline(arrays, stacked, slots, progress)
        chunks = _records.get().chunks
        if chunks is not None and len(timeline.begins):
            chunks.append(RecordedChunks(self._plan, timeline))
        return error


# --- reports on standard error ------------------------------------------------------------------

_totals: dict[str, tuple[int, Counter[str]]] = {}  # by function: runs, seconds of each kernel


def _print_runs(name: str, plan: Plan, timings: Timings) -> None:
    """Prints a line on these runs; the totals are printed when the process ends."""
    runs = len(timings.begins)
    seconds = _by_kernel(plan, timings)
    each = sum(seconds.values()) / runs
    what = f"run of {name}" if runs == 1 else f"{runs} runs of {name}"
    speed = f", {scaled(plan.flops / each)}FLOP/s" if each else ""
    print(
        f"{what}: {counted(len(plan.calls), 'call')} in {duration(each)}"
        f"{'' if runs == 1 else ' each'}{speed}: {_top(seconds)}",
        file=sys.stderr,
    )
    if not _totals:
        atexit.register(_print_totals)
    before, known = _totals.get(name, (0, Counter()))
    _totals[name] = before + runs, known + seconds


def _by_kernel(plan: Plan, timings: Timings) -> Counter[str]:
    seconds: Counter[str] = Counter()
    for call, total in zip(plan.calls, timings.calls.sum(axis=0).tolist(), strict=True):
        seconds[call.kernel] += total
    return seconds


def _top(seconds: Counter[str]) -> str:
    total = sum(seconds.values()) or 1.0
    shares = [f"{kernel} {share / total:.0%}" for kernel, share in seconds.most_common(_TOP)]
    return ", ".join(shares) or "nothing"


def _print_totals() -> None:
    if config.debug < RUNS:
        return
    for name, (runs, seconds) in _totals.items():
        took = f"{counted(runs, 'run')} of {name} in {duration(sum(seconds.values()))}"
        print(f"in all, {took}: {_top(seconds)}", file=sys.stderr)


def duration(seconds: float) -> str:
    """Three digits and a unit: `912 ns`, `4.56 us`, `123 ms`, `7.89 s`."""
    if not seconds:
        return "0 s"
    for unit, size in (("ns", 1e-9), ("us", 1e-6), ("ms", 1e-3)):
        if seconds < 999.5 * size:
            value = seconds / size
            digits = 0 if value >= 99.95 else 1 if value >= 9.995 else 2
            return f"{value:.{digits}f} {unit}"
    return f"{seconds:.3g} s" if seconds < 1000 else f"{seconds:.0f} s"
