"""A function that is cut: its plans run one after the other, with the host in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tinygrad_mnist.compile.cuts import Cuts, Remainder, stand_in
from tinygrad_mnist.compile.host_ops import run_on_host
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.config import config
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.functions.cached import CachedPlan, Key, Shape, Slots
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.traversal import leaves
from tinygrad_mnist.graph.variables import Constant, Input, Variable

Integers = Mapping[Variable, int]


class Ready(Protocol):
    """What a call of a function comes to: a plan, or several of which the last is not known yet."""

    def run(self, arrays: Sequence[Array], slots: Slots) -> list[Array]: ...


class Plans(Protocol):
    """`PlanCache`, which this module can't import."""

    def key(self, shapes: Sequence[Shape]) -> Key: ...

    def find(self, key: Key, integers: Integers) -> tuple[Ready, Slots]: ...

    def last_plans(self) -> list[Plan]: ...

    def all_plans(self) -> list[Plan]: ...


# inputs, what to compute, whether it is the end of the function with its updates -> its plans
MakePlans = Callable[[Sequence[Variable], Remainder, bool], Plans]


class _Part:
    """A part of a function between two cuts.

    available: the inputs of the function and what replaces computed values.
    """

    def __init__(
        self, make: MakePlans, available: Sequence[Variable], what: Remainder, is_end: bool
    ) -> None:
        # Gradients that wait read what is known though nothing that is substituted does.
        used = {*leaves(what.substituted()), *what.known.values()}
        self._inputs = [v for v in available if v in used]
        self.plans = make(self._inputs, what, is_end)

    def ready(
        self, values: Mapping[Variable, Array], integers: Integers
    ) -> tuple[CachedPlan, Sequence[Array], Slots]:
        """The last plan of a call, with its arguments; all plans before it have run."""
        arrays = [values[v] for v in self._inputs]
        found, slots = self.plans.find(self.plans.key([a.shape for a in arrays]), integers)
        if isinstance(found, CutCall):
            return found.ready(arrays)
        assert isinstance(found, CachedPlan)
        return found, arrays, slots


class Segments:
    """The parts of a function that is cut: one before its first cuts, and for every choice of
    branches one behind them, which may be cut in turn.

    inputs: of the function. whole: what it computes. cuts: the first ones.
    """

    def __init__(
        self, inputs: Sequence[Variable], whole: Remainder, cuts: Cuts, make: MakePlans
    ) -> None:
        self._inputs = tuple(inputs)
        self._whole = whole
        self._cuts = cuts
        self._make = make
        self._wanted = dict(zip(cuts.needs, whole.substituted(cuts.needs), strict=True))
        computed = [v for v in self._wanted.values() if v.node is not None]
        self._first = _Part(make, inputs, Remainder(computed), False) if computed else None
        results = [v for node in cuts.host for v in node.outputs]
        replaced = (*cuts.integers, *results, *cuts.passed)
        self._known: dict[Variable, Input] = {v: stand_in(v) for v in replaced}
        self._behind: dict[tuple[int, ...], _Part] = {}
        self._last: _Part | None = None

    def ready(
        self, arrays: Sequence[Array], integers: Integers
    ) -> tuple[CachedPlan, Sequence[Array], Slots]:
        """Runs all plans but the last one, which alone changes shared variables; returns that one
        with its arguments."""
        values: dict[Variable, Array] = dict(zip(self._inputs, arrays, strict=True))
        known = self._needed(values, integers)
        decided = tuple(
            node.op.choice.kind(_value(v, known).item())
            for node, v in self._cuts.choices
            if node.op.choice is not None
        )
        for node in self._cuts.host:
            given = [_value(v, known) for v in node.inputs]
            known.update(zip(node.outputs, run_on_host(node, given), strict=True))
        values.update((fresh, known[v]) for v, fresh in self._known.items())
        scalars: dict[Variable, int] = {
            fresh: int(known[v])
            for v, fresh in self._known.items()
            if v.ndim == 0 and v.type.is_discrete
        }
        self._last = self._part_behind(decided)
        return self._last.ready(values, {**integers, **scalars})

    def _part_behind(self, decided: tuple[int, ...]) -> _Part:
        """The part behind the cuts; as many are kept as plans of a function, the last used."""
        part = self._behind.pop(decided, None)
        if part is None:
            rest = self._whole.after(self._cuts, decided, self._known)
            part = _Part(self._make, [*self._inputs, *self._known.values()], rest, True)
        self._behind[decided] = part
        for oldest in list(self._behind)[: -config.plan_cache_size]:
            del self._behind[oldest]
        return part

    def _needed(
        self, values: Mapping[Variable, Array], integers: Integers
    ) -> dict[Variable, Array]:
        """The values of what the cuts need."""
        computed: list[Array] = []
        if self._first is not None:
            plan, arrays, slots = self._first.ready(values, integers)
            computed = plan.run(arrays, slots)
        results = iter(computed)
        known: dict[Variable, Array] = {}
        for v, wanted in self._wanted.items():
            if wanted.node is not None:
                known[v] = next(results)
            elif isinstance(wanted, SharedVariable):
                known[v] = wanted.storage
            else:
                known[v] = wanted.value if isinstance(wanted, Constant) else values[wanted]
        return known

    def last_plans(self) -> list[Plan]:
        """The plans of the last call, in the order in which they ran."""
        parts = [part for part in (self._first, self._last) if part is not None]
        return [plan for part in parts for plan in part.plans.last_plans()]

    def all_plans(self) -> list[Plan]:
        """All plans that are kept, those of the last call's parts first."""
        parts = [*([self._first] if self._first else []), *reversed(self._behind.values())]
        return [plan for part in parts for plan in part.plans.all_plans()]


def _value(v: Variable, known: Mapping[Variable, Array]) -> Array:
    """The value of what a cut needs."""
    return v.value if isinstance(v, Constant) else known[v]


@dataclass(frozen=True)
class CutCall:
    """A call of a function that is cut, with its integers."""

    segments: Segments
    integers: Integers

    def ready(self, arrays: Sequence[Array]) -> tuple[CachedPlan, Sequence[Array], Slots]:
        """See `Segments.ready`."""
        return self.segments.ready(arrays, self.integers)

    def run(self, arrays: Sequence[Array], slots: Slots) -> list[Array]:
        """Runs all plans; the outputs are those of the last."""
        plan, given, slots = self.ready(arrays)
        return plan.run(given, slots)
