"""In place: results are written where they are wanted, and no copy is made that nobody needs.

A kernel that makes a part of an assembled array may write it into its place there. An array that
starts as a copy of another may take over that one's memory, if everything else that reads it can
come before the first change. Where calls would wait for each other in a circle, the copy stays.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from tinygrad_mnist.compile.draft import Draft, layout_is_whole
from tinygrad_mnist.compile.plan import TEMPORARY, KernelCall, View
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.operands import tape_uses
from tinygrad_mnist.graph.layout import Layout, reshaped


def save_copies(draft: Draft, wanted: Collection[int]) -> None:
    """Drops the copies of parts and of bases that can be done without.

    wanted: buffers of the plan's results, which stay what they are.
    """
    for call in draft.parts:
        _write_part_in_place(draft, call, wanted)
    for buffer, call in list(draft.bases.items()):
        _take_over(draft, buffer, call, wanted)


def _write_part_in_place(draft: Draft, copy: int, wanted: Collection[int]) -> None:
    """Lets the call that makes a part write it where `copy` would bring it."""
    (source,), (target,) = draft.calls[copy].inputs, draft.calls[copy].outputs
    writers = draft.writers.get(source.buffer, [])
    if not _is_own(draft, source, wanted) or len(writers) != 1:
        return
    if draft.readers[source.buffer] != {copy} or source.dtype != target.dtype:
        return
    (writer,) = writers
    made = [v for v in draft.calls[writer].outputs if v.buffer == source.buffer]
    layout = _as_shape(target.layout, made[0].layout.shape)
    if len(made) != 1 or layout is None or not _covers(draft, made[0]):
        return
    before = draft.depends[copy] - {writer}
    if writer in calls_before(draft.depends, before):
        return
    place = View(target.buffer, target.dtype, layout)
    if not _may_read_base(draft, writer, place):
        return
    outputs = tuple(place if v is made[0] else v for v in draft.calls[writer].outputs)
    draft.calls[writer] = replace(draft.calls[writer], outputs=outputs)
    draft.depends[writer] |= before
    draft.depends[copy].add(writer)
    draft.writers[target.buffer].append(writer)
    draft.drop(copy)


def _may_read_base(draft: Draft, writer: int, place: View) -> bool:
    """Whether a call that will write to `place` leaves open that the array there is the one that it
    starts as: what it reads of that one must not be what it overwrites."""
    copy = draft.bases.get(place.buffer)
    if copy is None:
        return True
    (home,) = draft.calls[copy].inputs
    return all(
        operand.buffer != home.buffer or alike or _are_apart(operand, place)
        for operand, alike in _operands(draft.calls[writer], home, [place])
    )


def _operands(call: KernelCall, home: View, written: Sequence[View]) -> Iterator[tuple[View, bool]]:
    """A call's inputs, and of each whether the call may overwrite it: through the operands of a
    tape, element for element."""
    uses = tape_uses(CONTRACTS[call.kernel], call.params, len(call.inputs), len(call.outputs))
    overwritable = {number for use in uses if use.outputs for number in use.inputs}
    for number, operand in enumerate(call.inputs):
        is_tape_operand = number in overwritable and operand.dtype == home.dtype
        yield operand, is_tape_operand and all(_same_elements(operand, v) for v in written)


def _as_shape(layout: Layout, shape: tuple[int, ...]) -> Layout | None:
    return layout if layout.shape == shape else reshaped(layout, shape)


def _is_own(draft: Draft, view: View, wanted: Collection[int]) -> bool:
    """Whether a view is all of a temporary that is no result."""
    is_temporary = draft.buffers[view.buffer].kind == TEMPORARY
    return is_temporary and view.buffer not in wanted and _covers(draft, view)


def _covers(draft: Draft, view: View) -> bool:
    return layout_is_whole(view, draft.buffers[view.buffer])


def _take_over(draft: Draft, buffer: int, copy: int, wanted: Collection[int]) -> None:
    """Lets an array that starts as a copy of a temporary be that temporary."""
    (base,) = draft.calls[copy].inputs
    if copy in draft.dropped or not _is_own(draft, base, wanted):
        return
    # The temporary may by now be what another array has taken over, to change it later.
    made = {w for w in draft.writers[base.buffer] if w not in draft.dropped}
    if not made <= calls_before(draft.depends, [copy]):
        return
    if base.dtype != draft.buffers[buffer].dtype or not may_overwrite(draft, buffer, base, copy):
        return
    draft.drop(copy)
    draft.rename(base.buffer, buffer)


def may_overwrite(
    draft: Draft, buffer: int, home: View, copy: int | None, before: Collection[int] = ()
) -> bool:
    """Whether the calls that write `buffer` may write over `home` instead. If so they wait from now
    on for all others that read `home`, and for `before`.

    copy: a call that copies `home` to the buffer first, and will not be needed.
    """
    writers = {w for w in draft.writers[buffer] if w != copy and w not in draft.dropped}
    readers = draft.readers.get(home.buffer, set()) - {copy}
    if not all(_keeps_apart(draft, w, writers, buffer, home) for w in readers & writers):
        return False
    earlier = (readers - writers) | set(before)
    if writers & calls_before(draft.depends, earlier):
        return False
    for w in writers:
        draft.depends[w] |= earlier
    return True


def _keeps_apart(
    draft: Draft, reader: int, writers: Collection[int], buffer: int, home: View
) -> bool:
    """Whether a call that reads `home`, and writes over it, finds there what was there before.

    What it overwrites itself it may read only through the operands of a tape, element for element;
    what another one overwrites it may read only if that one comes later.
    """
    written = {w: [v for v in draft.calls[w].outputs if v.buffer == buffer] for w in writers}
    for operand, alike in _operands(draft.calls[reader], home, written[reader]):
        if operand.buffer != home.buffer:
            continue
        for w in writers:
            fits = alike if w == reader else reader in calls_before(draft.depends, [w])
            if not fits and not all(_are_apart(operand, v) for v in written[w]):
                return False
    return True


def _are_apart(a: View, b: View) -> bool:
    """Whether two views of buffers that will be one have no element in common, as far as the range
    that each reaches tells."""
    if a.layout.slots or b.layout.slots:
        return False
    (low, high), (first, last) = a.layout.extent, b.layout.extent
    return high < first or last < low


def _same_elements(a: View, b: View) -> bool:
    """Whether two views walk through a buffer alike; axes of length 1 may have any stride."""
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


def calls_before(depends: Sequence[set[int]], calls: Iterable[int]) -> set[int]:
    """These calls, and all that have to come before one of them."""
    stack = list(calls)
    seen = set(stack)
    while stack:
        fresh = depends[stack.pop()] - seen
        seen |= fresh
        stack.extend(fresh)
    return seen
