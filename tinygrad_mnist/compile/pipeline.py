"""The stages in a row: symbolic graph in, plan out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tinygrad_mnist.compile.order import arrange
from tinygrad_mnist.compile.plan import KernelCall, Plan
from tinygrad_mnist.compile.schedule import draft_calls
from tinygrad_mnist.compile.specialise import specialise
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import Origins, at, in_order
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.rewrite.engine import Context, Functions, Stage
from tinygrad_mnist.rewrite.passes import PASSES, PLAIN_PASSES, rewrite
from tinygrad_mnist.stability import stabilise


@dataclass(frozen=True)
class Compiled:
    """A plan, and the shared variables that change their shape in it.

    resized: these with the number of the plan's output that is their new value; such an output
    comes after the function's own. stages: what was done to make the plan, and how long it took.
    """

    plan: Plan
    resized: tuple[tuple[SharedVariable, int], ...]
    stages: tuple[Stage, ...]

    def with_stage(self, name: str, seconds: float) -> Compiled:
        """The same with one stage more."""
        return replace(self, stages=(*self.stages, Stage(name, seconds, {})))


def compile_plan(
    outputs: Sequence[Variable],
    updates: Mapping[SharedVariable, Variable],
    shapes: Mapping[Variable, tuple[int, ...]],
    scalars: Mapping[Variable, int],
    backend: str,
    kernels: frozenset[str],
    fuse: bool,
    made_at: Origins = (),
    rising: Functions = frozenset(),
    keeps_depth: bool = False,
) -> Compiled:
    """The plan that computes `outputs` and `updates` for leaves of the given shapes.

    shapes: of all inputs and shared variables. scalars: values of the integer scalars among them.
    backend, kernels: what the plan is for. fuse: rewrite to fused kernels, or run the graph as it
    is. made_at: the origin of calls that belong to no expression, such as the copy of an input.
    rising, keeps_depth: see `Backend`.
    """
    context = Context(kernels, rising)
    with context.stage("stabilise"):
        stable = stabilise([*outputs, *updates.values()], applied=context.fired)
    with context.stage("specialise"):
        special = specialise(stable, shapes, scalars)
    rewritten = rewrite(special.outputs, context, PASSES if fuse else PLAIN_PASSES)
    results = rewritten[: len(outputs)]
    in_place: dict[SharedVariable, Variable] = {}
    resized: list[tuple[SharedVariable, int]] = []
    for shared, value in zip(updates, rewritten[len(outputs) :], strict=True):
        if value.type.shape == shapes[shared]:
            in_place[shared] = value
        else:
            _check_resized(shared, value)
            resized.append((shared, len(results)))
            results.append(value)
    with context.stage("schedule"):
        draft = draft_calls([*results, *in_place.values()], special.leaves, kernels, backend)
    with context.stage("arrange"):
        plan = arrange(
            draft,
            results,
            in_place,
            special.leaves,
            special.host,
            backend,
            context.fired,
            keeps_depth,
        )
        plan = replace(plan, calls=tuple(_located(call, made_at) for call in plan.calls))
    return Compiled(plan, tuple(resized), tuple(context.stages))


def _located(call: KernelCall, made_at: Origins) -> KernelCall:
    """The call with its lines in order, or those of the function where it has none."""
    return replace(call, origins=in_order(call.origins) or made_at)


def _check_resized(shared: SharedVariable, value: Variable) -> None:
    """A dimension that broadcasts stays 1 long."""
    lengths = value.type.static_shape
    if any(fixed and n != 1 for fixed, n in zip(shared.broadcastable, lengths, strict=True)):
        raise ShapeError(
            f"the update of {shared} has shape {lengths}, but {shared} is a {shared.type}"
            f"{at(value.source or shared.source)}"
        )
