"""Order: results and updates find their places, and calls their order.

A result is written straight into the array that the caller gets, an update straight into the
shared variable, where that is possible. An update waits for every reader of the old value; where
two wait for each other, as when variables are swapped, one goes through a temporary. Range checks
come before the first update, so a step is whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush

from tinygrad_mnist.compile.host import HostProgram
from tinygrad_mnist.compile.memory import Lifetime, assign_offsets
from tinygrad_mnist.compile.plan import OUTPUT, SHARED, TEMPORARY, Buffer, KernelCall, Plan, View
from tinygrad_mnist.compile.schedule import Draft, layout_is_whole, view_of
from tinygrad_mnist.contracts.operands import own_operands
from tinygrad_mnist.graph.layout import contiguous
from tinygrad_mnist.graph.variables import SharedVariable, Variable


@dataclass
class _Placement:
    """Where temporaries end up: in themselves, or in a bound buffer that stands for them."""

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
    """Places results and updates, orders the calls, assigns memory."""
    place = _Placement(draft, {})
    places = [_place_output(place, v, i) for i, v in enumerate(outputs)]
    late: list[tuple[View, View]] = []
    # All copies are made before the first placement, which has to know every reader.
    values = {shared: _free_value(place, value) for shared, value in updates.items()}
    for shared, view in values.items():
        home = draft.views[leaves[shared]]
        if not _place_update(place, home, view):
            late.append((view, home))
    _guard_writes(draft, place)
    for source, target in late:
        readers = set(draft.readers.get(target.buffer, ()))
        number = draft.copy(source, target, None)
        draft.depends[number] |= readers | set(draft.checks.values())
    order = _topological(draft.depends)
    calls = [_moved(draft.calls[i], place) for i in order]
    buffers, numbers, arena = _with_memory(draft.buffers, calls, places)
    return Plan(
        backend,
        buffers,
        tuple(_moved(call, numbers.__getitem__) for call in calls),
        tuple(numbers[p] for p in places),
        arena,
        host,
        dict(rewrites),
    )


def _place_output(place: _Placement, v: Variable, number: int) -> int:
    """The output buffer that holds result `number`, written by its maker or by a copy."""
    draft = place.draft
    view = view_of(draft, v)
    output = draft.new_buffer(OUTPUT, v.dtype, v.type.static_shape, name=v.name or f"out{number}")
    if _is_free(place, view):
        place.target[view.buffer] = output
    else:
        draft.copy(view, View(output, v.dtype, contiguous(v.type.static_shape)), v.source)
    return output


def _is_free(place: _Placement, view: View) -> bool:
    """Whether the maker of a temporary could as well write it elsewhere."""
    buffer = place.draft.buffers[view.buffer]
    return (
        buffer.kind == TEMPORARY
        and view.buffer not in place.target
        and view.dtype == buffer.dtype
        and layout_is_whole(view, buffer)
    )


def _free_value(place: _Placement, value: Variable) -> View:
    """The value of an update in a temporary of its own, by a copy where it has none."""
    draft = place.draft
    view = view_of(draft, value)
    if _is_free(place, view):
        return view
    fresh = draft.temporary(view.dtype, view.layout.shape)
    draft.copy(view, fresh, value.source)
    return fresh


def _place_update(place: _Placement, home: View, view: View) -> bool:
    """Lets the call that makes `view` write into the shared variable itself; False where a copy
    has to do it after everything else."""
    draft = place.draft
    writers = draft.writers[view.buffer]
    writer = writers[-1]
    if not _is_free(place, view) or len(writers) > 1:
        return False
    if not _may_overwrite(draft.calls[writer], view, home):
        return False
    earlier = draft.readers.get(home.buffer, set()) - {writer}
    # Range checks come before every write, so a check of the new value itself asks for a copy.
    before = earlier | set(draft.checks.values())
    if any(_reaches(draft.depends, call, writer) for call in before):
        return False
    place.target[view.buffer] = home.buffer
    draft.depends[writer] |= earlier
    return True


def _may_overwrite(call: KernelCall, result: View, home: View) -> bool:
    """Whether a call may write its result over `home`, which it may also read: only element for
    element, through the operands of a tape."""
    (written,) = [v for v in call.outputs if v.buffer == result.buffer]
    own = own_operands(call.kernel, call.params)
    for number, operand in enumerate(call.inputs):
        if operand.buffer != home.buffer:
            continue
        if (
            own is None
            or number < own
            or operand.dtype != home.dtype
            or not _same_elements(operand, written)
        ):
            return False
    return True


def _same_elements(a: View, b: View) -> bool:
    """Whether two views walk through a buffer alike; axes of length 1 may have any stride."""
    first, second = a.layout, b.layout
    return (
        first.shape == second.shape
        and first.offset == second.offset
        and not first.slots
        and not second.slots
        and all(
            n == 1 or s == t
            for n, s, t in zip(first.shape, first.strides, second.strides, strict=True)
        )
    )


def _reaches(depends: Sequence[set[int]], start: int, goal: int) -> bool:
    """Whether call `start` has to come after call `goal`."""
    stack, seen = [start], {start}
    while stack:
        current = stack.pop()
        if current == goal:
            return True
        fresh = depends[current] - seen
        seen |= fresh
        stack.extend(fresh)
    return False


def _guard_writes(draft: Draft, place: _Placement) -> None:
    """Every call that writes a shared variable waits for all range checks."""
    checks = set(draft.checks.values())
    for temporary, target in place.target.items():
        if draft.buffers[target].kind == SHARED:
            for writer in draft.writers[temporary]:
                draft.depends[writer] |= checks


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
