"""Memory: lifetimes of temporaries to offsets in one arena."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class Lifetime:
    """A temporary's size in bytes and the calls between which it is alive, both included."""

    __slots__ = ("first", "last", "nbytes", "offset")

    def __init__(self, nbytes: int, first: int, last: int) -> None:
        self.nbytes = nbytes
        self.first = first
        self.last = last
        self.offset = 0


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
