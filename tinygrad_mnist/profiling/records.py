"""What a profile holds: the plan, the times of its calls, and what follows from the two."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tinygrad_mnist.backends import GPUS
from tinygrad_mnist.backends.base import Timings
from tinygrad_mnist.compile.listing import counted
from tinygrad_mnist.compile.plan import KernelCall, Plan
from tinygrad_mnist.profiling.roofline import Roofline
from tinygrad_mnist.profiling.table import show_profile
from tinygrad_mnist.profiling.trace import write_trace


@dataclass(frozen=True)
class _Cost:
    """Work and the time that it took.

    seconds: of one step. flops: arithmetic that can't be left out: behind a max-pool, that of one
    winner per window. nbytes: memory that has to be read and written. roofline_seconds: the least
    time by the machine's roofline, None where that was not measured.
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
        """What part of the machine's roofline is reached: 1 would be all that it can do."""
        if self.roofline_seconds is None or not self.seconds:
            return None
        return self.roofline_seconds / self.seconds


@dataclass(frozen=True)
class CallProfile(_Cost):
    """One kernel call of a plan; its seconds are the median over the steps.

    number: its place in the plan. call: the plan's record of it.
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

    name: of the function. plan: what was run. timings: of every step that was timed. step_seconds:
    time of a step that was not timed call by call, Python included: the median over the repeats.
    kernel_share: what part of such a step all its kernel calls take: the median ratio of repeats
    that were timed to their neighbours that were not. backend, target, threads: what ran it.
    roofline: of the machine, or None.
    """

    name: str
    plan: Plan
    timings: Timings
    step_seconds: float
    kernel_share: float
    backend: str
    target: str
    threads: int
    roofline: Roofline | None = None

    @property
    def steps(self) -> int:
        """How many steps were timed call by call."""
        return len(self.timings.begins)

    @property
    def team(self) -> list[str]:
        """How many threads ran it, such as '2 threads'; nothing of a GPU."""
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

    def share(self, cost: _Cost) -> float:
        """The part of all calls' time that one call or kernel takes."""
        return cost.seconds / self.total.seconds if self.total.seconds else 0.0

    def __str__(self) -> str:
        return show_profile(self)

    def to_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes every call of every timed step as a Chrome trace, which https://ui.perfetto.dev
        and chrome://tracing open."""
        write_trace(self, path)


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
