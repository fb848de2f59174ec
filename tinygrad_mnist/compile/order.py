"""Order: buffers for results and updates, and the order of the calls.

A result is written straight into the array that the caller gets, an update straight into the
shared variable, where that is possible. An update waits for every reader of the old value; where
two wait for each other, as when variables are swapped, one goes through a temporary. Range checks
come before the first update, so a step is whole or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinygrad_mnist.compile.depends import dependencies
from tinygrad_mnist.compile.draft import Draft, layout_is_whole, view_of
from tinygrad_mnist.compile.group import group_calls
from tinygrad_mnist.compile.host import HostProgram
from tinygrad_mnist.compile.in_place import may_overwrite, save_copies
from tinygrad_mnist.compile.memory import place_buffers
from tinygrad_mnist.compile.plan import OUTPUT, TEMPORARY, Plan, View
from tinygrad_mnist.graph.layout import contiguous
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import Origins
from tinygrad_mnist.graph.variables import Variable

# By temporaries: the bound buffers that replace them.
_Replaced = dict[int, int]


def arrange(
    draft: Draft,
    outputs: Sequence[Variable],
    updates: Mapping[SharedVariable, Variable],
    leaves: Mapping[Variable, Variable],
    host: HostProgram,
    backend: str,
    rewrites: Mapping[str, int],
    keeps_depth: bool = False,
) -> Plan:
    """Gives results and updates their buffers, orders the calls, assigns memory.

    keeps_depth: whether the longest chain of calls that wait for each other has to stay as short as
    the graph allows; see `Backend`. Then calls are ordered by their depth, and memory is used again
    at a greater depth only, so that no call waits for it longer than for its operands.
    """
    graph = draft.graph
    save_copies(draft, {view_of(draft, v).buffer for v in (*outputs, *updates.values())})
    replaced: _Replaced = {}
    results = [_place_output(draft, replaced, v, i) for i, v in enumerate(outputs)]
    late: list[tuple[View, View]] = []
    # All copies are made before the first update is placed, which has to know every reader.
    values = {shared: _free_value(draft, replaced, value) for shared, value in updates.items()}
    for shared, view in values.items():
        target = draft.views[leaves[shared]]
        if not _place_update(draft, replaced, target, view):
            late.append((view, target))
    for source, target in late:
        readers = graph.readers(target.buffer)
        graph.wait(draft.copy(source, target, ()), readers.union(draft.checks.values()))
    group_calls(graph, draft.kernels, keeps_depth)
    times = graph.depths() if keeps_depth else {n: k for k, n in enumerate(graph.order())}
    order = sorted(times, key=lambda n: (times[n], n))
    ordered = [graph[n].with_buffers(lambda b: replaced.get(b, b)) for n in order]
    buffers, numbers, arena = place_buffers(
        draft.buffers, ordered, [times[n] for n in order], results
    )
    calls = tuple(call.with_buffers(numbers.__getitem__) for call in ordered)
    return Plan(
        backend,
        buffers,
        calls,
        dependencies(buffers, calls),
        tuple(numbers[p] for p in results),
        arena,
        host,
        dict(rewrites),
    )


def _place_output(draft: Draft, replaced: _Replaced, v: Variable, number: int) -> int:
    """The output buffer of result `number`, written by the call that makes the result or a copy."""
    view = view_of(draft, v)
    output = draft.new_buffer(OUTPUT, v.dtype, v.type.static_shape, name=v.name or f"out{number}")
    if _is_free(draft, replaced, view):
        replaced[view.buffer] = output
    else:
        target = View(output, v.dtype, contiguous(v.type.static_shape))
        draft.copy(view, target, _origins(v))
    return output


def _origins(v: Variable) -> Origins:
    """The lines of a copy of `v`. A leaf is copied because of the function, whose line is used."""
    return v.origins if v.node is not None else ()


def _is_free(draft: Draft, replaced: _Replaced, view: View) -> bool:
    """Whether a view is all of a temporary that may still be replaced by a bound buffer."""
    buffer = draft.buffers[view.buffer]
    return (
        buffer.kind == TEMPORARY
        and view.buffer not in replaced
        and view.dtype == buffer.dtype
        and layout_is_whole(view, buffer)
    )


def _free_value(draft: Draft, replaced: _Replaced, value: Variable) -> View:
    """The value of an update in its own temporary, by a copy where it has none."""
    view = view_of(draft, value)
    if _is_free(draft, replaced, view):
        return view
    fresh = draft.temporary(view.dtype, view.layout.shape)
    draft.copy(view, fresh, _origins(value))
    return fresh


def _place_update(draft: Draft, replaced: _Replaced, target: View, view: View) -> bool:
    """Lets the calls that make `view` write into the shared variable itself; False where a copy
    has to do it after everything else."""
    graph = draft.graph
    if not _is_free(draft, replaced, view):
        return False
    # An array initialised as a copy of the variable needs no copy where it is the variable.
    copy = draft.bases.get(view.buffer)
    if copy is not None and not _copies_all_of(draft, copy, target):
        copy = None
    # Range checks come before every write, so a check of the new value itself asks for a copy.
    if not may_overwrite(graph, view.buffer, target, copy, draft.checks.values()):
        return False
    if copy is not None:
        graph.drop(copy)
    replaced[view.buffer] = target.buffer
    return True


def _copies_all_of(draft: Draft, copy: int, target: View) -> bool:
    """Whether a call, if it has not been dropped, copies all of the buffer of `target`."""
    if copy not in draft.graph:
        return False
    (source,) = draft.graph[copy].inputs
    buffer = draft.buffers[target.buffer]
    return source.buffer == target.buffer and layout_is_whole(source, buffer)
