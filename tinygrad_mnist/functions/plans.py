"""The plans of one function: found by shapes and guards, made where none fits, kept a while."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from tinygrad_mnist.backends import Arena, Backend, Operand, Program
from tinygrad_mnist.backends.base import bound_buffers
from tinygrad_mnist.compile.pipeline import Compiled, compile_plan
from tinygrad_mnist.compile.plan import OUTPUT, SHARED, Plan
from tinygrad_mnist.compile.report import report_plan
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.functions.io import Outputs
from tinygrad_mnist.graph.variables import SharedVariable, Variable
from tinygrad_mnist.profiling import watched

Key = tuple[tuple[int, ...], ...]
Slots = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Result:
    """A binding to an array that the caller gets.

    buffer, shape, dtype: of the plan. owned: the array that every call hands out, for an output
    that is borrowed; None where each call makes a fresh one.
    """

    buffer: int
    shape: tuple[int, ...]
    dtype: str
    owned: Array | None = None

    def array(self) -> Array:
        """The array for the next call."""
        return np.empty(self.shape, self.dtype) if self.owned is None else self.owned


@dataclass(frozen=True, eq=False)
class Shared:
    """A binding to a shared variable.

    is_updated: whether the plan changes it. is_moved: whether the backend takes the variable
    itself, and keeps its value on a device.
    """

    variable: SharedVariable
    is_updated: bool
    is_moved: bool

    def value(self) -> Operand:
        """What a program is given."""
        if self.is_moved:
            return self.variable
        return self.variable.storage_to_write if self.is_updated else self.variable.storage


Binding = int | Shared | Result  # an int is the number of an input


@dataclass(frozen=True, eq=False)
class Entry:
    """A plan with its program.

    key: the shapes of inputs and shared variables that it is for. bindings: what each bound buffer
    is bound to. owned: the arrays of borrowed outputs. name: of the function. made: the program
    itself.
    """

    key: Key
    compiled: Compiled
    made: Program
    bindings: tuple[Binding, ...]
    owned: tuple[Array, ...]
    name: str

    @property
    def program(self) -> Program:
        """What runs the plan; it times its calls where somebody wants to know."""
        return watched(self.made, self.name, self.plan)

    @property
    def plan(self) -> Plan:
        return self.compiled.plan

    def slots(self, integers: Mapping[Variable, int]) -> Slots | None:
        """The slots of a call with these integers, or None where the plan is not for them."""
        host = self.plan.host
        try:
            guards, slots = host.function(*[integers[v] for v in host.inputs])
        except (IndexError, ZeroDivisionError):  # a plan for these integers would say it again
            return None
        return slots if guards == host.guards else None


class Scratch:
    """Where the plans of a function run: an arena, and the lock that whoever runs there holds."""

    def __init__(self, backend: Backend) -> None:
        self.arena = backend.arena()
        self.lock = threading.RLock()


class PlanCache:
    """The plans that a function keeps, the last used first, and the arena that they run in.

    inputs, shared: the leaves, in the order of a key. outputs, updates: the expressions. name: of
    the function, in what is told about it.
    """

    def __init__(
        self,
        inputs: Sequence[Variable],
        shared: Sequence[SharedVariable],
        outputs: Outputs,
        updates: Mapping[SharedVariable, Variable],
        backend: Backend,
        arena: Arena,
        name: str,
    ) -> None:
        self.entries: list[Entry] = []
        self._arena = arena
        self._leaves = (*inputs, *shared)
        self._inputs = tuple(inputs)
        self._outputs = outputs
        self._updates = dict(updates)
        self._backend = backend
        self._name = name

    def find(self, key: Key, integers: Mapping[Variable, int]) -> tuple[Entry, Slots]:
        """The plan for a call and the call's slots; a new plan where none fits."""
        for position, entry in enumerate(self.entries):
            if entry.key == key:
                slots = entry.slots(integers)
                if slots is not None:
                    if position:
                        self.entries.insert(0, self.entries.pop(position))
                    return entry, slots
        entry = self._compile(key, integers)
        self.entries.insert(0, entry)
        del self.entries[config.plan_cache_size :]
        host = entry.plan.host
        return entry, host.function(*[integers[v] for v in host.inputs])[1]

    def clear(self) -> None:
        """Forgets all plans, and with them the arena's memory."""
        self.entries.clear()

    def _compile(self, key: Key, integers: Mapping[Variable, int]) -> Entry:
        compiled = compile_plan(
            self._outputs.variables,
            self._updates,
            dict(zip(self._leaves, key, strict=True)),
            integers,
            self._backend.name,
            self._backend.kernels,
            self._backend.fuses,
        )
        plan = compiled.plan
        bindings = tuple(self._binding(plan, number) for number in bound_buffers(plan))
        owned = tuple(b.owned for b in bindings if isinstance(b, Result) and b.owned is not None)
        begin = perf_counter()
        program = self._backend.program(plan, self._arena)
        compiled = compiled.with_stage("program", perf_counter() - begin)
        report_plan(self._name, compiled)
        return Entry(key, compiled, program, bindings, owned, self._name)

    def _binding(self, plan: Plan, number: int) -> Binding:
        buffer = plan.buffers[number]
        if buffer.kind == OUTPUT:
            position = plan.outputs.index(number)  # values of resized variables come last
            borrowed = position < len(self._outputs.borrowed) and self._outputs.borrowed[position]
            owned = np.empty(buffer.shape, buffer.dtype) if borrowed else None
            return Result(number, buffer.shape, buffer.dtype, owned)
        assert buffer.leaf is not None
        if buffer.kind == SHARED:
            assert isinstance(buffer.leaf, SharedVariable)
            return Shared(buffer.leaf, buffer.leaf in self._updates, self._backend.keeps_shared)
        return self._inputs.index(buffer.leaf)
