"""Order: buffers for results and updates, and the order of the calls.

A result is written straight into the array that the caller gets, an update straight into the
shared variable, where that is possible. An update waits for every reader of the old value; where
two wait for each other, as when variables are swapped, one goes through a temporary. Range checks
come before the first update, so a step is whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from tinygrad_mnist.compile.draft import Draft, layout_is_whole, view_of
from tinygrad_mnist.compile.group import group_calls
from tinygrad_mnist.compile.host import HostProgram
from tinygrad_mnist.compile.in_place import may_overwrite, save_copies
from tinygrad_mnist.compile.memory import Lifetime, assign_offsets
from tinygrad_mnist.compile.plan import OUTPUT, TEMPORARY, Buffer, KernelCall, Plan, View
from tinygrad_mnist.graph.layout import contiguous
from tinygrad_mnist.graph.variables import SharedVariable, Variable


@dataclass
class _Placement:
    """The buffer of each temporary: its own, or the bound buffer that replaces it (`target`)."""

    draft: Draft
    target: dict[int, int]

    def __call__(self, buffer: int) -> int:
        return self.target.get(buffer, buffer)


def arrange(
    draft: Draft,
    outputs: Sequence[Variable],
    updates: Mapping[SharedVariable, Variable],
    leaves: Mapping[Variable, Variable],
    host: HostProgram,
    backend: str,
    rewrites: Mapping[str, int],
) -> Plan:
    """Gives results and updates their buffers, orders the calls, assigns memory."""
    save_copies(draft, {view_of(draft, v).buffer for v in (*outputs, *updates.values())})
    placement = _Placement(draft, {})
    result_buffers = [_place_output(placement, v, i) for i, v in enumerate(outputs)]
    late: list[tuple[View, View]] = []
    # All copies are made before the first placement, which has to know every reader.
    values = {shared: _free_value(placement, value) for shared, value in updates.items()}
    for shared, view in values.items():
        target = draft.views[leaves[shared]]
        if not _place_update(placement, target, view):
            late.append((view, target))
    for source, target in late:
        readers = set(draft.readers.get(target.buffer, ()))
        number = draft.copy(source, target, None)
        draft.depends[number] |= readers | set(draft.checks.values())
    drafted, depends = draft.without_dropped()
    drafted, depends = group_calls(drafted, depends, draft.kernels)
    order = _topological(depends)
    calls = [_moved(drafted[i], placement) for i in order]
    buffers, numbers, arena = _with_memory(draft.buffers, calls, result_buffers)
    return Plan(
        backend,
        buffers,
        tuple(_moved(call, numbers.__getitem__) for call in calls),
        tuple(numbers[p] for p in result_buffers),
        arena,
        host,
        dict(rewrites),
    )


def _place_output(placement: _Placement, v: Variable, number: int) -> int:
    """The output buffer of result `number`, written by the call that makes the result or a copy."""
    draft = placement.draft
    view = view_of(draft, v)
    output = draft.new_buffer(OUTPUT, v.dtype, v.type.static_shape, name=v.name or f"out{number}")
    if _is_free(placement, view):
        placement.target[view.buffer] = output
    else:
        draft.copy(view, View(output, v.dtype, contiguous(v.type.static_shape)), v.source)
    return output


def _is_free(placement: _Placement, view: View) -> bool:
    """Whether a view is all of a temporary that may still be replaced by a bound buffer."""
    buffer = placement.draft.buffers[view.buffer]
    return (
        buffer.kind == TEMPORARY
        and view.buffer not in placement.target
        and view.dtype == buffer.dtype
        and layout_is_whole(view, buffer)
    )


def _free_value(placement: _Placement, value: Variable) -> View:
    """The value of an update in its own temporary, by a copy where it has none."""
    draft = placement.draft
    view = view_of(draft, value)
    if _is_free(placement, view):
        return view
    fresh = draft.temporary(view.dtype, view.layout.shape)
    draft.copy(view, fresh, value.source)
    return fresh


def _place_update(placement: _Placement, target: View, view: View) -> bool:
    """Lets the calls that make `view` write into the shared variable itself; False where a copy
    has to do it after everything else."""
    draft = placement.draft
    if not _is_free(placement, view):
        return False
    # An array initialised as a copy of the variable needs no copy where it is the variable.
    copy = draft.bases.get(view.buffer)
    if copy is not None and not _copies_all_of(draft, copy, target):
        copy = None
    # Range checks come before every write, so a check of the new value itself asks for a copy.
    if not may_overwrite(draft, view.buffer, target, copy, draft.checks.values()):
        return False
    if copy is not None:
        draft.drop(copy)
    placement.target[view.buffer] = target.buffer
    return True


def _copies_all_of(draft: Draft, copy: int, target: View) -> bool:
    (source,) = draft.calls[copy].inputs
    is_of_target = copy not in draft.dropped and source.buffer == target.buffer
    return is_of_target and layout_is_whole(source, draft.buffers[target.buffer])


def _topological(depends: Sequence[set[int]]) -> list[int]:
    """Calls in an order that respects `depends`; among those that are ready, as drafted."""
    after: list[list[int]] = [[] for _ in depends]
    for call, before in enumerate(depends):
        for other in before:
            after[other].append(call)
    missing = [len(before) for before in depends]
    ready = [call for call, n in enumerate(missing) if n == 0]  # sorted, so a heap
    order: list[int] = []
    while ready:
        order.append(heappop(ready))
        for call in after[order[-1]]:
            missing[call] -= 1
            if missing[call] == 0:
                heappush(ready, call)
    assert len(order) == len(depends), "calls wait for each other"
    return order


def _moved(call: KernelCall, number: Callable[[int], int]) -> KernelCall:
    """`call` over the same buffers under other numbers."""

    def moved(views: Iterable[View]) -> tuple[View, ...]:
        return tuple(v._replace(buffer=number(v.buffer)) for v in views)

    return replace(call, inputs=moved(call.inputs), outputs=moved(call.outputs))


def _with_memory(
    buffers: Sequence[Buffer], calls: Sequence[KernelCall], results: Sequence[int]
) -> tuple[tuple[Buffer, ...], dict[int, int], int]:
    """The buffers in use, their new numbers, and the size of the arena in bytes."""
    lives: dict[int, Lifetime] = {}
    used: dict[int, None] = dict.fromkeys(results)
    for position, call in enumerate(calls):
        for view in (*call.inputs, *call.outputs):
            used.setdefault(view.buffer)
            if buffers[view.buffer].kind == TEMPORARY:
                life = lives.setdefault(
                    view.buffer, Lifetime(buffers[view.buffer].nbytes, position, position)
                )
                life.last = position
    arena = assign_offsets(list(lives.values()))
    kept = sorted(used)
    numbers = {old: new for new, old in enumerate(kept)}
    names = {old: f"t{i}" for i, old in enumerate(n for n in kept if n in lives)}
    placed = tuple(
        replace(buffers[old], offset=lives[old].offset, name=names[old])
        if old in lives
        else buffers[old]
        for old in kept
    )
    return placed, numbers, arena
