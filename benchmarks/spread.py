"""How the chunks of a step would spread over more threads than the machine has: on paper, from the
schedule and a timeline.

The schedule gives the chunks of each phase and what a phase waits for. Their times are those of one
thread, recorded. What the caches of several cores change, and the cost of taking a chunk and of
waiting for one, are left out, so the speed-ups are upper bounds.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks.job import Job
from benchmarks.ours import Steps
from benchmarks.scaling import steps_of
from benchmarks.workloads import parse
from tinygrad_mnist import _native
from tinygrad_mnist.backends.base import Phase, Timeline
from tinygrad_mnist.datasets import draw_digits
from tinygrad_mnist.profiling.watch import RecordedChunks, recording_chunks

WORKLOADS = ("W1", "W3", "W3@128", "W3@1000", "W7")
THREADS = (2, 4, 8, 16)
MOST_THREADS = 256
WORTH = 1.1  # times as fast: what twice as many threads must bring
LEAST_STEPS = 9  # that are recorded; more of small workloads
LISTED = 0.03  # share of the step from which on a phase is listed
WELL = 0.75  # of the ideal speed-up: phases that reach less are in the table
#: kWindow of csrc/schedule.cpp: phases, from the first unfinished one on, where a thread looks for
#: work.
WINDOW = 16


@dataclass(frozen=True)
class Cut:
    """A step as the schedule cuts it: its phases, and the seconds of each chunk of each phase."""

    phases: Sequence[Phase]
    seconds: Sequence[Sequence[float]]

    @property
    def one_thread(self) -> float:
        """Seconds of all chunks one after the other."""
        return sum(map(sum, self.seconds))


def recorded(name: str, steps: int) -> RecordedChunks:
    """So many steps of a workload in one thread, on generated digits."""
    runner = Steps(Job("ours", "loop", 1, name))
    batch = parse(name).batch
    pixels, labels = draw_digits(batch, seed=1)
    runner.load(np.divide(pixels.reshape(batch, -1), 256, dtype=np.float32), labels)
    runner.quantum = steps
    runner.run(steps)  # makes the plan
    with recording_chunks() as records:
        runner.run(steps)
    (record,) = records
    return record


def cut(timeline: Timeline) -> Cut:
    """The phases of a timeline of one thread, with the lower quartiles of their chunks' times."""
    seconds = np.quantile(timeline.ends - timeline.begins, 0.25, axis=0)
    ends = np.cumsum([phase.chunks for phase in timeline.phases])
    return Cut(timeline.phases, [part.tolist() for part in np.split(seconds, ends[:-1])])


def longest_chain(step: Cut) -> float:
    """Seconds with as many threads as there are chunks: those of the longest chain of phases that
    wait for each other."""
    ends: list[float] = []
    for phase, seconds in zip(step.phases, step.seconds, strict=True):
        ends.append(max(seconds) + max((ends[p] for p in phase.after), default=0.0))
    return max(ends, default=0.0)


def spread(step: Cut, threads: int) -> float:
    """Seconds with so many threads. As in csrc/schedule.cpp, a free thread takes a chunk of the
    first phase that is ready and has chunks left, among the first unfinished one and the 15 behind
    it."""
    left = [list(reversed(seconds)) for seconds in step.seconds]  # not yet taken
    undone = [phase.chunks for phase in step.phases]
    running: list[tuple[float, int]] = []  # when a chunk ends, and its phase
    now, first = 0.0, 0
    while first < len(left):
        for number in range(first, min(first + WINDOW, len(left))):
            if any(undone[p] for p in step.phases[number].after):
                continue
            while left[number] and len(running) < threads:
                heapq.heappush(running, (now + left[number].pop(), number))
        now, number = heapq.heappop(running)
        undone[number] -= 1
        while first < len(left) and not undone[first]:
            first += 1
    return now


def stops_at(step: Cut) -> int:
    """The number of threads from which on twice as many are less than a tenth faster."""
    threads, seconds = 1, spread(step, 1)
    while threads < MOST_THREADS:
        twice = spread(step, 2 * threads)
        if seconds < WORTH * twice:
            break
        threads, seconds = 2 * threads, twice
    return threads


def figures(name: str) -> dict[str, Any]:
    """A workload's speed-ups, and its phases that take longest."""
    plan, timeline = recorded(name, max(LEAST_STEPS, steps_of(parse(name).flops)))
    step = cut(timeline)
    one = step.one_thread
    rows = []
    for phase, seconds in zip(step.phases, step.seconds, strict=True):
        share = sum(seconds) / one
        if share >= LISTED:
            call = plan.calls[phase.call]
            rows.append(
                {
                    "call": phase.call,
                    "kernel": call.kernel,
                    "shapes": [list(v.layout.shape) for v in (*call.inputs[:2], *call.outputs[:1])],
                    "phase": phase.number,
                    "chunks": phase.chunks,
                    "share": share,
                    "speed_up": {str(n): alone(seconds, n) for n in THREADS},
                }
            )
    return {
        "workload": name,
        "target": _native.target(),
        "calls": len(plan.calls),
        "phases": len(step.phases),
        "chunks": sum(p.chunks for p in step.phases),
        "single_chunks": sum(p.chunks == 1 for p in step.phases),
        "one_thread_s": one,
        "speed_up": {str(n): one / spread(step, n) for n in THREADS},
        "limit": one / longest_chain(step),
        "stops_at": stops_at(step),
        "rows": rows,
    }


def alone(seconds: Sequence[float], threads: int) -> float:
    """The speed-up of a phase by itself, whose chunks take so long."""
    step = Cut([Phase(0, 0, len(seconds), [])], [seconds])
    return step.one_thread / spread(step, threads)


def markdown(parts: Sequence[dict[str, Any]]) -> str:
    """A table of the workloads, and one of the long phases that don't fill the most threads."""
    numbers = " | ".join(f"{n} threads" for n in THREADS)
    head = "| | calls | phases (of one chunk) | chunks | 1 thread, µs"
    lines = [f"{head} | {numbers} | at most | scales to |"]
    lines += ["| --- |" + " ---: |" * (len(THREADS) + 6)]
    for part in parts:
        speeds = " | ".join(f"{part['speed_up'][str(n)]:.1f}" for n in THREADS)
        lines.append(
            f"| {part['workload']} | {part['calls']} | {part['phases']} ({part['single_chunks']})"
            f" | {part['chunks']:,} | {part['one_thread_s'] * 1e6:,.0f} | {speeds}"
            f" | {part['limit']:.0f} | {part['stops_at']} |"
        )
    lines += ["", f"| | call | phase | share | chunks | {numbers} |"]
    lines += ["| --- | --- |" + " ---: |" * (len(THREADS) + 3)]
    return "\n".join([*lines, *(line for part in parts for line in _phase_lines(part)), ""])


def _phase_lines(part: dict[str, Any]) -> Iterator[str]:
    for row in sorted(part["rows"], key=lambda row: -row["share"]):
        if row["speed_up"][str(THREADS[-1])] >= WELL * THREADS[-1]:
            continue
        speeds = " | ".join(f"{row['speed_up'][str(n)]:.1f}" for n in THREADS)
        out = " x ".join(map(str, row["shapes"][-1]))
        yield (
            f"| {part['workload']} | {row['kernel']} to {out} | {row['phase']} "
            f"| {row['share']:.0%} | {row['chunks']} | {speeds} |"
        )
