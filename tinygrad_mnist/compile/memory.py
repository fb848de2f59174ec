"""Memory: buffers in use, and the place of temporaries in one arena, by their lifetimes."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import replace
from heapq import heappop, heappush

from tinygrad_mnist.compile.plan import TEMPORARY, Buffer, KernelCall
from tinygrad_mnist.contracts.core.sizes import LIMIT

ALIGNMENT = 64  # bytes: a cache line, and the widest vector
MANY = 1000  # temporaries from which on placing them must not compare all pairs


class Lifetime:
    """A temporary's size in bytes and the times between which it is alive, both included."""

    __slots__ = ("first", "last", "nbytes", "offset")

    def __init__(self, nbytes: int, first: int, last: int) -> None:
        self.nbytes = nbytes
        self.first = first
        self.last = last
        self.offset = 0


def place_buffers(
    buffers: Sequence[Buffer],
    calls: Sequence[KernelCall],
    times: Sequence[int],
    results: Sequence[int],
) -> tuple[tuple[Buffer, ...], dict[int, int], int]:
    """The buffers in use with their offsets, their new numbers, and the arena's size in bytes.

    calls: in the order in which they run. times: of each, when it runs; what is in use at one time
    shares no memory. results: numbers of the buffers of results.
    """
    lives: dict[int, Lifetime] = {}
    used = set(results)
    for time, call in zip(times, calls, strict=True):
        for view in (*call.inputs, *call.outputs):
            used.add(view.buffer)
            buffer = buffers[view.buffer]
            if buffer.kind == TEMPORARY:
                lives.setdefault(view.buffer, Lifetime(buffer.nbytes, time, time)).last = time
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

    Greedy by size: the largest first, each at the lowest offset that is free during its life. That
    packs tightly, but compares all pairs; many temporaries are placed in the order of time.
    """
    if len(lifetimes) > MANY:
        return _assign_in_time_order(lifetimes)
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


def _assign_in_time_order(lifetimes: Sequence[Lifetime]) -> int:
    """The same as an allocator would do it while the plan runs: each temporary gets the smallest
    free block that holds it, and returns it after its last call."""
    free = _FreeBlocks()
    alive: list[tuple[int, int, int]] = []  # (last call, offset, bytes), as a heap
    for current in sorted(lifetimes, key=lambda b: (b.first, -b.nbytes)):
        while alive and alive[0][0] < current.first:
            _, offset, nbytes = heappop(alive)
            free.release(offset, nbytes)
        nbytes = max(_aligned(current.nbytes), ALIGNMENT)
        current.offset = free.take(nbytes)
        heappush(alive, (current.last, current.offset, nbytes))
    return free.top


class _FreeBlocks:
    """The free blocks below `top`, which is as far as any temporary reached; neighbours are
    merged."""

    def __init__(self) -> None:
        self.top = 0
        self._by_size: list[tuple[int, int]] = []  # (bytes, offset), sorted
        self._sizes: dict[int, int] = {}  # by offset
        self._begins: dict[int, int] = {}  # by end

    def take(self, nbytes: int) -> int:
        """The offset of the smallest block that holds so many bytes."""
        index = bisect_left(self._by_size, (nbytes, 0))
        if index < len(self._by_size):
            size, offset = self._by_size[index]
            self._remove(offset)
            if size > nbytes:
                self._add(offset + nbytes, size - nbytes)
            return offset
        offset = self._begins.get(self.top, self.top)  # a free block at the top grows
        if offset < self.top:
            self._remove(offset)
        self.top = offset + nbytes
        return offset

    def release(self, offset: int, nbytes: int) -> None:
        """Makes a block free again."""
        end = offset + nbytes
        if end in self._sizes:
            nbytes += self._remove(end)
        if offset in self._begins:
            offset = self._begins[offset]
            nbytes += self._remove(offset)
        self._add(offset, nbytes)

    def _add(self, offset: int, nbytes: int) -> None:
        insort(self._by_size, (nbytes, offset))
        self._sizes[offset] = nbytes
        self._begins[offset + nbytes] = offset

    def _remove(self, offset: int) -> int:
        nbytes = self._sizes.pop(offset)
        del self._begins[offset + nbytes]
        del self._by_size[bisect_left(self._by_size, (nbytes, offset))]
        return nbytes


def _aligned(n: int) -> int:
    return -(-n // ALIGNMENT) * ALIGNMENT
