"""The plans that one function keeps: found by shapes and guards, compiled where none fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from tinygrad_mnist.backends import Arena, Backend, Operand, Program
from tinygrad_mnist.backends.base import bound_buffers
from tinygrad_mnist.backends.interrupts import interrupts_deferred
from tinygrad_mnist.compile.host import is_host_scalar
from tinygrad_mnist.compile.pipeline import Compiled, compile_plan
from tinygrad_mnist.compile.plan import OUTPUT, SHARED, Plan
from tinygrad_mnist.compile.report import report_plan
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.functions.io import Outputs
from tinygrad_mnist.graph.access import ForkSafeLock
from tinygrad_mnist.graph.collection import collection_paused
from tinygrad_mnist.graph.source import user_origins
from tinygrad_mnist.graph.test_values import no_test_values
from tinygrad_mnist.graph.variables import SharedVariable, Variable
from tinygrad_mnist.profiling import watched

Shape = tuple[int, ...]
Key = tuple[Shape, ...]
Slots = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class OutputBinding:
    """Binds a buffer to an array that the caller gets.

    buffer, shape, dtype: of the plan. owned: the array that every call returns, for an output that
    is borrowed; None where each call makes a fresh one.
    """

    buffer: int
    shape: Shape
    dtype: str
    owned: Array | None = None

    def array(self) -> Array:
        """The array for the next call."""
        return np.empty(self.shape, self.dtype) if self.owned is None else self.owned


@dataclass(frozen=True, eq=False)
class SharedBinding:
    """Binds a buffer to a shared variable.

    is_updated: whether the plan changes it. on_device: whether the backend takes the variable
    itself and keeps its value on a device.
    """

    variable: SharedVariable
    is_updated: bool
    on_device: bool

    def operand(self) -> Operand:
        """The operand that a program gets for the buffer."""
        if self.on_device:
            return self.variable
        return self.variable.storage_to_write if self.is_updated else self.variable.storage


Binding = int | SharedBinding | OutputBinding  # an int is the number of an input


@dataclass(frozen=True, eq=False)
class CachedPlan:
    """A plan with its program.

    key: the shapes of inputs and shared variables that it is for. bindings: one per bound buffer.
    owned: the arrays of borrowed outputs. name: of the function. bare_program: the program without
    timing.
    """

    key: Key
    compiled: Compiled
    bare_program: Program
    bindings: tuple[Binding, ...]
    owned: tuple[Array, ...]
    name: str

    @property
    def program(self) -> Program:
        """The program that runs the plan. It times its calls while a profile is recorded."""
        return watched(self.bare_program, self.name, self.plan)

    @property
    def plan(self) -> Plan:
        return self.compiled.plan

    def slots(self, integers: Mapping[Variable, int]) -> Slots | None:
        """The slots of a call with these integers, or None where the guards don't hold."""
        return slots_of(self.plan, integers)

    def run(self, arrays: Sequence[Array], slots: Slots) -> list[Array]:
        """Runs the plan once for arrays of the inputs; returns its outputs.

        The new values of shared variables whose shape changes are outputs too, after the others.
        """
        operands, outputs = self._bind(arrays)
        if self.compiled.resized:
            with interrupts_deferred():
                self.program.run(operands, slots)
                for shared, number in self.compiled.resized:
                    shared.set_value(outputs[number])
        else:
            self.program.run(operands, slots)
        return outputs

    def _bind(self, arrays: Sequence[Array]) -> tuple[list[Operand], list[Array]]:
        """An operand per bound buffer of a call, and the call's outputs."""
        operands: list[Operand] = []
        results: dict[int, Array] = {}
        for binding in self.bindings:
            if isinstance(binding, int):
                array = arrays[binding]
                if any(np.may_share_memory(array, owned) for owned in self.owned):
                    array = array.copy()  # a borrowed output that this call overwrites
                operands.append(array)
            elif isinstance(binding, SharedBinding):
                operands.append(binding.operand())
            else:
                results[binding.buffer] = binding.array()
                operands.append(results[binding.buffer])
        return operands, [results[number] for number in self.plan.outputs]


def slots_of(plan: Plan, integers: Mapping[Variable, int]) -> Slots | None:
    """The slots of a call with these integers, or None where the plan's guards don't hold."""
    host = plan.host
    try:
        guards, slots = host.function(*[integers[v] for v in host.inputs])
    except (IndexError, ZeroDivisionError):  # compiling for these integers raises it again
        return None
    return slots if guards == host.guards else None


class Workspace:
    """The arena in which the plans of a function run, and the lock that a run holds."""

    def __init__(self, backend: Backend) -> None:
        self.arena = backend.arena()
        self.lock = ForkSafeLock()


class PlanCache:
    """The plans that a function keeps, the last used first, and the arena that they run in.

    inputs, shared: the leaves, in the order of a key. outputs, updates: the expressions. name: of
    the function, for reports.
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
        self.plans: list[CachedPlan] = []
        self._arena = arena
        self._inputs = tuple(inputs)
        self._shared = tuple(shared)
        self._shared_scalars = tuple(v for v in shared if is_host_scalar(v))
        self._outputs = outputs
        self._updates = dict(updates)
        self._backend = backend
        self._name = name
        self._made_at = user_origins()  # the line that makes the function
        self._ahead: tuple[Key, Compiled] | None = None  # planned, and not called yet

    def key(self, shapes: Sequence[Shape]) -> Key:
        """The key of plans for inputs of these shapes, with the present shapes of shared variables.

        No value has to be fetched from a device for it.
        """
        return (*shapes, *[s.host_array.shape for s in self._shared])

    def read_shared_scalars(self, integers: dict[Variable, int]) -> None:
        """Adds the values of the integer scalars among the shared variables to `integers`."""
        for v in self._shared_scalars:
            integers[v] = int(v.storage)

    def find(self, key: Key, integers: Mapping[Variable, int]) -> tuple[CachedPlan, Slots]:
        """The plan for a call and the call's slots; a new plan where none fits."""
        for position, cached in enumerate(self.plans):
            if cached.key == key:
                slots = cached.slots(integers)
                if slots is not None:
                    if position:
                        self.plans.insert(0, self.plans.pop(position))
                    return cached, slots
        cached = self._compile(key, integers)
        self.plans.insert(0, cached)
        del self.plans[config.plan_cache_size :]
        host = cached.plan.host
        return cached, host.function(*[integers[v] for v in host.inputs])[1]

    def plan_ahead(self, key: Key, integers: Mapping[Variable, int]) -> Plan:
        """The plan of a call, without a program; `find` uses it when the call comes."""
        for cached in self.plans:
            if cached.key == key and cached.slots(integers) is not None:
                return cached.plan
        compiled = self._planned(key, integers)
        self._ahead = key, compiled
        return compiled.plan

    def clear(self) -> None:
        """Removes all plans, and with them the arena's memory."""
        self.plans.clear()
        self._ahead = None

    def _compile(self, key: Key, integers: Mapping[Variable, int]) -> CachedPlan:
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] == key and slots_of(ahead[1].plan, integers) is not None:
            compiled = ahead[1]
        else:
            compiled = self._planned(key, integers)
        return self._with_program(key, compiled)

    def _planned(self, key: Key, integers: Mapping[Variable, int]) -> Compiled:
        with collection_paused(), no_test_values():
            return compile_plan(
                self._outputs.variables,
                self._updates,
                dict(zip((*self._inputs, *self._shared), key, strict=True)),
                integers,
                self._backend.name,
                self._backend.kernels,
                self._backend.fuses,
                self._made_at,
            )

    def _with_program(self, key: Key, compiled: Compiled) -> CachedPlan:
        plan = compiled.plan
        bindings = tuple(self._binding(plan, number) for number in bound_buffers(plan))
        owned = [b.owned for b in bindings if isinstance(b, OutputBinding)]
        begin = perf_counter()
        program = self._backend.program(plan, self._arena)
        compiled = compiled.with_stage("program", perf_counter() - begin)
        report_plan(self._name, compiled)
        borrowed = tuple(array for array in owned if array is not None)
        return CachedPlan(key, compiled, program, bindings, borrowed, self._name)

    def _binding(self, plan: Plan, number: int) -> Binding:
        buffer = plan.buffers[number]
        if buffer.kind == OUTPUT:
            position = plan.outputs.index(number)  # values of resized variables come last
            borrowed = position < len(self._outputs.borrowed) and self._outputs.borrowed[position]
            owned = np.empty(buffer.shape, buffer.dtype) if borrowed else None
            return OutputBinding(number, buffer.shape, buffer.dtype, owned)
        assert buffer.leaf is not None
        if buffer.kind == SHARED:
            assert isinstance(buffer.leaf, SharedVariable)
            is_updated = buffer.leaf in self._updates
            return SharedBinding(buffer.leaf, is_updated, self._backend.keeps_shared)
        return self._inputs.index(buffer.leaf)
