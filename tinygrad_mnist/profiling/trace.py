"""Profiles as Chrome traces: the Trace Event Format, as JSON.

One lane has the steps, one their kernel calls. The chunks of a timeline are a process of their own:
one lane has the steps, and each thread has one. Times are microseconds since the first call.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_mnist.backends.base import Phase, Timeline, Timings
from tinygrad_mnist.compile.plan import KernelCall, Plan, show_call
from tinygrad_mnist.files import write_whole

_TIMED, _OVERLAPPING = 1, 2  # processes
_STEPS, _CALLS = 1, 2  # lanes; that of the first thread is behind _STEPS
_MOST_CHUNKS = 50_000  # of a timeline; more make a file that viewers are slow to open

Event = dict[str, Any]


def write_trace(path: str | os.PathLike[str], events: Iterable[Event]) -> None:
    """Writes a trace to a file."""
    import json  # here and not above: few programs need it

    trace = {"traceEvents": list(events), "displayTimeUnit": "ns"}
    write_whole(path, json.dumps(trace).encode())


def trace_events(plan: Plan, timings: Timings, title: str, calls: str) -> Iterator[Event]:
    """The names of the lanes, then a complete event per step and per call, in order of time.

    title: of the whole trace. calls: name of the lane with the kernel calls.
    """
    yield _name("process_name", _TIMED, 0, title)
    yield _name("thread_name", _TIMED, _STEPS, "steps")
    yield _name("thread_name", _TIMED, _CALLS, calls)
    facts = [_facts(plan, call) for call in plan.calls]
    # Whole nanoseconds, so that adjacent events are still adjacent after rounding.
    zero = timings.begins[0] if len(timings.begins) else 0.0
    steps = np.stack([timings.begins, timings.ends], axis=1) - zero
    borders = np.cumsum(np.column_stack([steps[:, 0], timings.calls]), axis=1)
    for step, (span, edges) in enumerate(
        zip(_nanoseconds(steps), _nanoseconds(borders), strict=True)
    ):
        end = max(span[1], edges[-1])
        yield _complete(f"step {step}", "step", _TIMED, _STEPS, span[0], end, {})
        for number, call in enumerate(plan.calls):
            begin, end = edges[number], edges[number + 1]
            args = {**facts[number], "GFLOP/s": call.least_flops / max(end - begin, 1)}
            yield _complete(call.kernel, "kernel", _TIMED, _CALLS, begin, end, args)


def timeline_events(
    plan: Plan, timeline: Timeline, threads: int, zero: float, title: str
) -> Iterator[Event]:
    """The names of the lanes, then an event per step and per chunk; those of a lane in order of
    time. Of a long timeline, only the first steps.

    zero: where the trace begins, by the timeline's clock.
    """
    yield _name("process_name", _OVERLAPPING, 0, f"{title}, calls side by side")
    yield _name("thread_name", _OVERLAPPING, _STEPS, "steps")
    for member in range(threads):
        name = f"thread {member}{'' if member else ', the caller'}"
        yield _name("thread_name", _OVERLAPPING, _STEPS + 1 + member, name)
    chunks = [_chunk_event(plan, p, i) for p in timeline.phases for i in range(p.chunks)]
    n_steps = max(1, _MOST_CHUNKS // max(len(chunks), 1))
    of_steps = (a[:n_steps] for a in (timeline.spans, timeline.begins, timeline.ends))
    spans, begins, ends = (_nanoseconds(a - zero) for a in of_steps)
    members = timeline.members.tolist()
    for step, (begin, end) in enumerate(spans):
        name = f"step {step}"
        yield _complete(name, "overlapping step", _OVERLAPPING, _STEPS, begin, end, {})
        for i in sorted(range(len(chunks)), key=lambda i: (begins[step][i], ends[step][i])):
            name, args = chunks[i]
            lane = _STEPS + 1 + members[step][i]
            at = begins[step][i], ends[step][i]
            yield _complete(name, "chunk", _OVERLAPPING, lane, *at, args)


def _chunk_event(plan: Plan, phase: Phase, chunk: int) -> tuple[str, dict[str, Any]]:
    """The name of a chunk's event, such as `2.1 gemm`: the call's number, the phase's, and the
    kernel; and what it shows."""
    args = {"call": phase.call, "phase": phase.number, "chunk": chunk, "chunks": phase.chunks}
    return f"{phase.call}.{phase.number} {plan.calls[phase.call].kernel}", args


def _nanoseconds(seconds: Any) -> list[list[int]]:
    whole: list[list[int]] = np.rint(seconds * 1e9).astype(np.int64).tolist()
    return whole


def _facts(plan: Plan, call: KernelCall) -> dict[str, Any]:
    text, *tapes = show_call(plan, call)
    return {
        "call": text,
        "tapes": tapes,
        "inputs": [list(v.true_shape) for v in call.inputs],
        "outputs": [list(v.true_shape) for v in call.outputs],
        "FLOP": call.least_flops,
        "bytes": call.nbytes,
        "line": "; ".join(map(str, call.origins)),
    }


def _name(kind: str, process: int, lane: int, name: str) -> Event:
    return {"name": kind, "ph": "M", "pid": process, "tid": lane, "args": {"name": name}}


def _complete(
    name: str,
    category: str,
    process: int,
    lane: int,
    begin: int,
    end: int,
    args: dict[str, Any],
) -> Event:
    """An event from `begin` to `end`, in nanoseconds; the format has microseconds."""
    return {
        "name": name,
        "cat": category,
        "ph": "X",
        "pid": process,
        "tid": lane,
        "ts": begin / 1000,
        "dur": (end - begin) / 1000,
        "args": args,
    }
