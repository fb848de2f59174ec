"""Many steps of a function in few native calls, and what is left when they are cut short."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.backends import Operand
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import GraphError, GraphTypeError, ShapeError
from tinygrad_mnist.functions.plans import Entry, Key, PlanCache, Shared, Slots
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.variables import SharedVariable, Variable

# Steps whose slots are computed ahead, so that a long sweep starts at once and needs no big table.
MAX_SEGMENT = 10_000


class Swept(NamedTuple):
    """What a sweep did before an exception ended it.

    steps: how many steps ran whole; shared variables are as the last of these left them. outputs:
    those of these steps, in the form in which `sweep` returns them.
    """

    steps: int
    outputs: Any


def swept(error: BaseException) -> Swept | None:
    """What the sweep did that `error` ended: an interrupt, an index out of range, anything that
    came out of `Function.sweep` once its arguments were accepted. None for other exceptions."""
    return error.__dict__.get("swept")


@dataclass(frozen=True)
class Steps:
    """The arguments of a sweep.

    n: number of steps. arrays: a value per input of the plans. stacked: which of these have a
    leading axis of steps. integers: the host scalars that stay the same. columns: those that have a
    value per step.
    """

    n: int
    arrays: Sequence[Array]
    stacked: Sequence[bool]
    integers: dict[Variable, int]
    columns: Mapping[Variable, Sequence[int]]


class Sweep:
    """One sweep: cut into segments of steps that share a plan, each a run of the plan's program.

    key: of the plans that are looked for. updated: the shared variables that the function changes.
    """

    def __init__(
        self,
        cache: PlanCache,
        key: Key,
        outputs: Sequence[Variable],
        updated: Mapping[SharedVariable, Variable],
        steps: Steps,
    ) -> None:
        self._cache = cache
        self._key = key
        self._outputs = outputs
        self._updated = updated
        self._steps = steps
        self._progress = np.zeros(1, dtype=np.int64)  # steps that ran whole
        self._results = [np.empty((0,) * (1 + v.ndim), v.dtype) for v in outputs]

    def run(self, returned: Callable[[Sequence[Array]], Any]) -> Any:
        """Runs all steps. returned: makes of results what a caller gets.

        An exception that ends the sweep tells what had been done until then: see `swept`.
        """
        try:
            while (begin := int(self._progress[0])) < self._steps.n:
                self._run_segment(begin)
        except BaseException as error:
            done = int(self._progress[0])
            error.__dict__["swept"] = Swept(done, returned([r[:done] for r in self._results]))
            raise
        return returned(self._results)

    def _run_segment(self, begin: int) -> None:
        try:
            entry, rows = self._next_segment(begin)
            bound, stacked = self._bound(entry, begin, begin + len(rows))
        except GraphError as error:
            if begin == 0:  # as for a call
                raise
            raise _located(error, begin) from error
        table = np.array(rows, dtype=np.int64).reshape(len(rows), -1)
        failure = entry.program.sweep(bound, stacked, table, self._progress)
        if failure is not None:
            raise _located(failure, int(self._progress[0])) from failure

    def _next_segment(self, begin: int) -> tuple[Entry, list[Slots]]:
        """The plan of step `begin`, and the slots of it and of those behind it that share it."""
        end = min(self._steps.n, begin + MAX_SEGMENT)
        integers = self._steps.integers
        columns = [(v, values[begin:end]) for v, values in self._steps.columns.items()]
        integers.update((v, values[0]) for v, values in columns)
        entry, slots = self._cache.find(self._key, integers)
        self._check_sweepable(entry)
        rows = [slots]
        for step in range(1, end - begin):
            integers.update((v, values[step]) for v, values in columns)
            following = entry.slots(integers)
            if following is None:
                break
            rows.append(following)
        return entry, rows

    def _check_sweepable(self, entry: Entry) -> None:
        for v in entry.plan.host.inputs:
            if v in self._updated:
                raise GraphTypeError(
                    f"a slice or shape depends on {v}, which the function updates, so its calls "
                    f"can't be swept{at(v.source)}"
                )
        if entry.compiled.resized:
            shared = entry.compiled.resized[0][0]
            raise GraphTypeError(
                f"the update of {shared} changes its shape, so the calls can't be swept"
            )

    def _bound(self, entry: Entry, begin: int, end: int) -> tuple[list[Operand], list[bool]]:
        """What the plan's buffers are bound to in a segment of steps, and which of it has a
        leading axis of steps."""
        position = {buffer: i for i, buffer in enumerate(entry.plan.outputs)}
        if begin == 0:
            self._results = [
                np.empty((self._steps.n, *entry.plan.buffers[number].shape), v.dtype)
                for number, v in zip(entry.plan.outputs, self._outputs, strict=True)
            ]
        bound: list[Operand] = []
        stacked: list[bool] = []
        for binding in entry.bindings:
            if isinstance(binding, Shared):
                bound.append(binding.value())
                stacked.append(False)
            elif isinstance(binding, int):
                array, has_steps = self._steps.arrays[binding], self._steps.stacked[binding]
                bound.append(array[begin:end] if has_steps else array)
                stacked.append(has_steps)
            else:
                result = self._results[position[binding.buffer]]
                if result.shape[1:] != binding.shape:
                    raise ShapeError(
                        f"it gives an output of shape {binding.shape}, those before it "
                        f"{result.shape[1:]}: they can't be stacked; sweep them apart"
                    )
                bound.append(result[begin:end])
                stacked.append(True)
        return bound, stacked


def _located(error: GraphError, step: int) -> GraphError:
    return type(error)(f"step {step} of the sweep: {error}")
