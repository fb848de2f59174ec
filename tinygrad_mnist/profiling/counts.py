"""Profiles without a GPU: what a step's launches do, counted on the device `ptx`.

Times in them are estimates; see `backends/ptx/estimate.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from tinygrad_mnist import backends
from tinygrad_mnist.backends.cuda.backend import CudaBackend
from tinygrad_mnist.backends.cuda.code import KernelCode
from tinygrad_mnist.backends.cuda.design import Capability, design_plan
from tinygrad_mnist.backends.ptx.count import Counts
from tinygrad_mnist.backends.ptx.counting import CountingGpu
from tinygrad_mnist.backends.ptx.estimate import Estimate, estimate
from tinygrad_mnist.backends.ptx.occupancy import Occupancy, occupancy
from tinygrad_mnist.backends.ptx.processors import PROCESSORS, Processor
from tinygrad_mnist.compile.depends import dependencies
from tinygrad_mnist.compile.plan import KernelCall, Plan
from tinygrad_mnist.profiling.records import dtype_of
from tinygrad_mnist.profiling.watch import recording

ARCHITECTURES = {f"sm_{a}{b}": (a, b) for a, b in PROCESSORS}
DEFAULT_ARCHITECTURE = "sm_90"


@dataclass(frozen=True)
class LaunchCounts:
    """A launch of a step.

    number: of its call in the plan, and call: the plan's record; None of the launch that ends a
    step. code: the machine code. held: how many of its blocks run at once on a multiprocessor.
    roofline_seconds: the least time of the call by its contract's arithmetic and memory; None for
    a call's launches but the first.
    """

    number: int | None
    call: KernelCall | None
    kernel: str
    counts: Counts
    code: KernelCode
    held: Occupancy
    estimate: Estimate
    roofline_seconds: float | None

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a block."""
        return _shared_bytes(self.code)


@dataclass(frozen=True)
class CountProfile:
    """The launches of a step, in the order of the plan. Times are estimates.

    processor: the GPU that they are for.
    """

    name: str
    plan: Plan
    processor: Processor
    launches: tuple[LaunchCounts, ...]

    @cached_property
    def seconds(self) -> float:
        """Of all launches, one after the other."""
        return sum(one.estimate.seconds for one in self.launches)

    @cached_property
    def longest_chain(self) -> tuple[int, float]:
        """The launches that wait for each other and take longest: how many, and their seconds.
        The last one of a step waits for all."""
        chains: list[tuple[float, int]] = []
        for number, waits in enumerate(dependencies(self.plan.buffers, self.plan.calls)):
            seconds, n = max((chains[w] for w in waits), default=(0.0, 0))
            own = [one.estimate.seconds for one in self.launches if one.number == number]
            chains.append((seconds + sum(own), n + len(own)))
        seconds, n = max(chains, default=(0.0, 0))
        ends = [one.estimate.seconds for one in self.launches if one.number is None]
        return n + len(ends), seconds + sum(ends)


class Counting:
    """What `counting` yields."""

    def __init__(self, gpu: CountingGpu) -> None:
        self._gpu = gpu

    def profile(self, run: Callable[[], object]) -> CountProfile:
        """The counts of the first step of `run`, a call or a sweep of one function. ValueError if
        it runs several plans, or none."""
        self._gpu.counted.clear()
        with recording() as records:
            run()
        plans = {id(record.plan) for record in records}
        if len(plans) != 1:
            raise ValueError(f"{len(plans)} plans run here: count a function that runs one")
        name, plan, _ = records[0]
        return CountProfile(name, plan, self._processor, tuple(self._launches(plan)))

    @property
    def _processor(self) -> Processor:
        return PROCESSORS[self._gpu.capability]

    def _launches(self, plan: Plan) -> Iterator[LaunchCounts]:
        counted = iter(self._gpu.counted)
        designs = [call.design for call in design_plan(plan, self._gpu.capability)]
        loaded = self._gpu.load(designs)
        owners: list[int | None] = [n for n, one in enumerate(loaded) for _ in one.kernels]
        steps = [next(counted) for _ in (*owners, None)]
        seen: dict[int | None, int] = {}
        for number, (recipe, counts) in zip((*owners, None), steps, strict=True):
            position = seen[number] = seen.get(number, -1) + 1
            call = None if number is None else plan.calls[number]
            code = self._gpu.code[recipe].kernels[position]
            yield self._launch(number, call, recipe.kernel, counts, code, position == 0)

    def _launch(
        self,
        number: int | None,
        call: KernelCall | None,
        kernel: str,
        counts: Counts,
        code: KernelCode,
        is_first: bool,
    ) -> LaunchCounts:
        on = self._processor
        held = occupancy(on.capability, counts.n_threads, code.registers, _shared_bytes(code))
        if held.blocks == 0:
            raise ValueError(
                f"a block of {kernel} doesn't fit a multiprocessor of {on.name}: {counts.n_threads}"
                f" threads, {code.registers} registers each, {_shared_bytes(code)} shared bytes"
            )
        least = None
        if call is not None and is_first:
            least = on.roofline_seconds(call.least_flops, call.nbytes, dtype_of(call))
        return LaunchCounts(
            number, call, kernel, counts, code, held, estimate(counts, held, on), least
        )


def _shared_bytes(code: KernelCode) -> int:
    total: int = code.static_bytes + code.shape.shared_bytes
    return total


@contextmanager
def counting(capability: Capability) -> Iterator[Counting]:
    """Inside, the device 'ptx' compiles for GPUs of this compute capability and counts: functions
    that are made there can be given to `Counting.profile`. DeviceError without the compiler;
    ValueError for a compute capability without figures of a GPU."""
    if capability not in PROCESSORS:
        major, minor = capability
        raise ValueError(f"no GPU of compute capability {major}.{minor} is known here")
    before = backends.backend("ptx")
    gpu = CountingGpu(capability)
    made: Any = CudaBackend(gpu)
    backends.BACKENDS["ptx"] = made
    try:
        yield Counting(gpu)
    finally:
        backends.BACKENDS["ptx"] = before
