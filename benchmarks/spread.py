"""How the chunks of a step would spread over more threads than the machine has: on paper, from the
schedule. Nothing runs.

The schedule gives the chunks of each phase and what a phase waits for. The time of a chunk is
estimated. The phase that computes takes as long as the call's arithmetic or its bytes, whichever is
more. Phases before it pack the operands, or if they have one chunk, the smaller operand; those
behind it join sums. Caches, and the cost of taking a chunk, are left out, so the speed-ups are
upper bounds.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.job import Job
from benchmarks.ours import Steps
from tinygrad_mnist import _native
from tinygrad_mnist.backends.base import Phase
from tinygrad_mnist.backends.cpu import CpuProgram
from tinygrad_mnist.compile.plan import KernelCall, Plan

WORKLOADS = ("W3", "W3@128", "W3@1000", "W7")
THREADS = (4, 8, 16)
MOST_THREADS = 256
WORTH = 1.1  # times as fast: what twice as many threads must bring
FLOPS_PER_S = 80e9  # of a thread: 400,000 FLOPs, a usual chunk, in 5 us
#: Behind a pool, gradients add scattered winners: at half of that speed, measured roughly.
SCATTERED = ("conv2d_pool_grad_filter", "conv2d_pool_grad_input")
BYTES_PER_S = 20e9  # of a thread
LISTED = 0.03  # share of the step from which on a phase is listed
WELL = 0.75  # of the ideal speed-up: phases that reach less are in the table
#: Numbers of the phases that compute, of kernels that pack before; 0 for the others.
COMPUTING = dict.fromkeys(
    (
        *("gemm", "conv2d", "conv2d_pool", "conv2d_bias_pool", "conv2d_grad_filter"),
        *("conv2d_grad_input", "conv2d_pool_grad_filter", "conv2d_pool_grad_input"),
        *("gather", "scatter_add", "scatter_set"),
    ),
    1,
)
#: kWindow of csrc/schedule.cpp: phases, from the first unfinished one on, where a thread looks for
#: work.
WINDOW = 16


@dataclass(frozen=True)
class Cut:
    """A step as the schedule cuts it: its phases, and the seconds of a chunk of each."""

    phases: Sequence[Phase]
    seconds: Sequence[float]

    @property
    def one_thread(self) -> float:
        """Seconds of all chunks one after the other."""
        return sum(p.chunks * s for p, s in zip(self.phases, self.seconds, strict=True))


def cut(plan: Plan) -> Cut:
    """The phases of a plan on the present target, with the estimated seconds of their chunks."""
    phases = CpuProgram(plan, _native.Arena()).phases
    seconds = [phase_seconds(plan.calls[p.call], p) / p.chunks for p in phases]
    return Cut(phases, seconds)


def phase_seconds(call: KernelCall, phase: Phase) -> float:
    """An estimate of all chunks of a phase together."""
    computing = COMPUTING.get(call.kernel, 0)
    if phase.number == computing:
        speed = FLOPS_PER_S / 2 if call.kernel in SCATTERED else FLOPS_PER_S
        return max(call.least_flops / speed, call.nbytes / BYTES_PER_S)
    views = call.outputs if phase.number > computing else call.inputs[:2]
    sizes = [view.spec.size * view.spec.itemsize for view in views]
    return (min(sizes) if phase.chunks == 1 else sum(sizes)) / BYTES_PER_S


def longest_chain(step: Cut) -> float:
    """Seconds with as many threads as there are chunks: those of the longest chain of phases that
    wait for each other."""
    ends: list[float] = []
    for phase, seconds in zip(step.phases, step.seconds, strict=True):
        ends.append(seconds + max((ends[p] for p in phase.after), default=0.0))
    return max(ends, default=0.0)


def spread(step: Cut, threads: int) -> float:
    """Seconds with so many threads. As in csrc/schedule.cpp, a free thread takes a chunk of the
    first phase that is ready and has chunks left, among the first unfinished one and the 15 behind
    it."""
    left = [phase.chunks for phase in step.phases]  # not yet taken
    undone = list(left)
    running: list[tuple[float, int]] = []  # when a chunk ends, and its phase
    now, first = 0.0, 0
    while first < len(left):
        for number in range(first, min(first + WINDOW, len(left))):
            if any(undone[p] for p in step.phases[number].after):
                continue
            while left[number] and len(running) < threads:
                left[number] -= 1
                heapq.heappush(running, (now + step.seconds[number], number))
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
    plan = Steps(Job("ours", "call", 1, name)).plan
    step = cut(plan)
    one = step.one_thread
    rows = []
    for phase, seconds in zip(step.phases, step.seconds, strict=True):
        share = phase.chunks * seconds / one
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
                    "speed_up": {str(n): alone(phase.chunks, n) for n in THREADS},
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


def alone(chunks: int, threads: int) -> float:
    """The speed-up of a phase by itself, of so many equal chunks."""
    return chunks / -(-chunks // threads)


def markdown(parts: Sequence[dict[str, Any]]) -> str:
    """A table of the workloads, and one of the long phases that don't fill the most threads."""
    numbers = " | ".join(f"{n} threads" for n in THREADS)
    head = f"| | calls | phases (of one chunk) | chunks | {numbers} | at most | scales to |"
    lines = [head, "| --- |" + " ---: |" * (len(THREADS) + 5)]
    for part in parts:
        speeds = " | ".join(f"{part['speed_up'][str(n)]:.1f}" for n in THREADS)
        lines.append(
            f"| {part['workload']} | {part['calls']} | {part['phases']} ({part['single_chunks']})"
            f" | {part['chunks']:,} | {speeds} | {part['limit']:.0f} | {part['stops_at']} |"
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
