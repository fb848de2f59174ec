"""Memory: buffers in use, and the place of temporaries in one arena, by their lifetimes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import replace

from tinygrad_mnist.compile.plan import TEMPORARY, Buffer, KernelCall
from tinygrad_mnist.contracts.core.sizes import LIMIT

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Lifetime:
    """A temporary's size in bytes and the calls between which it is alive, both included."""

    __slots__ = ("first", "last", "nbytes", "offset")

    def __init__(self, nbytes: int, first: int, last: int) -> None:
        self.nbytes = nbytes
        self.first = first
        self.last = last
        self.offset = 0


def place_buffers(
    buffers: Sequence[Buffer], calls: Sequence[KernelCall], results: Sequence[int]
) -> tuple[tuple[Buffer, ...], dict[int, int], int]:
    """The buffers in use with their offsets, their new numbers, and the arena's size in bytes.

    calls: in the order in which they run. results: numbers of the buffers of results.
    """
    lives: dict[int, Lifetime] = {}
    used = set(results)
    for position, call in enumerate(calls):
        for view in (*call.inputs, *call.outputs):
            used.add(view.buffer)
            buffer = buffers[view.buffer]
            if buffer.kind == TEMPORARY:
                new = Lifetime(buffer.nbytes, position, position)
                lives.setdefault(view.buffer, new).last = position
    arena = assign_offsets(list(lives.values()))
    if arena >= LIMIT:
        raise MemoryError(f"the temporaries of this function take {arena} bytes")
    numbers = {old: new for new, old in enumerate(sorted(used))}
    names = {old: f"t{i}" for i, old in enumerate(sorted(lives))}
    placed = tuple(
        replace(buffers[old], offset=lives[old].offset, name=names[old])
        if old in lives
        else buffers[old]
        for old in numbers
    )
    return placed, numbers, arena


def assign_offsets(lifetimes: Sequence[Lifetime]) -> int:
    """Sets every offset so that no two that live at the same time overlap; returns the arena's
    size in bytes.

    Greedy by size: the largest first, each at the lowest offset that is free during its life.
    """
    placed: list[Lifetime] = []  # by offset
    total = 0
    for current in sorted(lifetimes, key=lambda b: (-b.nbytes, b.first)):
        offset = 0
        for other in placed:
            if other.last < current.first or current.last < other.first:
                continue
            if offset + current.nbytes <= other.offset:
                break
            offset = max(offset, _aligned(other.offset + other.nbytes))
        current.offset = offset
        insort(placed, current, key=lambda b: b.offset)
        total = max(total, offset + current.nbytes)
    return _aligned(total)


def _aligned(n: int) -> int:
    return -(-n // ALIGNMENT) * ALIGNMENT
