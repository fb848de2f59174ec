"""How threads spend a step: in chunks of calls, or waiting for those of others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.backends.base import Timeline
from tinygrad_mnist.compile.listing import counted
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.contracts.core.base import Array

_LISTED = 5  # calls that others wait for
_LEAST = 0.0005  # share of the threads' time from which on a call is listed

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ThreadTime:
    """The time of all threads in a step, in shares that add up to 1.

    threads: how many. seconds: of a step. in_chunks: while they run chunks. waiting: between the
    first chunk of the step and the last, without one. around: before and behind these. waits: the
    part of `waiting` in which the chunks of each call kept the others waiting, by the call's
    number; the rest passes while no thread runs a chunk.
    """

    threads: int
    seconds: float
    in_chunks: float
    waiting: float
    around: float
    waits: tuple[float, ...]


def joined(timelines: Sequence[Timeline]) -> Timeline:
    """The runs of all timelines, which are of one plan."""
    parts: Any = zip(*(timeline[1:] for timeline in timelines), strict=True)
    return Timeline(timelines[0].phases, *map(np.concatenate, parts))


def chunk_phases(timeline: Timeline) -> Array:
    """(chunks,): the place of each chunk's phase in the list of phases."""
    return np.repeat(np.arange(len(timeline.phases)), [p.chunks for p in timeline.phases])


def thread_time(timeline: Timeline, n_calls: int, threads: int) -> ThreadTime:
    """Where the time of so many threads goes: the sums over the faster half of the steps, which
    other work on the machine has disturbed least."""
    lengths = np.diff(timeline.spans, axis=1)[:, 0]
    faster = np.argsort(lengths, kind="stable")[: -(-len(lengths) // 2)]
    total = threads * float(lengths[faster].sum())
    if not timeline.begins.size or total == 0:
        return ThreadTime(threads, 0.0, 0.0, 0.0, 1.0, (0.0,) * n_calls)
    calls = np.array([phase.call for phase in timeline.phases])[chunk_phases(timeline)]
    begins, ends = timeline.begins[faster], timeline.ends[faster]
    in_chunks = float((ends - begins).sum()) / total
    inside = threads * float((ends.max(axis=1) - begins.min(axis=1)).sum()) / total
    waits = np.zeros(n_calls)
    for begin, end in zip(begins, ends, strict=True):
        waits += np.bincount(calls, _waits_for(begin, end, threads), n_calls)
    return ThreadTime(
        threads,
        float(np.median(lengths)),
        in_chunks,
        max(inside - in_chunks, 0.0),
        1 - inside,
        tuple((waits / total).tolist()),
    )


def _waits_for(begins: Floats, ends: Floats, threads: int) -> Floats:
    """(chunks,): the seconds of threads without a chunk, each divided among the chunks that run at
    the time."""
    times = np.concatenate([begins, ends])
    order = np.argsort(times, kind="stable")
    running = np.cumsum(np.where(order < len(begins), 1, -1))[:-1]
    idle = np.where(running > 0, np.maximum(threads - running, 0) / np.maximum(running, 1), 0.0)
    until = np.empty(len(times))  # the seconds of one chunk's share that have passed by each time
    until[order] = np.concatenate([[0.0], np.cumsum(idle * np.diff(times[order]))])
    seconds: Floats = until[len(begins) :] - until[: len(begins)]
    return seconds


def time_lines(time: ThreadTime, plan: Plan) -> list[str]:
    """For a profile: how the threads spend a step, and a line for each call that they wait for."""
    lines = [
        f"a step, chunk by chunk: {time.seconds * 1e6:.1f} us of {counted(time.threads, 'thread')},"
        f" {time.in_chunks:.1%} in chunks, {time.waiting:.1%} waiting between them, "
        f"{time.around:.1%} around them"
    ]
    worst = sorted(range(len(time.waits)), key=lambda call: -time.waits[call])[:_LISTED]
    head = "waiting while others run: "
    for call in (call for call in worst if time.waits[call] >= _LEAST):
        lines.append(f"{head}{time.waits[call]:5.1%} call {call}, {plan.calls[call].kernel}")
        head = " " * len(head)
    return lines
