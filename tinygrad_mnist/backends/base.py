"""What a backend is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from tinygrad_mnist.compile.plan import CONSTANT, TEMPORARY, KernelCall, Plan
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import ConditionError, IndexOutOfRangeError
from tinygrad_mnist.graph.source import at

# What a bound buffer is bound to: an array; or a shared variable, of a backend that keeps those.
Operand = Any


class Timings(NamedTuple):
    """Points of time and durations of runs that were timed, in seconds.

    begins, ends: (runs,), of each run's first call and of the run, by one steady clock. calls:
    (runs, calls), how long each call took.
    """

    begins: Array
    calls: Array
    ends: Array


class Phase(NamedTuple):
    """A part of a call that is cut into chunks, which threads run at the same time.

    call: its number in the plan. number: of the phase, among those of the call's kernel. after: the
    phases, by their place in the program's list, that are done before it starts.
    """

    call: int
    number: int
    chunks: int
    after: list[int]


class Timeline(NamedTuple):
    """When each chunk of runs began and ended, in seconds by the clock of `Timings`.

    phases: of the plan. begins, ends: (runs, chunks), chunks in the order of the phases. members:
    (runs, chunks) int64, the thread that ran each: 0 is the caller. spans: (runs, 2), when each run
    began and ended.
    """

    phases: list[Phase]
    begins: Array
    ends: Array
    members: Array
    spans: Array


class Program(Protocol):
    """A plan made ready to run."""

    @property
    def workspace_bytes(self) -> int:
        """Memory that a run takes beside `Plan.peak_bytes`, such as for packed operands."""

    def run(self, arrays: Sequence[Operand], slots: Sequence[int]) -> None:
        """Runs the plan once.

        arrays: C-contiguous, one per bound buffer (see `bound_buffers`), in that order. slots:
        offsets of this run. Raises IndexOutOfRangeError where a range check fails; then no shared
        variable has changed.
        """

    def sweep(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> IndexOutOfRangeError | None:
        """Runs the plan once per row of `slots`, an int64 array (steps, slots), without going back
        to Python in between where the backend can.

        stacked: which arrays have a leading axis of steps; the others serve every step. progress:
        an int64 array (1,), to which each step that ran whole adds 1; it is right also where an
        exception, such as an interrupt, ends the sweep. Returns the error of the step that failed.
        """

    def profile(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> tuple[Timings, IndexOutOfRangeError | None]:
        """A sweep with every call timed. Returns the timings of the steps that ran whole, and the
        error of the one that did not.
        """


@runtime_checkable
class ChunkProgram(Protocol):
    """A program whose threads share out the chunks of its calls."""

    def timeline(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> tuple[Timeline, IndexOutOfRangeError | None]:
        """A sweep, with its calls side by side as usual, that records when each chunk ran. Returns
        what it recorded of the steps that ran whole, and the error of the one that did not.
        """


class Arena(Protocol):
    """Memory for the temporaries of several programs, of which one runs at a time."""

    @property
    def nbytes(self) -> int:
        """Bytes that are allocated at present: what the largest program needs, once one has run."""


@runtime_checkable
class Guard(Protocol):
    """A mode that watches what a backend computes, such as `NanGuardMode`."""

    def guarded(self, backend: Backend) -> Backend:
        """The backend with this guard."""


@runtime_checkable
class Guarded(Protocol):
    """A backend with a guard."""

    guard: Guard


class Backend(Protocol):
    """Makes programs of plans.

    name: the value of `config.device`. kernels: names of the kernels that it has. fuses: whether
    plans for it are rewritten to fused kernels. keeps_shared: whether its programs take shared
    variables, whose values they keep on a device, in the place of arrays. compiles: whether kernels
    are compiled when they are first used, so that it pays to `prepare` several plans. rising:
    instructions of tapes, each with a dtype, that approximate a function and never fall: a larger
    argument never gives a smaller result. keeps_depth: whether calls that don't wait for each other
    run side by side, so that no plan may have a longer chain of calls that do than its graph asks
    for. target: what computes, such as an instruction set. threads: how many of them.
    """

    name: str
    fuses: bool
    keeps_shared: bool
    compiles: bool
    rising: frozenset[tuple[str, str]]
    keeps_depth: bool

    @property
    def kernels(self) -> frozenset[str]: ...

    @property
    def target(self) -> str: ...

    @property
    def threads(self) -> int: ...

    def peak(self, dtype: str) -> float | None:
        """FLOP/s of multiply-adds in registers, measured; None where it is unknown."""

    def bandwidth(self, nbytes: int) -> float | None:
        """Bytes/s of repeated passes over so much memory, measured; None where it is unknown."""

    def arena(self) -> Arena:
        """An arena without programs."""

    def prepare(self, plans: Sequence[Plan]) -> None:
        """Compiles the kernels of plans together, where `compiles`; `program` then finds them."""

    def program(self, plan: Plan, arena: Any) -> Program:
        """A program that runs `plan` in an arena of this backend."""


def bound_buffers(plan: Plan) -> list[int]:
    """Numbers of the buffers that are bound to arrays at every run: inputs, shared, outputs."""
    return [i for i, b in enumerate(plan.buffers) if b.kind not in (CONSTANT, TEMPORARY)]


def range_error(call: KernelCall) -> IndexOutOfRangeError:
    """The error of a failed check."""
    if call.condition:
        return ConditionError(f"{call.condition}{at(*call.origins)}")
    return IndexOutOfRangeError(f"out of range: {call.label}{at(*call.origins)}")
