"""The callable that `function` returns."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_mnist.backends import backend
from tinygrad_mnist.compile.host import host_scalars
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.base import Array
from tinygrad_mnist.errors import GraphTypeError, IndexOutOfRangeError, ShapeError
from tinygrad_mnist.functions.arguments import convert, has_steps, host_integer, steps_of
from tinygrad_mnist.functions.plans import Entry, Key, PlanCache, Slots
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.traversal import leaves
from tinygrad_mnist.graph.variables import SharedVariable, Variable
from tinygrad_mnist.profiling import Profile, profile_runs


class Function:
    """What `function` returns. Call it with values of the inputs, in order or by name.

    plan: the plan of the last call. plans: all that are kept, the last used first.
    """

    def __init__(
        self,
        inputs: Sequence[Variable],
        outputs: Sequence[Variable],
        updates: Mapping[SharedVariable, Variable],
        single: bool,
        name: str | None,
        allow_input_downcast: bool | None,
    ) -> None:
        self.name = name
        self._inputs = tuple(inputs)
        self._outputs = tuple(outputs)
        self._updates = dict(updates)
        self._single = single
        self._downcast = allow_input_downcast
        self._backend = backend(config.device)
        self._lock = threading.RLock()
        self._locked = sorted(updates, key=id)
        used = leaves([*outputs, *updates.values()])
        shared = [v for v in used if isinstance(v, SharedVariable)]
        self._shared = tuple(dict.fromkeys([*shared, *updates]))
        self._scalars = host_scalars([*self._inputs, *self._shared])
        self._labels = tuple(self._label(i, v) for i, v in enumerate(self._inputs))
        names = ", ".join(v.name or str(v.type) for v in inputs)
        self._title = name or f"function({names})"
        self._cache = PlanCache(inputs, self._shared, outputs, updates, self._backend, self._title)

    def _label(self, number: int, v: Variable) -> str:
        where = f" of {self.name}" if self.name else ""
        return f"input {number} ({v.name}){where}" if v.name else f"input {number}{where}"

    @property
    def plans(self) -> list[Plan]:
        """The plans that are kept, the last used first."""
        return [entry.plan for entry in self._cache.entries]

    @property
    def plan(self) -> Plan:
        """The plan of the last call; a function has none before its first."""
        if not self._cache.entries:
            raise ValueError("a function has no plan before its first call, which tells the shapes")
        return self._cache.entries[0].plan

    @property
    def arena_bytes(self) -> int:
        """Memory of temporaries: what the largest of its plans needs, once one has run."""
        return self._cache.arena.nbytes

    @property
    def expressions(self) -> list[Variable]:
        """What it computes: its outputs, then the new values of the variables that it updates."""
        return [*self._outputs, *self._updates.values()]

    @property
    def device(self) -> str:
        """The backend that runs it, `config.device` of the moment when it was made."""
        return self._backend.name

    def __repr__(self) -> str:
        names = ", ".join(v.name or str(v.type) for v in self._inputs)
        return f"<function {self.name or ''}({names}) on {self._backend.name}>"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for these values: a list, one array for a single output, None for none.

        Arrays are fresh. Raises GraphTypeError or ShapeError for values that do not fit, and
        IndexOutOfRangeError for indices out of range; shared variables are then as before.
        """
        values = (
            self._positional(args, kwargs) if kwargs or len(args) != len(self._inputs) else args
        )
        with self._alone():
            return self._run(*self._arguments(values))

    def sweep(self, *args: Any) -> Any:
        """Many calls in one: `fn.sweep(range(n))` is `[fn(i) for i in range(n)]`, without going
        back to Python in between where the backend can.

        args: a value per input; for an integer scalar it may be a range, list or vector, one
        integer per step, all equally long. Returns what a call returns, each array with a leading
        axis of steps. An interrupt, or an error in one step, leaves shared variables as of the
        last whole step.

        Raises GraphTypeError where no argument has steps, where a slice or shape depends on a
        shared variable that the function updates, or where an update changes a shape.
        """
        if len(args) != len(self._inputs):
            raise GraphTypeError(f"sweep takes {len(self._inputs)} values, not {len(args)}")
        steps = {
            v: steps_of(value, v, label)
            for value, v, label in zip(args, self._inputs, self._labels, strict=True)
            if has_steps(value, v)
        }
        lengths = {len(s) for s in steps.values()}
        if len(lengths) != 1:
            raise GraphTypeError(
                f"sweep needs integers per step, equally many for each input; it got {lengths or 0}"
            )
        n = lengths.pop()
        first = [
            (int(steps[v][0]) if n else 0) if v in steps else value
            for value, v in zip(args, self._inputs, strict=True)
        ]
        with self._alone():
            return self._sweep(*self._arguments(first), steps, n)

    def profile(
        self, *args: Any, repeats: int = 20, sweep: bool = False, roofline: bool = False
    ) -> Profile:
        """Times every kernel call of `fn(*args)`, or of `fn.sweep(*args)`: prints as a table.

        The calls are carried out, updates included: once to make the plan, then `repeats` times as
        they are and as often with each kernel call timed, in turn. roofline: measure that of the
        machine, too, which takes a second; the table then says what part of it each call reaches.

        Raises ValueError where the steps of a sweep need several plans.
        """
        run = self.sweep if sweep else self
        return profile_runs(self._title, self._backend, lambda: run(*args), repeats, roofline)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keeps other threads out of this function and out of the variables that it updates, so
        that their steps are whole. The locks are taken in one order everywhere."""
        with self._lock:
            held = 0
            try:
                for shared in self._locked:
                    shared.lock.acquire()
                    held += 1
                yield
            finally:
                for shared in self._locked[:held]:
                    shared.lock.release()

    def _arguments(self, values: Sequence[Any]) -> tuple[list[Array], dict[Variable, int]]:
        """Arrays of the inputs, and the values of the integer scalars among them."""
        arrays: list[Array] = []
        integers: dict[Variable, int] = {}
        for value, v, label in zip(values, self._inputs, self._labels, strict=True):
            integer = host_integer(value, v, label)
            if integer is not None:
                integers[v] = integer
                arrays.append(np.asarray(integer, dtype=v.dtype))
            else:
                array = convert(value, v, label, self._downcast)
                if any(np.may_share_memory(array, s.storage) for s in self._updates):
                    array = array.copy()  # borrowed from a variable that this call overwrites
                arrays.append(array)
                if v in self._scalars:
                    integers[v] = int(arrays[-1])
        return arrays, integers

    def _positional(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        """Arguments in the order of the inputs; GraphTypeError for missing or unknown ones."""
        label = self.name or "the function"
        if len(args) > len(self._inputs):
            raise GraphTypeError(f"{label} takes {len(self._inputs)} values, not {len(args)}")
        names = [v.name for v in self._inputs]
        unknown = [k for k in kwargs if k not in names[len(args) :]]
        if unknown:
            raise GraphTypeError(f"{label} has no input {unknown[0]!r} left to set")
        missing = [
            text
            for text, name in zip(self._labels[len(args) :], names[len(args) :], strict=True)
            if name not in kwargs
        ]
        if missing:
            raise GraphTypeError(f"{label} needs a value for {', '.join(missing)}")
        return [*args, *(kwargs[str(n)] for n in names[len(args) :])]

    def _key(self, arrays: Sequence[Array], integers: dict[Variable, int]) -> Key:
        """The shapes of this call; also reads the integer scalars that are shared."""
        for v in self._scalars:
            if isinstance(v, SharedVariable):
                integers[v] = int(v.storage)
        return (*(a.shape for a in arrays), *(s.storage.shape for s in self._shared))

    def _run(self, arrays: list[Array], integers: dict[Variable, int]) -> Any:
        entry, slots = self._cache.find(self._key(arrays, integers), integers)
        bound: list[Array] = []
        results: dict[int, Array] = {}
        for binding in entry.bindings:
            if isinstance(binding, int):
                bound.append(arrays[binding])
            elif isinstance(binding, SharedVariable):
                bound.append(binding.storage)
            else:
                results[binding.buffer] = np.empty(binding.shape, binding.dtype)
                bound.append(results[binding.buffer])
        entry.program.run(bound, slots)
        outputs = [results[number] for number in entry.plan.outputs]
        for shared, number in entry.compiled.resized:
            shared.set_value(outputs[number])
        return self._returned(outputs[: len(self._outputs)])

    def _returned(self, outputs: list[Array]) -> Any:
        if self._single:
            return outputs[0] if outputs else None
        return outputs

    def _sweep(
        self,
        arrays: list[Array],
        integers: dict[Variable, int],
        steps: Mapping[Variable, Array],
        n: int,
    ) -> Any:
        key = self._key(arrays, integers)
        if n == 0:
            return self._returned([np.empty((0,) * (1 + v.ndim), v.dtype) for v in self._outputs])
        results: list[Array] = []
        begin = 0
        while begin < n:
            entry, rows = self._segment(key, integers, steps, begin, n)
            if not results:
                shapes = [entry.plan.buffers[number].shape for number in entry.plan.outputs]
                results = [
                    np.empty((n, *shape), dtype=v.dtype)
                    for shape, v in zip(shapes, self._outputs, strict=True)
                ]
            self._run_segment(entry, arrays, steps, results, begin, rows)
            begin += len(rows)
        return self._returned(results)

    def _segment(
        self,
        key: Key,
        integers: dict[Variable, int],
        steps: Mapping[Variable, Array],
        begin: int,
        n: int,
    ) -> tuple[Entry, list[Slots]]:
        """The plan of step `begin`, and the slots of it and of those behind it that share it."""
        columns = [(v, values[begin:n].tolist()) for v, values in steps.items()]
        integers.update((v, values[0]) for v, values in columns)
        entry, slots = self._cache.find(key, integers)
        self._check_sweepable(entry)
        rows = [slots]
        for step in range(1, n - begin):
            integers.update((v, values[step]) for v, values in columns)
            following = entry.slots(integers)
            if following is None:
                break
            rows.append(following)
        return entry, rows

    def _check_sweepable(self, entry: Entry) -> None:
        for v in entry.plan.host.inputs:
            if v in self._updates:
                raise GraphTypeError(
                    f"a slice or shape depends on {v}, which the function updates, so its calls "
                    f"can't be swept{at(v.source)}"
                )
        if entry.compiled.resized:
            shared = entry.compiled.resized[0][0]
            raise GraphTypeError(
                f"the update of {shared} changes its shape, so the calls can't be swept"
            )

    def _run_segment(
        self,
        entry: Entry,
        arrays: Sequence[Array],
        steps: Mapping[Variable, Array],
        results: Sequence[Array],
        begin: int,
        rows: Sequence[Slots],
    ) -> None:
        end = begin + len(rows)
        position = {buffer: i for i, buffer in enumerate(entry.plan.outputs)}
        bound: list[Array] = []
        stacked: list[bool] = []
        for binding in entry.bindings:
            if isinstance(binding, SharedVariable):
                bound.append(binding.storage)
                stacked.append(False)
            elif isinstance(binding, int):
                v = self._inputs[binding]
                stacked.append(v in steps)
                bound.append(steps[v][begin:end].astype(v.dtype) if v in steps else arrays[binding])
            else:
                result = results[position[binding.buffer]]
                if result.shape[1:] != binding.shape:
                    raise ShapeError(
                        f"step {begin} gives an output of shape {binding.shape}, the steps before "
                        f"it {result.shape[1:]}: they can't be stacked; sweep them apart"
                    )
                bound.append(result[begin:end])
                stacked.append(True)
        table = np.array(rows, dtype=np.int64).reshape(len(rows), -1)
        done, error = entry.program.sweep(bound, stacked, table)
        if error is not None:
            raise IndexOutOfRangeError(f"step {begin + done} of the sweep: {error}") from error
