"""The callable that `function` returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_mnist.backends import Backend, Operand
from tinygrad_mnist.backends.interrupts import interrupts_deferred
from tinygrad_mnist.compile.host import host_scalars
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.functions.arguments import Parameter, convert, host_integer, is_stacked
from tinygrad_mnist.functions.io import Outputs
from tinygrad_mnist.functions.plans import Entry, Key, PlanCache, Scratch, Shared
from tinygrad_mnist.functions.signature import Signature
from tinygrad_mnist.functions.sweep import Steps, Sweep, swept
from tinygrad_mnist.graph.access import ReadWriteLock
from tinygrad_mnist.graph.traversal import leaves, substitute
from tinygrad_mnist.graph.variables import SharedVariable, Variable
from tinygrad_mnist.profiling import Profile, profile_runs


class Function:
    """What `function` returns. Call it with values of the inputs, in order or by name.

    `fn[name]` is the value of an input that keeps one (an `In` with an update, or with a shared
    variable as value), and `fn[name] = value` sets it; a position or the variable does, too.

    plan: the plan of the last call. plans: all that are kept, the last used first.
    """

    def __init__(
        self,
        parameters: Sequence[Parameter],
        outputs: Outputs,
        updates: Mapping[SharedVariable, Variable],
        name: str | None,
        backend: Backend,
        scratch: Scratch | None = None,
    ) -> None:
        """For `function`, which checks its arguments. scratch: another function's, to share it."""
        self.name = name
        self._signature = Signature(parameters, name)
        self._outputs = outputs
        self._updates = dict(updates)
        self._backend = backend
        self._given = tuple(p for p in parameters if p.state is None)
        self._kept = tuple(p for p in parameters if p.state is not None)
        self._is_plain = not any(p.implicit or p.state is not None for p in parameters)
        inputs = [p.variable for p in self._given]
        used = leaves([*outputs.variables, *updates.values()])
        shared = [v for v in used if isinstance(v, SharedVariable)]
        states = [p.state for p in self._kept if p.state is not None and not p.implicit]
        self._shared = tuple(dict.fromkeys([*shared, *updates]))
        self._scalars = host_scalars([*inputs, *self._shared])
        self._scratch = scratch or Scratch(backend)
        names = ", ".join(p.variable.name or str(p.variable.type) for p in parameters)
        self._title = name or f"function({names})"
        arena = self._scratch.arena
        self._cache = PlanCache(inputs, self._shared, outputs, updates, backend, arena, self._title)
        self._hold = ReadWriteLock(reads=self._shared, writes=[*updates, *states])

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
        return self._scratch.arena.nbytes

    @property
    def expressions(self) -> list[Variable]:
        """What it computes: its outputs, then the new values of the variables that it updates."""
        return [*self._outputs.variables, *self._updates.values()]

    @property
    def device(self) -> str:
        """The backend that runs it, `config.device` of the moment when it was made."""
        return self._backend.name

    def get_shared(self) -> list[SharedVariable]:
        """The shared variables that it reads or updates, but for those that it made itself."""
        private = {p.state for p in self._kept if p.is_private}
        return [v for v in self._shared if v not in private]

    def free(self) -> None:
        """Gives back plans and memory; the next call makes them anew."""
        with self._scratch.lock:
            self._cache.clear()

    def __repr__(self) -> str:
        names = ", ".join(p.variable.name or str(p.variable.type) for p in self._parameters)
        return f"<function {self.name or ''}({names}) on {self._backend.name}>"

    def __getitem__(self, key: Any) -> Array:
        return self._state(key).get_value()

    def __setitem__(self, key: Any, value: Any) -> None:
        self._state(key).set_value(value)

    def _state(self, key: Any) -> SharedVariable:
        parameter = self._signature.find(key)
        if parameter.state is None:
            raise KeyError(f"{parameter.label} keeps no value from call to call")
        return parameter.state

    @property
    def _parameters(self) -> tuple[Parameter, ...]:
        return self._signature.parameters

    def copy(
        self,
        share_memory: bool = False,
        swap: Mapping[SharedVariable, SharedVariable] | None = None,
        delete_updates: bool = False,
        name: str | None = None,
    ) -> Function:
        """Another function that computes the same, with plans of its own.

        share_memory: both work in one arena; they then wait for each other. swap: shared variables
        that others of the same type replace. delete_updates: the copy updates nothing. name: of the
        copy; None keeps the name. What inputs keep from call to call (`In` with an update) goes on
        in each by itself.
        """
        replaced = self._swapped(swap or {})
        with self._scratch.lock:
            for p in self._kept:
                if p.state is not None and p.is_private:
                    replaced[p.state] = SharedVariable(p.state.get_value(), p.state.type, p.name)
        n = len(self._outputs.variables)
        new = substitute(self.expressions, replaced)
        updates = {} if delete_updates else dict(zip(self._updates, new[n:], strict=True))
        return Function(
            [
                p if p.state is None else replace(p, state=replaced.get(p.state, p.state))
                for p in self._parameters
            ],
            self._outputs.computing(new[:n]),
            {replaced.get(old, old): value for old, value in updates.items()},
            name or self.name,
            self._backend,
            self._scratch if share_memory else None,
        )

    def _swapped(
        self, swap: Mapping[SharedVariable, SharedVariable]
    ) -> dict[Variable, SharedVariable]:
        """`swap`, checked: variables of the function, and others of their types for them."""
        replaced: dict[Variable, SharedVariable] = {}
        for old, new in swap.items():
            if old not in self._shared or not isinstance(new, SharedVariable):
                raise GraphTypeError(
                    f"swap puts shared variables in the place of those that the function uses, not "
                    f"{new} in the place of {old}"
                )
            if new.type != old.type:
                raise GraphTypeError(f"{new} is a {new.type}; {old}, which it replaces, {old.type}")
            replaced[old] = new
        updated = [swap.get(v, v) for v in self._updates]
        if len(set(updated)) != len(updated):
            raise GraphTypeError("with this swap, the function would update one variable twice")
        return replaced

    # --- calls ------------------------------------------------------------------------------

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for these values, in the form in which `function` was given them.

        Arrays are fresh, but for those of `Out(borrow=True)`. Raises GraphTypeError or ShapeError
        for values that do not fit, and IndexOutOfRangeError for indices out of range; shared
        variables are then as before.
        """
        values: Sequence[Any] = args
        if kwargs or not self._is_plain or len(args) != len(self._parameters):
            values = self._signature.bind(args, kwargs)
        with self._scratch.lock, self._hold:
            if not self._kept:
                return self._run(*self._arguments(values))
            with self._states_set(values):
                return self._run(*self._arguments(self._stateless(values)))

    def sweep(self, *args: Any, n_steps: int | None = None, **kwargs: Any) -> Any:
        """Many calls in one: `fn.sweep(range(n))` is `[fn(i) for i in range(n)]`, without going
        back to Python in between where the backend can.

        A value with one axis more than its input has a value per step: a range, list or vector for
        a scalar, a stack of matrices for a matrix; all must be equally long. Others are the same in
        each step. n_steps: number of steps, needed where no value tells it.

        Returns what a call returns, each array with a leading axis of steps, always fresh.

        An interrupt, or an error in one step, leaves shared variables as of the last whole step,
        and `functions.swept(error)` has the outputs of the steps until then.

        Raises GraphTypeError where nothing tells the number of steps, where a slice or shape
        depends on a shared variable that the function updates, or where an update changes a shape.
        """
        values = self._signature.bind(args, kwargs)
        with self._scratch.lock, self._hold, self._states_set(values):
            steps = self._steps(self._stateless(values), n_steps)
            key = (
                *(a.shape[int(s) :] for a, s in zip(steps.arrays, steps.stacked, strict=True)),
                *self._shared_key(steps.integers),
            )
            sweep = Sweep(self._cache, key, self._outputs.variables, self._updates, steps)
            return sweep.run(self._outputs.returned)

    def _stateless(self, values: Sequence[Any]) -> list[Any]:
        """Values of the parameters that keep none."""
        return [v for v, p in zip(values, self._parameters, strict=True) if p.state is None]

    def profile(
        self,
        *args: Any,
        repeats: int = 20,
        sweep: bool = False,
        roofline: bool = False,
        **kwargs: Any,
    ) -> Profile:
        """Times every kernel call of `fn(...)`, or of `fn.sweep(...)`: prints as a table.

        The calls are carried out, updates included: once to make the plan, then `repeats` times as
        they are and as often with each kernel call timed, in turn. roofline: measure that of the
        machine, too, which takes a second; the table then says what part of it each call reaches.

        Raises ValueError where the steps of a sweep need several plans.
        """
        run = self.sweep if sweep else self
        return profile_runs(
            self._title, self._backend, lambda: run(*args, **kwargs), repeats, roofline
        )

    @contextmanager
    def _states_set(self, values: Sequence[Any]) -> Iterator[None]:
        """Puts what the caller gave for inputs that keep a value into their shared variables; back
        to what it was where not one step comes of it."""
        before: list[tuple[SharedVariable, Array]] = []
        try:
            for value, p in zip(values, self._parameters, strict=True):
                if p.state is not None and value is not None:
                    array = convert(value, p)
                    before.append((p.state, p.state.get_value()))
                    p.state.set_value(array)
            yield
        except BaseException as error:
            done = swept(error)
            # An interrupt that is no sweep's may come after the step.
            none_done = isinstance(error, Exception) if done is None else done.steps == 0
            if none_done:
                for shared, old in before:
                    shared.set_value(old)
            raise

    def _arguments(self, values: Sequence[Any]) -> tuple[list[Array], dict[Variable, int]]:
        """Arrays of the inputs, and the values of the integer scalars among them."""
        arrays: list[Array] = []
        integers: dict[Variable, int] = {}
        for value, p in zip(values, self._given, strict=True):
            integer = host_integer(value, p)
            if integer is not None:
                integers[p.variable] = integer
                arrays.append(np.asarray(integer, dtype=p.variable.dtype))
            else:
                arrays.append(self._array(value, p))
                if p.variable in self._scalars:
                    integers[p.variable] = int(arrays[-1])
        return arrays, integers

    def _array(self, value: Any, p: Parameter, stacked: bool = False) -> Array:
        """An argument as an array that no update of this function can reach."""
        if p.default is not None and value is p.default:
            return p.default
        array = convert(value, p, stacked)
        if any(np.may_share_memory(array, s.host_array) for s in self._updates):
            return array.copy()  # borrowed from a variable that this call overwrites
        return array

    def _steps(self, values: Sequence[Any], n_steps: int | None) -> Steps:
        """The arguments of a sweep; GraphTypeError where they don't tell one number of steps."""
        stacked = [is_stacked(value, p) for value, p in zip(values, self._given, strict=True)]
        arrays = [
            self._array(value, p, s)
            for value, p, s in zip(values, self._given, stacked, strict=True)
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
        for array, p, s in zip(arrays, self._given, stacked, strict=True):
            if p.variable in self._scalars:
                if s:
                    columns[p.variable] = array.tolist()
                else:
                    integers[p.variable] = int(array)
        return Steps(lengths.pop(), arrays, stacked, integers, columns)

    def _shared_key(self, integers: dict[Variable, int]) -> Key:
        """The shapes of the shared variables; also reads the integer scalars among them."""
        for v in self._scalars:
            if isinstance(v, SharedVariable):
                integers[v] = int(v.storage)
        return tuple(s.host_array.shape for s in self._shared)

    def _run(self, arrays: list[Array], integers: dict[Variable, int]) -> Any:
        key = (*(a.shape for a in arrays), *self._shared_key(integers))
        entry, slots = self._cache.find(key, integers)
        bound, outputs = _bound(entry, arrays)
        if entry.compiled.resized:
            with interrupts_deferred():
                entry.program.run(bound, slots)
                for shared, number in entry.compiled.resized:
                    shared.set_value(outputs[number])
        else:
            entry.program.run(bound, slots)
        return self._outputs.returned(outputs[: len(self._outputs.variables)])


def _bound(entry: Entry, arrays: Sequence[Array]) -> tuple[list[Operand], list[Array]]:
    """What the plan's buffers are bound to in a call, and its outputs."""
    bound: list[Operand] = []
    results: dict[int, Array] = {}
    for binding in entry.bindings:
        if isinstance(binding, int):
            array = arrays[binding]
            if any(np.may_share_memory(array, owned) for owned in entry.owned):
                array = array.copy()  # a borrowed output that this call overwrites
            bound.append(array)
        elif isinstance(binding, Shared):
            bound.append(binding.value())
        else:
            results[binding.buffer] = binding.array()
            bound.append(results[binding.buffer])
    return bound, [results[number] for number in entry.plan.outputs]
