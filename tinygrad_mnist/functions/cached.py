"""A plan with its program, and what its buffers are bound to in a call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tinygrad_mnist.backends import Backend, Operand, Program
from tinygrad_mnist.backends.interrupts import interrupts_deferred
from tinygrad_mnist.compile.pipeline import Compiled
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.graph.access import ForkSafeLock
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.variables import Variable
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
