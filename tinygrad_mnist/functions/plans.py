"""The plans that one function keeps: found by shapes and guards, compiled where none fits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter

import numpy as np

from tinygrad_mnist.backends import Arena, Backend
from tinygrad_mnist.backends.base import bound_buffers
from tinygrad_mnist.compile.cuts import Remainder
from tinygrad_mnist.compile.host import is_host_scalar
from tinygrad_mnist.compile.pipeline import Compiled, compile_plan
from tinygrad_mnist.compile.plan import OUTPUT, SHARED, Plan
from tinygrad_mnist.compile.report import report_plan
from tinygrad_mnist.compile.specialise import ValuesNeededError
from tinygrad_mnist.config import config
from tinygrad_mnist.functions.cached import (
    Binding,
    CachedPlan,
    Key,
    OutputBinding,
    Shape,
    SharedBinding,
    Slots,
    slots_of,
)
from tinygrad_mnist.functions.io import Outputs
from tinygrad_mnist.functions.memory import check_memory
from tinygrad_mnist.functions.segments import CutCall, Ready, Segments
from tinygrad_mnist.graph.collection import collection_paused
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import Origins, user_origins
from tinygrad_mnist.graph.test_values import no_test_values
from tinygrad_mnist.graph.traversal import leaves
from tinygrad_mnist.graph.variables import Variable


class PlanCache:
    """The plans that a function keeps, the last used first, and the arena that they run in.

    inputs, shared: the leaves, in the order of a key. outputs, updates: the expressions. name: of
    the function, for reports. segments: the parts of the function where it is cut.

    For a part of a function that is cut: what: its expressions, before known values were replaced.
    part: its number. made_at: the lines of the function.
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
        what: Remainder | None = None,
        part: int = 1,
        made_at: Origins | None = None,
    ) -> None:
        self.segments: Segments | None = None
        self.plans: list[CachedPlan] = []
        self._arena = arena
        self._inputs = tuple(inputs)
        self._shared = tuple(shared)
        self._shared_scalars = tuple(v for v in shared if is_host_scalar(v))
        self._outputs = outputs
        self._updates = dict(updates)
        self._backend = backend
        self._name = name
        self._what = what
        self._part = part
        # The line that makes the function.
        self._made_at = user_origins() if made_at is None else made_at
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

    def find(self, key: Key, integers: Mapping[Variable, int]) -> tuple[Ready, Slots]:
        """The plan for a call and the call's slots; a new plan where none fits. A CutCall for a
        function that is cut."""
        for position, cached in enumerate(self.plans):
            if cached.key == key:
                slots = cached.slots(integers)
                if slots is not None:
                    if position:
                        self.plans.insert(0, self.plans.pop(position))
                    return cached, slots
        try:
            if self.segments is not None:
                return CutCall(self.segments, integers), ()
            cached = self._compile(key, integers)
        except ValuesNeededError:
            self.segments = self._cut(key, integers)
            return CutCall(self.segments, integers), ()
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
        self.segments = None
        self._ahead = None

    def last_plans(self) -> list[Plan]:
        """The plans of the last call, in order: one, or several of a function that is cut."""
        if self.segments is not None:
            return self.segments.last_plans()
        return [cached.plan for cached in self.plans[:1]]

    def all_plans(self) -> list[Plan]:
        """The plans that are kept, the last used first; of a function that is cut, those of its
        parts."""
        kept = [cached.plan for cached in self.plans]
        return kept if self.segments is None else [*kept, *self.segments.all_plans()]

    def _cut(self, key: Key, integers: Mapping[Variable, int]) -> Segments:
        """The parts of a function that is cut."""
        what = self._what or Remainder([*self._outputs.variables, *self._updates.values()])
        cuts = what.cuts(self._shapes(key), integers)
        return Segments(self._inputs, what, cuts, self._plans_of_part)

    def _plans_of_part(
        self, inputs: Sequence[Variable], what: Remainder, is_end: bool
    ) -> PlanCache:
        """The plans of a part of the function; the end has its outputs and updates."""
        expressions = what.substituted()
        n = len(self._outputs.variables)
        if is_end:
            outputs = self._outputs.computing(expressions[:n])
            updates = dict(zip(self._updates, expressions[n:], strict=True))
        else:
            outputs, updates = Outputs(tuple(expressions), (False,) * len(expressions)), {}
        used = leaves(expressions)
        return PlanCache(
            inputs,
            [v for v in self._shared if v in used or v in updates],
            outputs,
            updates,
            self._backend,
            self._arena,
            self._name,
            what,
            self._part + is_end,
            self._made_at,
        )

    def _shapes(self, key: Key) -> dict[Variable, Shape]:
        return dict(zip((*self._inputs, *self._shared), key, strict=True))

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
                self._shapes(key),
                integers,
                self._backend.name,
                self._backend.kernels,
                self._backend.fuses,
                self._made_at,
                self._backend.rising,
                self._backend.keeps_depth,
            )

    @property
    def _title(self) -> str:
        """The name of the function in reports, with the number of the part if it is one."""
        return self._name if self._what is None else f"{self._name}, segment {self._part}"

    def _with_program(self, key: Key, compiled: Compiled) -> CachedPlan:
        plan = compiled.plan
        on_host = not self._backend.keeps_shared  # a device says itself what it lacks
        if on_host:
            check_memory(plan, 0, self._title, self._arena.nbytes)
        begin = perf_counter()
        program = self._backend.program(plan, self._arena)
        if on_host:
            try:
                check_memory(plan, program.workspace_bytes, self._title, self._arena.nbytes)
            except MemoryError:
                del program  # the arena would go on to be as large as it needs
                raise
        compiled = compiled.with_stage("program", perf_counter() - begin)
        bindings = tuple(self._binding(plan, number) for number in bound_buffers(plan))
        owned = [b.owned for b in bindings if isinstance(b, OutputBinding)]
        report_plan(self._title, compiled)
        borrowed = tuple(array for array in owned if array is not None)
        return CachedPlan(key, compiled, program, bindings, borrowed, self._title)

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
