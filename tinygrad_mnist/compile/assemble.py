"""Arrays that are written piece by piece, as calls over one buffer.

The first calls initialise the array: by a copy, by filling what the parts leave out, or not at all
where parts cover everything. Then there is a call for each part. `in_place` removes copies that
turn out to be redundant.
"""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.compile.draft import Draft, view_of
from tinygrad_mnist.compile.plan import KernelCall, View
from tinygrad_mnist.contracts import Contract
from tinygrad_mnist.graph.layout import StaticSlice
from tinygrad_mnist.graph.match import constant_value
from tinygrad_mnist.graph.variables import Node, Variable


def draft_assembled(draft: Draft, node: Node) -> View:
    """The calls of an `assemble`."""
    result = node.outputs[0]
    parts, regions = list(node.inputs), node.params["regions"]
    whole = draft.temporary(result.dtype, result.type.static_shape)
    if node.params["has_base"]:
        _start_as(draft, parts.pop(0), whole, regions, node)
    written: set[int] = set()  # the parts have no elements in common
    for part, region in zip(parts, regions, strict=True):
        target = whole._replace(layout=region.layout(whole.layout))
        value = constant_value(part)
        if value is not None and abs(value) < 2**53:
            number = draft.fill(value, target, node.origins, apart=written)
        else:
            number = draft.copy(view_of(draft, part), target, node.origins, apart=written)
            draft.parts.append(number)
        written.add(number)
    return whole


def draft_updated(draft: Draft, node: Node, contract: Contract, checks: set[int]) -> View:
    """The calls of an op whose kernel updates its first input in place: an array that starts as a
    copy of that input, then the update, which waits for the checks of its indices."""
    base, *operands = node.inputs
    whole = draft.temporary(base.dtype, base.type.static_shape)
    _start_as(draft, base, whole, (), node)
    part = node.op.updated_part
    layout = whole.layout if part is None else part(node.params, whole.layout)
    updated = whole._replace(layout=layout)
    inputs = (updated, *(view_of(draft, v) for v in operands))
    params = contract.own_params(node.params)
    call = KernelCall(contract.name, inputs, (updated,), params, node.origins)
    draft.graph.add(call, after=checks)
    return whole


def _start_as(
    draft: Draft, base: Variable, whole: View, regions: Sequence[StaticSlice], node: Node
) -> None:
    value = constant_value(base)
    if value is None or abs(value) >= 2**53:
        draft.bases[whole.buffer] = draft.copy(view_of(draft, base), whole, node.origins)
        return
    for region in _outside(regions, whole.layout.shape):
        target = whole._replace(layout=region.layout(whole.layout))
        draft.fill(value, target, node.origins)


def _outside(regions: Sequence[StaticSlice], shape: tuple[int, ...]) -> list[StaticSlice]:
    """Slices that cover what `regions` leave out of an array: strips between them where they lie
    along one axis, else all of it."""
    whole = StaticSlice.whole(shape)
    axes = {axis for region in regions for axis in region.partial_axes(shape)}
    if (
        len(axes) != 1
        or not all(region.is_fixed for region in regions)
        or any(abs(step) != 1 for region in regions for step in region.steps)
    ):
        return [whole]
    (axis,) = axes
    strips, end = [], 0
    for first, n in sorted(_interval(region, axis) for region in regions):
        if first > end:
            strips.append(whole.along(axis, end, first - end))
        end = max(end, first + n)
    if end < shape[axis]:
        strips.append(whole.along(axis, end, shape[axis] - end))
    return strips


def _interval(region: StaticSlice, axis: int) -> tuple[int, int]:
    """The lowest index of a region along an axis, and how many there are."""
    n, start = region.lengths[axis], region.starts[axis].value
    return (start if region.steps[axis] > 0 else start - n + 1), n
