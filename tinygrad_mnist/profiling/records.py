"""Profiles: a plan with the times of its calls, the figures that follow, and their tables."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np

from tinygrad_mnist.backends import GPUS
from tinygrad_mnist.backends.base import Timeline, Timings
from tinygrad_mnist.compile.listing import counted, show_origins, wrapped_origins
from tinygrad_mnist.compile.plan import KernelCall, Plan
from tinygrad_mnist.profiling.columns import aligned, cut, terminal_width
from tinygrad_mnist.profiling.roofline import Roofline
from tinygrad_mnist.profiling.timeline import ThreadTime, thread_time, time_lines
from tinygrad_mnist.profiling.trace import timeline_events, trace_events, write_trace

_SHAPES = 42  # characters
COSTS = ("us", "share", "GFLOP/s", "GB/s", "roofline")
CALL_HEAD = ("#", "kernel", "shapes", *COSTS)
KERNEL_HEAD = ("kernel", "calls", *COSTS)


@dataclass(frozen=True)
class _Cost:
    """Work and the time that it took.

    seconds: of one step. flops: the arithmetic that is necessary: after a max-pool, that of one
    winner per window. nbytes: memory that has to be read and written. roofline_seconds: the least
    time by the machine's roofline, None if that was not measured.
    """

    kernel: str
    seconds: float
    flops: int
    nbytes: int
    roofline_seconds: float | None

    @property
    def flops_per_second(self) -> float:
        return self.flops / self.seconds if self.seconds else 0.0

    @property
    def bytes_per_second(self) -> float:
        return self.nbytes / self.seconds if self.seconds else 0.0

    @property
    def roofline_share(self) -> float | None:
        """The share of the machine's roofline that is reached; 1 is the upper bound."""
        if self.roofline_seconds is None or not self.seconds:
            return None
        return self.roofline_seconds / self.seconds


@dataclass(frozen=True)
class CallProfile(_Cost):
    """One kernel call of a plan; its seconds are the median over the steps.

    number: its index in the plan. call: the plan's record of it.
    """

    number: int
    call: KernelCall


@dataclass(frozen=True)
class KernelProfile(_Cost):
    """All calls of one kernel in a step, `calls` of them; the sums of their medians."""

    calls: int


@dataclass(frozen=True)
class Profile:
    """The times of a plan's calls over many steps. Prints as a table.

    name: of the function. plan: the plan that ran. timings: of every step that was timed.
    step_seconds: time of a step that was not timed call by call, Python included: the median over
    the repeats; None for a segment of a function that is cut. backend, target, threads: where it
    ran. roofline: of the machine, or None. timeline: when each chunk ran, in other runs than those
    that were timed call by call; None where it wasn't recorded.
    """

    name: str
    plan: Plan
    timings: Timings
    step_seconds: float | None
    backend: str
    target: str
    threads: int
    roofline: Roofline | None = None
    timeline: Timeline | None = None

    @property
    def steps(self) -> int:
        """How many steps were timed call by call."""
        return len(self.timings.begins)

    @property
    def team(self) -> list[str]:
        """The number of threads, such as '2 threads'; empty for a GPU."""
        return [] if self.backend in GPUS else [counted(self.threads, "thread")]

    @cached_property
    def calls(self) -> tuple[CallProfile, ...]:
        """The calls in the order of the plan."""
        medians = np.median(self.timings.calls, axis=0).tolist()
        return tuple(
            CallProfile(call.kernel, s, call.least_flops, call.nbytes, self._least(call), i, call)
            for i, (call, s) in enumerate(zip(self.plan.calls, medians, strict=True))
        )

    def _least(self, call: KernelCall) -> float | None:
        if self.roofline is None:
            return None
        return self.roofline.seconds(call.least_flops, call.nbytes, dtype_of(call))

    @cached_property
    def kernels(self) -> tuple[KernelProfile, ...]:
        """The calls grouped by kernel, those that take longest first."""
        groups: dict[str, list[CallProfile]] = {}
        for call in self.calls:
            groups.setdefault(call.kernel, []).append(call)
        sums = [
            KernelProfile(*_sums(kernel, group), len(group)) for kernel, group in groups.items()
        ]
        return tuple(sorted(sums, key=lambda k: -k.seconds))

    @cached_property
    def total(self) -> KernelProfile:
        """All calls of a step together."""
        return KernelProfile(*_sums("all", self.calls), len(self.calls))

    @cached_property
    def timed_seconds(self) -> float:
        """Time of a step that was timed call by call: that of all calls, and the median of what
        passes between them."""
        between = self.timings.ends - self.timings.begins - self.timings.calls.sum(axis=1)
        return self.total.seconds + max(float(np.median(between)), 0.0)

    @property
    def kernel_share(self) -> float:
        """The part of `timed_seconds` that the calls take; at most 1."""
        return self.total.seconds / self.timed_seconds if self.timed_seconds else 0.0

    @cached_property
    def thread_time(self) -> ThreadTime | None:
        """How the threads spend a step, by the timeline; None without one."""
        if self.timeline is None:
            return None
        return thread_time(self.timeline, len(self.plan.calls), self.threads)

    def share(self, cost: _Cost) -> float:
        """The part of all calls' time that one call or kernel takes."""
        return cost.seconds / self.total.seconds if self.total.seconds else 0.0

    def __str__(self) -> str:
        return show_profile(self)

    def to_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes every call of every timed step as a Chrome trace, which https://ui.perfetto.dev
        and chrome://tracing open; and the chunks of the timeline, if there is one."""
        title, lane = f"{self.name} on {self.backend}", ", ".join(["kernel calls", *self.team])
        events = trace_events(self.plan, self.timings, title, lane)
        if self.timeline is not None:
            zero = float(self.timings.begins[0])
            chunks = timeline_events(self.plan, self.timeline, self.threads, zero, title)
            events = chain(events, chunks)
        write_trace(path, events)


def _sums(kernel: str, calls: Iterable[CallProfile]) -> tuple[str, float, int, int, float | None]:
    group = list(calls)
    least = [c.roofline_seconds for c in group if c.roofline_seconds is not None]
    return (
        kernel,
        sum(c.seconds for c in group),
        sum(c.flops for c in group),
        sum(c.nbytes for c in group),
        sum(least) if len(least) == len(group) else None,
    )


def dtype_of(call: KernelCall) -> str:
    """The float dtype whose peak bounds a call: float64 where an operand has it."""
    dtypes = {view.dtype for view in (*call.inputs, *call.outputs)}
    return "float64" if "float64" in dtypes else "float32"


# --- tables -------------------------------------------------------------------------------------


def show_profile(profile: Profile, width: int | None = None) -> str:
    """A profile as text: a title, a table by call, one by kernel, the totals, and where the calls
    come from.

    width: in characters, by default that of the terminal. Where it is short, columns are left out,
    the shapes first.
    """
    width = width or terminal_width()
    lines = [title(profile), ""]
    lines += aligned(CALL_HEAD, list(call_rows(profile)), width)
    lines += ["", *aligned(KERNEL_HEAD, list(kernel_rows(profile)), width), ""]
    return "\n".join([*lines, *summary(profile), "", *origin_lines(profile.plan, width)])


def title(profile: Profile) -> str:
    """The function, the backend and the number of steps, in one line."""
    processor = ", ".join([profile.target, *profile.team])
    steps = counted(profile.steps, "step")
    return f"{profile.name} on {profile.backend} ({processor}): medians of {steps}"


def call_rows(profile: Profile) -> Iterator[list[str]]:
    """A row per call, in the order of the plan."""
    for c in profile.calls:
        yield [str(c.number), c.kernel, shapes(c.call), *_costs(profile, c)]


def kernel_rows(profile: Profile) -> Iterator[list[str]]:
    """A row per kernel, and one for all."""
    for kernel in (*profile.kernels, profile.total):
        yield [kernel.kernel, str(kernel.calls), *_costs(profile, kernel)]


def _costs(profile: Profile, cost: CallProfile | KernelProfile) -> list[str]:
    reached = cost.roofline_share
    microseconds = cost.seconds * 1e6
    return [
        f"{microseconds:.{2 if microseconds < 10 else 1}f}",
        f"{profile.share(cost):.1%}",
        f"{cost.flops_per_second / 1e9:.1f}",
        f"{cost.bytes_per_second / 1e9:.1f}",
        "-" if reached is None else f"{reached:.0%}",
    ]


def shapes(call: KernelCall) -> str:
    """`2x4 <- 2x3, 3x4`, operands by their shapes in memory."""
    inputs, outputs = (
        ", ".join("x".join(map(str, v.true_shape)) or "scalar" for v in views)
        for views in (call.inputs, call.outputs)
    )
    return cut(f"{outputs or '-'} <- {inputs or '-'}", _SHAPES)


def summary(profile: Profile) -> list[str]:
    """The totals, and the machine's roofline if it was measured."""
    lines = [
        f"a step, timed call by call: {profile.timed_seconds * 1e6:.1f} us, "
        f"of which the calls take {profile.kernel_share:.0%}",
    ]
    if profile.step_seconds is not None:
        lines.append(f"a step, not timed call by call: {profile.step_seconds * 1e6:.1f} us")
    if profile.thread_time is not None:
        lines += time_lines(profile.thread_time, profile.plan)
    if profile.roofline is not None:
        peaks = ", ".join(
            f"{peak / 1e9:.1f} GFLOP/s in {dtype}" for dtype, peak in profile.roofline.peaks.items()
        )
        lines.append(f"this machine: {peaks}")
        lines.append(f"and GB/s by working set: {bandwidths(profile)}")
    return lines


def bandwidths(profile: Profile) -> str:
    """`16 KiB 204, 64 KiB 105, ...`: every second step of the ladder."""
    assert profile.roofline is not None
    return ", ".join(
        f"{size >> 20} MiB {rate / 1e9:.0f}" if size >= 1 << 20
        else f"{size >> 10} KiB {rate / 1e9:.0f}"
        for size, rate in profile.roofline.bandwidths[::2]
    )  # fmt: skip


def origin_lines(plan: Plan, width: int) -> list[str]:
    """The user's lines that each call comes from."""
    lines = ["the lines of the program that the calls come from:"]
    for number, call in enumerate(plan.calls):
        origins = show_origins(call.origins, plan.file_names) or "-"
        lines += wrapped_origins(origins, width, f"call {number}, {call.kernel}: ", "    ")
    return lines
