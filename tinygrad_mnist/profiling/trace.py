"""Profiles as Chrome traces: the Trace Event Format, as JSON.

One lane has the steps, one their kernel calls. Times are microseconds since the first call.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_mnist.backends.base import Timings
from tinygrad_mnist.compile.plan import KernelCall, Plan, show_call
from tinygrad_mnist.files import write_whole

_PROCESS = 1
_STEPS, _CALLS = 1, 2  # lanes

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
    yield _name("process_name", 0, title)
    yield _name("thread_name", _STEPS, "steps")
    yield _name("thread_name", _CALLS, calls)
    facts = [_facts(plan, call) for call in plan.calls]
    # Whole nanoseconds, so that adjacent events are still adjacent after rounding.
    zero = timings.begins[0] if len(timings.begins) else 0.0
    steps = np.stack([timings.begins, timings.ends], axis=1) - zero
    borders = np.cumsum(np.column_stack([steps[:, 0], timings.calls]), axis=1)
    for step, (span, edges) in enumerate(
        zip(_nanoseconds(steps), _nanoseconds(borders), strict=True)
    ):
        yield _complete(f"step {step}", "step", _STEPS, span[0], max(span[1], edges[-1]), {})
        for number, call in enumerate(plan.calls):
            begin, end = edges[number], edges[number + 1]
            args = {**facts[number], "GFLOP/s": call.least_flops / max(end - begin, 1)}
            yield _complete(call.kernel, "kernel", _CALLS, begin, end, args)


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


def _name(kind: str, lane: int, name: str) -> Event:
    return {"name": kind, "ph": "M", "pid": _PROCESS, "tid": lane, "args": {"name": name}}


def _complete(
    name: str, category: str, lane: int, begin: int, end: int, args: dict[str, Any]
) -> Event:
    """An event from `begin` to `end`, in nanoseconds; the format has microseconds."""
    return {
        "name": name,
        "cat": category,
        "ph": "X",
        "pid": _PROCESS,
        "tid": lane,
        "ts": begin / 1000,
        "dur": (end - begin) / 1000,
        "args": args,
    }
