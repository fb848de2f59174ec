"""Many steps of a function in few native calls, and the completed steps of an interrupted sweep.

A function that is cut needs a call for every plan of every step.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.backends import Operand
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import GraphError, GraphTypeError, ShapeError
from tinygrad_mnist.functions.arguments import Parameter, argument_array, is_stacked
from tinygrad_mnist.functions.cached import CachedPlan, SharedBinding, Slots
from tinygrad_mnist.functions.memory import check_memory
from tinygrad_mnist.functions.plans import PlanCache
from tinygrad_mnist.functions.segments import CutCall
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.variables import Variable

# Steps whose slots are computed ahead, so that a long sweep starts at once and needs no big table.
MAX_SEGMENT = 10_000


class Swept(NamedTuple):
    """The steps that a sweep completed before an exception ended it.

    steps: how many ran whole; shared variables are as the last of these left them. outputs: those
    of these steps, in the form in which `sweep` returns them.
    """

    steps: int
    outputs: Any


def swept(error: BaseException) -> Swept | None:
    """The completed steps of the sweep that `error` ended: an interrupt, an index out of range, or
    any other exception from `Function.sweep` after it accepted its arguments. None for other
    exceptions."""
    return error.__dict__.get("swept")


class LiveSweep:
    """A sweep that is running, for another thread to read; see `Function.sweep`.

    Both properties grow step by step where the backend counts as it goes: the GPU's counts when a
    sweep, or its part with other shapes, has ended.
    """

    def __init__(self, sweep: Sweep, returned: Callable[[Sequence[Array]], Any]) -> None:
        self._sweep = sweep
        self._returned = returned

    @property
    def steps(self) -> int:
        """How many steps ran whole."""
        return self._sweep.completed

    @property
    def outputs(self) -> Any:
        """The outputs of these steps, in the form in which `sweep` returns them. The arrays are
        views of those that `sweep` will return."""
        return self._returned(self._sweep.results(self.steps))


@dataclass(frozen=True)
class Steps:
    """The arguments of a sweep.

    n: number of steps. arrays: a value per input of the plans. stacked: which of these have a
    leading axis of steps. integers: the host scalars with one value. columns: those with a value
    per step.
    """

    n: int
    arrays: Sequence[Array]
    stacked: Sequence[bool]
    integers: dict[Variable, int]
    columns: Mapping[Variable, Sequence[int]]


def steps_from(
    values: Sequence[Any],
    parameters: Sequence[Parameter],
    updated: Collection[SharedVariable],
    n_steps: int | None,
) -> Steps:
    """The arguments of a sweep, as arrays that share no memory with the variables in `updated`.

    Raises GraphTypeError where they don't give one number of steps.
    """
    stacked = [is_stacked(value, p) for value, p in zip(values, parameters, strict=True)]
    arrays = [
        argument_array(value, p, updated, s)
        for value, p, s in zip(values, parameters, stacked, strict=True)
    ]
    lengths = {len(a) for a, s in zip(arrays, stacked, strict=True) if s}
    if n_steps is not None:
        lengths.add(int(n_steps))
    if len(lengths) != 1 or min(lengths) < 0:
        raise GraphTypeError(
            "sweep needs values per step, equally many for each input, or n_steps; it got "
            f"{sorted(lengths) or 'none'}"
        )
    integers: dict[Variable, int] = {}
    columns: dict[Variable, list[int]] = {}
    for array, p, s in zip(arrays, parameters, stacked, strict=True):
        if p.is_host_scalar:
            if s:
                columns[p.variable] = array.tolist()
            else:
                integers[p.variable] = int(array)
    return Steps(lengths.pop(), arrays, stacked, integers, columns)


class _StepInputs(NamedTuple):
    """The inputs of a plan, and which of them have a leading axis of steps."""

    arrays: Sequence[Array]
    stacked: Sequence[bool]


class Sweep:
    """One sweep, cut into segments of steps that share a plan; a segment is one native call.

    updated: the shared variables that the function changes.
    """

    def __init__(
        self,
        cache: PlanCache,
        outputs: Sequence[Variable],
        updated: Mapping[SharedVariable, Variable],
        steps: Steps,
    ) -> None:
        self._cache = cache
        shapes = [
            a.shape[1:] if s else a.shape for a, s in zip(steps.arrays, steps.stacked, strict=True)
        ]
        self._key = cache.key(shapes)
        cache.read_shared_scalars(steps.integers)
        self._outputs = outputs
        self._updated = updated
        self._steps = steps
        self._progress = np.zeros(1, dtype=np.int64)  # steps that ran whole
        self._results = [np.empty((0,) * (1 + v.ndim), v.dtype) for v in outputs]

    @property
    def completed(self) -> int:
        """How many steps ran whole, also while the sweep runs."""
        return int(self._progress[0])

    def results(self, steps: int) -> list[Array]:
        """Views of the outputs of the first steps."""
        return [r[:steps] for r in self._results]

    def run(
        self,
        returned: Callable[[Sequence[Array]], Any],
        watch: Callable[[LiveSweep], object] | None = None,
    ) -> Any:
        """Runs all steps. returned: turns results into the form that a caller gets. watch: is
        called before the first.

        An exception that ends the sweep carries the completed steps: see `swept`.
        """
        try:
            if watch is not None:
                watch(LiveSweep(self, returned))
            while (begin := self.completed) < self._steps.n:
                self._run_segment(begin)
        except BaseException as error:
            done = self.completed
            error.__dict__["swept"] = Swept(done, returned(self.results(done)))
            raise
        return returned(self._results)

    def _run_segment(self, begin: int) -> None:
        try:
            cached, rows, inputs = self._next_segment(begin)
            bound, stacked = self._bind(cached, inputs, begin, begin + len(rows))
        except GraphError as error:
            if begin == 0:  # as for a call
                raise
            raise _with_step(error, begin) from error
        table = np.array(rows, dtype=np.int64).reshape(len(rows), -1)
        failure = cached.program.sweep(bound, stacked, table, self._progress)
        if failure is not None:
            raise _with_step(failure, self.completed) from failure

    def _next_segment(self, begin: int) -> tuple[CachedPlan, list[Slots], _StepInputs]:
        """The plan of step `begin`, the slots of that step and of those after it that share the
        plan, and the inputs of the plan."""
        if self._cache.segments is not None:
            return self._next_cut_step(begin)
        end = min(self._steps.n, begin + MAX_SEGMENT)
        integers = self._steps.integers
        columns = [(v, values[begin:end]) for v, values in self._steps.columns.items()]
        integers.update((v, values[0]) for v, values in columns)
        cached, slots = self._cache.find(self._key, integers)
        if isinstance(cached, CutCall):
            return self._next_cut_step(begin)
        assert isinstance(cached, CachedPlan)
        self._check_sweepable(cached)
        rows = [slots]
        for step in range(1, end - begin):
            integers.update((v, values[step]) for v, values in columns)
            following = cached.slots(integers)
            if following is None:
                break
            rows.append(following)
        return cached, rows, _StepInputs(self._steps.arrays, self._steps.stacked)

    def _next_cut_step(self, begin: int) -> tuple[CachedPlan, list[Slots], _StepInputs]:
        """The same for a function that is cut: the last plan of one step. The plans before it have
        run, and changed nothing."""
        arrays = [
            a[begin] if s else a
            for a, s in zip(self._steps.arrays, self._steps.stacked, strict=True)
        ]
        integers = self._steps.integers
        integers.update((v, values[begin]) for v, values in self._steps.columns.items())
        self._cache.read_shared_scalars(integers)
        call, _ = self._cache.find(self._key, integers)
        assert isinstance(call, CutCall)
        cached, given, slots = call.ready([np.asarray(a) for a in arrays])
        self._check_shapes_stay(cached)
        return cached, [slots], _StepInputs(given, [False] * len(given))

    def _check_sweepable(self, cached: CachedPlan) -> None:
        for v in cached.plan.host.inputs:
            if v in self._updated:
                raise GraphTypeError(
                    f"a slice or shape depends on {v}, which the function updates, so its calls "
                    f"can't be swept{at(v.source)}"
                )
        self._check_shapes_stay(cached)

    def _check_shapes_stay(self, cached: CachedPlan) -> None:
        if cached.compiled.resized:
            shared = cached.compiled.resized[0][0]
            raise GraphTypeError(
                f"the update of {shared} changes its shape, so the calls can't be swept"
            )

    def _bind(
        self, cached: CachedPlan, inputs: _StepInputs, begin: int, end: int
    ) -> tuple[list[Operand], list[bool]]:
        """An operand per bound buffer for a segment of steps, and which of them have a leading axis
        of steps."""
        position = {buffer: i for i, buffer in enumerate(cached.plan.outputs)}
        if begin == 0:
            check_memory(cached.plan, 0, cached.name, cached.plan.arena_bytes, self._steps.n)
            self._results = [
                np.empty((self._steps.n, *cached.plan.buffers[number].shape), v.dtype)
                for number, v in zip(cached.plan.outputs, self._outputs, strict=True)
            ]
        bound: list[Operand] = []
        stacked: list[bool] = []
        for binding in cached.bindings:
            if isinstance(binding, SharedBinding):
                bound.append(binding.operand())
                stacked.append(False)
            elif isinstance(binding, int):
                array, has_steps = inputs.arrays[binding], inputs.stacked[binding]
                bound.append(array[begin:end] if has_steps else array)
                stacked.append(has_steps)
            else:
                result = self._results[position[binding.buffer]]
                if result.shape[1:] != binding.shape:
                    raise ShapeError(
                        f"it has an output of shape {binding.shape}, earlier steps of "
                        f"{result.shape[1:]}: they can't be stacked; use two sweeps"
                    )
                bound.append(result[begin:end])
                stacked.append(True)
        return bound, stacked


def _with_step(error: GraphError, step: int) -> GraphError:
    return type(error)(f"step {step} of the sweep: {error}")
