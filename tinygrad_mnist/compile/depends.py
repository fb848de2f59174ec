"""Depends: the earlier calls of a plan that a call waits for, by the memory that they touch."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from tinygrad_mnist.compile.plan import SHARED, TEMPORARY, Buffer, KernelCall, View
from tinygrad_mnist.contracts import CONTRACTS


class Range(NamedTuple):
    """Bytes of one memory. Memories don't overlap: each bound buffer is one, under its number."""

    memory: int
    begin: int
    end: int


_ARENA = -1  # the memory of all temporaries
# A failed check is noted in memory: a check writes it, and a guarded call reads it. So a guarded
# call waits for earlier checks, and checks wait for each other: the first that fails is reported.
# In a sequence of several steps, the checks of a step wait for what the step before it updates.
_FAILURE = Range(-2, 0, 1)


class Touched(NamedTuple):
    """The memory that a call reads and writes."""

    reads: Sequence[Range]
    writes: Sequence[Range]


def dependencies(
    buffers: Sequence[Buffer], calls: Sequence[KernelCall]
) -> tuple[tuple[int, ...], ...]:
    """For each call the earlier calls that it waits for, the latest first.

    calls: in an order in which they may run one by one.
    """
    return predecessors([touched_memory(buffers, call) for call in calls])


def is_guarded(buffers: Sequence[Buffer], call: KernelCall) -> bool:
    """Whether a call must not run after a failed check: it writes a shared variable, or it uses an
    index as an address, which could be outside of its operand."""
    writes_shared = any(buffers[v.buffer].kind == SHARED for v in call.outputs)
    return writes_shared or CONTRACTS[call.kernel].indices is not None


def touched_memory(buffers: Sequence[Buffer], call: KernelCall) -> Touched:
    """The memory that a call touches."""
    reads = [_range(buffers[v.buffer], v) for v in call.inputs]
    writes = [_range(buffers[v.buffer], v) for v in call.outputs]
    if is_guarded(buffers, call):
        reads.append(_FAILURE)
    if CONTRACTS[call.kernel].checks:
        writes.append(_FAILURE)
    return Touched(reads, writes)


def _range(buffer: Buffer, view: View) -> Range:
    """The bytes between a view's first and last element. Slots may move a view anywhere in its
    buffer."""
    low, high = view.layout.extent
    begin, end = (n * np.dtype(view.dtype).itemsize for n in (low, high + 1))
    if view.layout.slots and begin < end:
        begin, end = 0, buffer.nbytes
    if buffer.kind == TEMPORARY:
        return Range(_ARENA, buffer.offset + begin, buffer.offset + end)
    return Range(view.buffer, begin, end)


def predecessors(touched: Sequence[Touched]) -> tuple[tuple[int, ...], ...]:
    """For each call of a sequence the earlier calls that it waits for, the latest first.

    A call waits for the last call that wrote memory which it touches. If it writes memory, it also
    waits for all calls that have read it since. Calls that one of the others waits for are left
    out.
    """
    split = _splitter(touched)
    writer: dict[tuple[int, int], int] = {}
    readers: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    ancestors: list[int] = []  # of each call, as bits
    result = []
    for number, (reads, writes) in enumerate(touched):
        read, written = set(split(reads)), set(split(writes))
        waits = {writer[piece] for piece in read | written if piece in writer}
        for piece in written:
            waits.update(readers.pop(piece, ()))
            writer[piece] = number
        for piece in read - written:
            readers[piece].append(number)
        nearest: list[int] = []
        known = 0
        for earlier in sorted(waits, reverse=True):
            if not known >> earlier & 1:
                nearest.append(earlier)
                known |= 1 << earlier | ancestors[earlier]
        ancestors.append(known)
        result.append(tuple(nearest))
    return tuple(result)


def _splitter(
    touched: Sequence[Touched],
) -> Callable[[Iterable[Range]], Iterator[tuple[int, int]]]:
    """A function that splits ranges into pieces, each a memory and a number. A memory is cut
    wherever a range of `touched` begins or ends, so two ranges overlap if they share a piece."""
    ends: defaultdict[int, set[int]] = defaultdict(set)
    for call in touched:
        for memory, begin, end in (*call.reads, *call.writes):
            ends[memory].update((begin, end))
    cuts = {memory: sorted(found) for memory, found in ends.items()}

    def split(ranges: Iterable[Range]) -> Iterator[tuple[int, int]]:
        for memory, begin, end in ranges:
            first, last = (bisect_left(cuts[memory], at) for at in (begin, end))
            for number in range(first, last):
                yield memory, number

    return split
