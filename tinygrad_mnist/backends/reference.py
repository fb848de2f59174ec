"""The oracle: each call by its contract's NumPy function. Slow, and easy to believe."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from tinygrad_mnist.backends.base import (
    Arena,
    Operand,
    Program,
    Timings,
    bound_buffers,
    range_error,
)
from tinygrad_mnist.backends.interrupts import interrupts_deferred
from tinygrad_mnist.compile.plan import CONSTANT, TEMPORARY, KernelCall, Plan, View
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import IndexOutOfRangeError


class ReferenceProgram:
    """A plan over NumPy arrays."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._bound = bound_buffers(plan)

    def run(self, arrays: Sequence[Operand], slots: Sequence[int]) -> None:
        with interrupts_deferred():
            for _ in self._calls(arrays, slots):
                pass

    def _calls(self, arrays: Sequence[Operand], slots: Sequence[int]) -> Iterator[None]:
        """Runs the plan once, with a stop before the first call and after each."""
        memory: dict[int, Array] = dict(zip(self._bound, arrays, strict=True))
        for number, buffer in enumerate(self._plan.buffers):
            if buffer.kind == CONSTANT:
                assert buffer.value is not None
                memory[number] = buffer.value
            elif buffer.kind == TEMPORARY:
                memory[number] = np.empty(buffer.shape, dtype=buffer.dtype)
        yield
        for call in self._plan.calls:
            inputs = [view_elements(memory, v, slots) for v in call.inputs]
            results = _results(call, inputs)
            for view, result in zip(call.outputs, results, strict=True):
                view_elements(memory, view, slots)[...] = result
            yield

    def sweep(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> IndexOutOfRangeError | None:
        """Runs the plan once per row of `slots`; see `Program`."""
        for step, row in enumerate(slots.tolist()):
            with interrupts_deferred():
                try:
                    self.run(of_step(arrays, stacked, step), row)
                except IndexOutOfRangeError as error:
                    return error
                progress += 1
        return None

    def profile(
        self, arrays: Sequence[Operand], stacked: Sequence[bool], slots: Array, progress: Array
    ) -> tuple[Timings, IndexOutOfRangeError | None]:
        """A sweep with every call timed; see `Program`."""
        return timed_steps(self._calls, len(self._plan.calls), arrays, stacked, slots, progress)


def timed_steps(
    calls: Callable[[Sequence[Operand], Sequence[int]], Iterable[object]],
    n_calls: int,
    arrays: Sequence[Operand],
    stacked: Sequence[bool],
    slots: Array,
    progress: Array,
) -> tuple[Timings, IndexOutOfRangeError | None]:
    """A sweep with every call timed, for programs that run their calls one by one; see `Program`.

    calls: `(operands of a step, its slots)`: pauses before the first call and after every one.
    """
    points: list[list[float]] = []
    failure = None
    for step, row in enumerate(slots.tolist()):
        with interrupts_deferred():
            try:
                current = of_step(arrays, stacked, step)
                points.append([perf_counter() for _ in calls(current, row)])
            except IndexOutOfRangeError as error:
                failure = error
                break
            progress += 1
    times = np.array(points).reshape(len(points), n_calls + 1)
    return Timings(times[:, 0], np.diff(times, axis=1), times[:, -1]), failure


def _results(call: KernelCall, inputs: Sequence[Array]) -> list[Array]:
    """The outputs of a call; IndexOutOfRangeError where it is a check that fails."""
    contract = CONTRACTS[call.kernel]
    try:
        with np.errstate(all="ignore"):
            return contract.reference(call.params, inputs, [v.spec for v in call.outputs])
    except IndexError:
        if not contract.checks:
            raise
        raise range_error(call) from None


def of_step(arrays: Sequence[Array], stacked: Sequence[bool], step: int) -> list[Array]:
    """The arrays of one step of a sweep."""
    return [
        a[step : step + 1].reshape(a.shape[1:]) if s else a
        for a, s in zip(arrays, stacked, strict=True)
    ]


def view_elements(memory: dict[int, Array], view: View, slots: Sequence[int]) -> Array:
    """The elements of a view as a NumPy array over the buffer's memory."""
    layout = view.layout
    flat = memory[view.buffer].reshape(-1)
    offset = layout.offset + sum(slots[slot] * step for slot, step in layout.slots)
    if layout.size == 0:
        return np.empty(layout.shape, dtype=view.dtype)
    strides = tuple(s * flat.itemsize for s in layout.strides)
    result: Any = np.lib.stride_tricks.as_strided(
        flat[offset:], layout.shape, strides, writeable=flat.flags.writeable
    )
    return result  # type: ignore[no-any-return]


class NoArena:
    """Temporaries are arrays of their own, made anew in every run."""

    nbytes = 0


class ReferenceBackend:
    """NumPy, and the base vocabulary only: the graph as it is, no fusion."""

    name = "reference"
    fuses = False
    keeps_shared = False
    compiles = False
    target = "NumPy"
    threads = 1
    rising: frozenset[tuple[str, str]] = frozenset()
    keeps_depth = False

    @property
    def kernels(self) -> frozenset[str]:
        return frozenset(name for name, contract in CONTRACTS.items() if contract.base)

    def peak(self, dtype: str) -> None:
        """Unknown: most of the time is Python's."""

    def bandwidth(self, nbytes: int) -> None:
        """Unknown, too."""

    def arena(self) -> Arena:
        return NoArena()

    def prepare(self, plans: Sequence[Plan]) -> None:
        """Does nothing: kernels are compiled already."""

    def program(self, plan: Plan, arena: Any) -> Program:
        return ReferenceProgram(plan)
