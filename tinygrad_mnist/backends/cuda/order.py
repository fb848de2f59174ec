"""The dependencies between launches; a graph runs independent launches concurrently.

A launch waits for the last earlier launch that wrote memory which it reads or writes. If it writes
memory, it also waits for all launches that have read it since. Temporaries share an arena, so
dependencies are found by memory, not by buffer.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Iterable, Sequence
from typing import NamedTuple

from tinygrad_mnist.backends.cuda.design import DesignedCall
from tinygrad_mnist.compile.plan import TEMPORARY, Plan

# The state's word that a check writes and guarded kernels read.
_FAILED = "failed"


class Touched(NamedTuple):
    """The pieces of memory that a call reads and writes. A piece has any name, always the same."""

    reads: frozenset[Hashable]
    writes: frozenset[Hashable]


def touched_memory(plan: Plan, calls: Sequence[DesignedCall]) -> list[Touched]:
    """What each call touches. The arena is cut wherever a temporary begins or ends."""
    temporaries = [b for b in plan.buffers if b.kind == TEMPORARY]
    cuts = sorted({at for b in temporaries for at in (b.offset, b.offset + b.nbytes)})

    def pieces(buffers: Iterable[int]) -> set[Hashable]:
        found: set[Hashable] = set()
        for number in buffers:
            buffer = plan.buffers[number]
            if buffer.kind == TEMPORARY:
                first = bisect_left(cuts, buffer.offset)
                last = bisect_left(cuts, buffer.offset + buffer.nbytes)
                found.update(("arena", piece) for piece in range(first, last))
            else:
                found.add(number)
        return found

    touched = []
    for call in calls:
        n = call.design.n_inputs
        reads = pieces(p.buffer for p in call.pointers[:n])
        writes = pieces(p.buffer for p in call.pointers[n:])
        if call.design.guarded:
            reads.add(_FAILED)
        if call.design.note:
            writes.add(_FAILED)
        touched.append(Touched(frozenset(reads), frozenset(writes)))
    return touched


def predecessors(touched: Sequence[Touched]) -> list[tuple[int, ...]]:
    """For every call of a sequence, the earlier calls that it waits for.

    Calls that one of the others already waits for are left out.
    """
    writer: dict[Hashable, int] = {}
    readers: dict[Hashable, list[int]] = {}
    ancestors: list[int] = []  # as bits
    result = []
    for number, (reads, writes) in enumerate(touched):
        waits = {writer[piece] for piece in reads | writes if piece in writer}
        for piece in writes:
            waits.update(readers.get(piece, ()))
        nearest: list[int] = []
        known = 0
        for earlier in sorted(waits, reverse=True):
            if not known >> earlier & 1:
                nearest.append(earlier)
                known |= 1 << earlier | ancestors[earlier]
        ancestors.append(known)
        result.append(tuple(nearest))
        for piece in writes:
            writer[piece] = number
            readers[piece] = []
        for piece in reads - writes:
            readers.setdefault(piece, []).append(number)
    return result
