"""`mode='nan_guard'`: a plan runs call by call and stops at the first one that makes a NaN.

Every call becomes a program of its own, and its results are checked on the host. Shared variables
are updated in copies, which are kept only if all calls pass. So a run is many times slower than
without the guard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_mnist.backends import Backend
from tinygrad_mnist.backends.base import Arena, Operand, Program, Timings, bound_buffers
from tinygrad_mnist.backends.interrupts import interrupts_deferred
from tinygrad_mnist.backends.reference import timed_steps, view_elements
from tinygrad_mnist.compile.plan import CONSTANT, INPUT, SHARED, KernelCall, Plan, show_call
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import IndexOutOfRangeError, NanGuardError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.types import FLOATS, tensor_type
from tinygrad_mnist.graph.values import flag

_BIG = 1e10  # as Theano has it


@dataclass(frozen=True)
class NanGuardMode:
    """A mode of `function`: a call stops with a NanGuardError (an AssertionError) at the first
    kernel call that makes a NaN, an infinity, or a number beyond 1e10, or at an input or shared
    variable that has one. The error names the call and the user's lines; shared variables stay as
    they were.

    nan_is_error, inf_is_error, big_is_error: what is looked for; None takes the setting of that
    name in `config.NanGuardMode`. optimizer, linker: of Theano, have no effect.
    """

    nan_is_error: bool | None = None
    inf_is_error: bool | None = None
    big_is_error: bool | None = None
    optimizer: Any = None
    linker: Any = None

    def __post_init__(self) -> None:
        for name in ("nan_is_error", "inf_is_error", "big_is_error"):
            given = getattr(self, name)
            wanted = config.setting(f"NanGuardMode.{name}") if given is None else given
            object.__setattr__(self, name, flag(wanted, name))

    def guarded(self, backend: Backend) -> Backend:
        """The backend with this guard."""
        return GuardedBackend(backend, self)

    def problem(self, array: Array) -> str | None:
        """What is wrong with the numbers in an array; None if nothing is."""
        if array.dtype.name not in FLOATS:
            return None
        if self.nan_is_error and np.isnan(array).any():
            return "a NaN"
        if self.inf_is_error and np.isinf(array).any():
            return "an infinity"
        size = np.abs(array[np.isfinite(array)])
        if self.big_is_error and (size > _BIG).any():
            return f"a number beyond {_BIG:.0e}"
        return None


class GuardedBackend:
    """A backend whose programs check the results of every call."""

    def __init__(self, backend: Backend, mode: NanGuardMode) -> None:
        self._backend = backend
        self.guard = mode
        self.name = backend.name
        self.fuses = backend.fuses
        self.keeps_shared = backend.keeps_shared
        self.compiles = backend.compiles
        self.rising = backend.rising
        self.keeps_depth = backend.keeps_depth

    @property
    def kernels(self) -> frozenset[str]:
        return self._backend.kernels

    @property
    def target(self) -> str:
        return self._backend.target

    @property
    def threads(self) -> int:
        return self._backend.threads

    def peak(self, dtype: str) -> float | None:
        """See `Backend`."""
        return self._backend.peak(dtype)

    def bandwidth(self, nbytes: int) -> float | None:
        """See `Backend`."""
        return self._backend.bandwidth(nbytes)

    def arena(self) -> Arena:
        return self._backend.arena()

    def prepare(self, plans: Sequence[Plan]) -> None:
        self._backend.prepare([_of_one_call(p, c)[0] for p in plans for c in p.calls])

    def program(self, plan: Plan, arena: Any) -> Program:
        return GuardedProgram(plan, arena, self._backend, self.guard)


def _of_one_call(plan: Plan, call: KernelCall) -> tuple[Plan, list[int]]:
    """A plan of one call whose buffers are bound, but for constants; and their numbers in the
    whole plan. On a device they are kept as shared variables are, since they may be read and
    written."""
    used = sorted({v.buffer for v in (*call.inputs, *call.outputs)})
    buffers = tuple(
        b if b.kind == CONSTANT else replace(b, kind=SHARED, leaf=None, offset=0)
        for b in (plan.buffers[number] for number in used)
    )
    alone = call.with_buffers(used.index)
    small = replace(plan, buffers=buffers, calls=(alone,), depends=((),), outputs=(), arena_bytes=0)
    return small, [number for number in used if plan.buffers[number].kind != CONSTANT]


class GuardedProgram:
    """See `Program`."""

    def __init__(self, plan: Plan, arena: Any, backend: Backend, mode: NanGuardMode) -> None:
        self._plan = plan
        self._mode = mode
        self._keeps_shared = backend.keeps_shared
        self._bound = bound_buffers(plan)
        self._written = {v.buffer for call in plan.calls for v in call.outputs}
        self._programs = []
        for call in plan.calls:
            small, numbers = _of_one_call(plan, call)
            self._programs.append((backend.program(small, arena), numbers))

    def run(self, arrays: Sequence[Operand], slots: Sequence[int]) -> None:
        with interrupts_deferred():
            for _ in self._calls(arrays, slots):
                pass

    def _calls(self, arrays: Sequence[Operand], slots: Sequence[int]) -> Iterator[None]:
        """Runs the plan once, with a stop before the first call and after each; the updates come
        with the last."""
        bound = dict(zip(self._bound, arrays, strict=True))
        memory = {
            number: self._memory(number, bound.get(number))
            for number, buffer in enumerate(self._plan.buffers)
            if buffer.kind != CONSTANT
        }
        self._check_leaves(memory)
        yield
        for number, (call, (program, buffers)) in enumerate(
            zip(self._plan.calls, self._programs, strict=True)
        ):
            operands = [memory[b] for b in buffers]
            program.run(
                operands if self._keeps_shared else [v.storage_to_write for v in operands], slots
            )
            self._check_results(number, call, memory, slots)
            if number < len(self._plan.calls) - 1:
                yield
        for number, operand in bound.items():
            if number in self._written:
                result = memory[number].storage
                target = (
                    operand.storage_to_write if isinstance(operand, SharedVariable) else operand
                )
                target[...] = result
        if self._plan.calls:
            yield

    def _memory(self, number: int, operand: Operand | None) -> SharedVariable:
        """The memory of a buffer: that of the operand, or a copy where calls change it."""
        buffer = self._plan.buffers[number]
        if operand is None:
            array = np.empty(buffer.shape, buffer.dtype)
        else:
            array = operand.storage if isinstance(operand, SharedVariable) else operand
            array = array.copy() if number in self._written else array
        return SharedVariable(array, tensor_type(buffer.dtype, (False,) * len(buffer.shape)))

    def _check_leaves(self, memory: dict[int, SharedVariable]) -> None:
        kinds = {INPUT: "the input", SHARED: "the shared variable"}
        for number, buffer in enumerate(self._plan.buffers):
            if buffer.kind in kinds:
                problem = self._mode.problem(memory[number].host_array)
                if problem is not None:
                    source = buffer.leaf.source if buffer.leaf is not None else None
                    raise NanGuardError(
                        f"{kinds[buffer.kind]} {buffer.name} has {problem}{at(source)}"
                    )

    def _check_results(
        self, number: int, call: KernelCall, memory: dict[int, SharedVariable], slots: Sequence[int]
    ) -> None:
        for view in call.outputs:
            arrays = {view.buffer: memory[view.buffer].storage}
            problem = self._mode.problem(view_elements(arrays, view, slots))
            if problem is not None:
                text = "  ".join(show_call(self._plan, call))
                raise NanGuardError(
                    f"call {number} of the plan makes {problem}: {text}{at(*call.origins)}"
                )

    def sweep(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> IndexOutOfRangeError | None:
        """See `Program`."""
        return self.profile(arrays, stacked, slots, progress)[1]

    def profile(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> tuple[Timings, IndexOutOfRangeError | None]:
        """A sweep with every call timed, checks included; see `Program`."""
        return timed_steps(self._calls, len(self._plan.calls), arrays, stacked, slots, progress)
