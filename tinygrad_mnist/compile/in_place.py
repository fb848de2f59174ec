"""In place: redundant copies are removed.

A producer writes directly into the assembled buffer of which its result is a part. An array
initialised as a copy of another reuses that one's buffer if all other readers can run before the
first write. Where calls would then wait for each other in a cycle, the copy stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from tinygrad_mnist.compile.call_graph import CallGraph
from tinygrad_mnist.compile.draft import Draft, layout_is_whole
from tinygrad_mnist.compile.plan import TEMPORARY, KernelCall, View
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.operands import tape_uses
from tinygrad_mnist.graph.layout import Layout, reshaped


def save_copies(draft: Draft, wanted: Collection[int]) -> None:
    """Removes redundant copies of parts and of bases.

    wanted: buffers of the plan's results, which must not become another buffer.
    """
    for call in draft.parts:
        _write_part_in_place(draft, call, wanted)
    for buffer, call in list(draft.bases.items()):
        _take_over(draft, buffer, call, wanted)


def _write_part_in_place(draft: Draft, copy: int, wanted: Collection[int]) -> None:
    """Lets the call that makes a part write it to the target of `copy`."""
    graph = draft.graph
    (source,), (target,) = graph[copy].inputs, graph[copy].outputs
    writers = graph.writers(source.buffer)
    if not _is_own(draft, source, wanted) or len(writers) != 1:
        return
    if graph.readers(source.buffer) != {copy} or source.dtype != target.dtype:
        return
    (writer,) = writers
    call = graph[writer]
    made = [v for v in call.outputs if v.buffer == source.buffer]
    layout = _as_shape(target.layout, made[0].layout.shape)
    if len(made) != 1 or layout is None or not _covers(draft, made[0]):
        return
    before = graph.waits(copy) - {writer}
    if writer in graph.ancestors(before):
        return
    location = View(target.buffer, target.dtype, layout)
    if not _may_read_base(draft, writer, call.outputs.index(made[0]), location):
        return
    outputs = tuple(location if v is made[0] else v for v in call.outputs)
    graph.replace(writer, replace(call, outputs=outputs))
    graph.add_origins(writer, graph[copy].origins)
    graph.wait(writer, before)
    graph.wait(copy, {writer})
    graph.drop(copy)


def _may_read_base(draft: Draft, writer: int, output: int, location: View) -> bool:
    """Whether redirecting an output of this call into `location` still lets the array there reuse
    its base's buffer: the call must not overwrite what it reads of the base."""
    copy = draft.bases.get(location.buffer)
    if copy is None:
        return True
    (base,) = draft.graph[copy].inputs
    return all(
        operand.buffer != base.buffer or elementwise or _are_apart(operand, location)
        for operand, elementwise in _operands(draft.graph[writer], base, {output: location})
    )


def _operands(
    call: KernelCall, target: View, written: Mapping[int, View]
) -> Iterator[tuple[View, bool]]:
    """A call's inputs, each with whether the call reads it elementwise where it writes: through the
    tape that makes every output in `written`, each element before the same one is written.

    written: the outputs that are to be in the memory of `target`, by number.
    """
    uses = tape_uses(CONTRACTS[call.kernel], call.params, len(call.inputs), len(call.outputs))
    for number, operand in enumerate(call.inputs):
        made = {k for use in uses if number in use.inputs for k in use.outputs}
        elementwise = bool(made) and all(
            k in made and _same_elements(operand, v) for k, v in written.items()
        )
        yield operand, elementwise and operand.dtype == target.dtype


def _as_shape(layout: Layout, shape: tuple[int, ...]) -> Layout | None:
    return layout if layout.shape == shape else reshaped(layout, shape)


def _is_own(draft: Draft, view: View, wanted: Collection[int]) -> bool:
    """Whether a view is all of a temporary that is no result."""
    is_temporary = draft.buffers[view.buffer].kind == TEMPORARY
    return is_temporary and view.buffer not in wanted and _covers(draft, view)


def _covers(draft: Draft, view: View) -> bool:
    return layout_is_whole(view, draft.buffers[view.buffer])


def _take_over(draft: Draft, buffer: int, copy: int, wanted: Collection[int]) -> None:
    """Lets an array that is initialised as a copy of a temporary be that temporary."""
    graph = draft.graph
    if copy not in graph:
        return
    (base,) = graph[copy].inputs
    # Another array may have reused the temporary by now, and write to it later.
    if not _is_own(draft, base, wanted) or not graph.writers(base.buffer) <= graph.ancestors(
        [copy]
    ):
        return
    if base.dtype != draft.buffers[buffer].dtype or not may_overwrite(graph, buffer, base, copy):
        return
    graph.drop(copy)
    draft.redirect(base.buffer, buffer)


def may_overwrite(
    graph: CallGraph, buffer: int, target: View, copy: int | None, before: Collection[int] = ()
) -> bool:
    """Whether the calls that write `buffer` may write over `target` instead. If so they wait from
    now on for all others that read `target`, and for `before`.

    copy: a call that copies `target` to the buffer first, and becomes redundant.
    """
    writers = graph.writers(buffer) - {copy}
    readers = graph.readers(target.buffer) - {copy}
    if not all(_keeps_apart(graph, w, writers, buffer, target) for w in readers & writers):
        return False
    earlier = (readers - writers).union(before)
    if writers & graph.ancestors(earlier):
        return False
    for w in writers:
        graph.wait(w, earlier)
    return True


def _keeps_apart(
    graph: CallGraph, reader: int, writers: Collection[int], buffer: int, target: View
) -> bool:
    """Whether a call that reads `target`, and writes over it, reads the old values.

    What it overwrites itself it has to read elementwise, by a tape. What another call overwrites it
    may read only if that call comes later.
    """
    written = {
        w: {k: v for k, v in enumerate(graph[w].outputs) if v.buffer == buffer} for w in writers
    }
    for operand, elementwise in _operands(graph[reader], target, written[reader]):
        if operand.buffer != target.buffer:
            continue
        for w in writers:
            fits = elementwise if w == reader else reader in graph.ancestors([w])
            if not fits and not all(_are_apart(operand, v) for v in written[w].values()):
                return False
    return True


def _are_apart(a: View, b: View) -> bool:
    """Whether the ranges of two views of buffers that will be one do not overlap (conservative:
    False for views whose ranges overlap, or are moved by slots, though no element is in both)."""
    if a.layout.slots or b.layout.slots:
        return False
    (low, high), (first, last) = a.layout.extent, b.layout.extent
    return high < first or last < low


def _same_elements(a: View, b: View) -> bool:
    """Whether two views have the same elements in the same order; an axis of length 1 may have any
    stride."""
    first, second = a.layout, b.layout
    return (
        first.shape == second.shape
        and first.offset == second.offset
        and sorted(first.slots) == sorted(second.slots)
        and all(
            n == 1 or s == t
            for n, s, t in zip(first.shape, first.strides, second.strides, strict=True)
        )
    )
