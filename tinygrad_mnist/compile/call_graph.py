"""The calls of a plan while it is made, and what each waits for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from heapq import heappop, heappush

from tinygrad_mnist.compile.plan import KernelCall
from tinygrad_mnist.graph.source import Origins, merged


class CallGraph:
    """Kernel calls, and for each the calls that it waits for.

    Calls are numbered in the order in which they are added; a call keeps its number. Iteration
    gives the numbers of the calls that have not been dropped.
    """

    def __init__(self) -> None:
        self._calls: dict[int, KernelCall] = {}  # without dropped ones
        self._waits: list[set[int]] = []  # of every call, dropped ones too
        self._writers: defaultdict[int, set[int]] = defaultdict(set)  # by buffer
        self._readers: defaultdict[int, set[int]] = defaultdict(set)

    def __iter__(self) -> Iterator[int]:
        return iter(self._calls)

    def __contains__(self, number: int) -> bool:
        return number in self._calls

    def __getitem__(self, number: int) -> KernelCall:
        return self._calls[number]

    def writers(self, buffer: int) -> set[int]:
        """The calls that write to a buffer."""
        return set(self._writers[buffer])

    def readers(self, buffer: int) -> set[int]:
        """The calls that read a buffer."""
        return set(self._readers[buffer])

    # --- order --------------------------------------------------------------------------------

    def waits(self, number: int) -> set[int]:
        """The calls that a call waits for directly. One that waited for a dropped call waits for
        what the dropped one waited for."""
        waits: set[int] = set()
        seen: set[int] = set()
        stack = list(self._waits[number])
        while stack:
            other = stack.pop()
            if other in self._calls:
                waits.add(other)
            elif other not in seen:
                seen.add(other)
                stack.extend(self._waits[other])
        return waits

    def ancestors(self, calls: Iterable[int]) -> set[int]:
        """These calls, and all that have to come before one of them."""
        stack = list(calls)
        seen = set(stack)
        while stack:
            fresh = self._waits[stack.pop()] - seen
            seen |= fresh
            stack.extend(fresh)
        return seen & self._calls.keys()

    def ancestors_unless(
        self, number: int, avoided: Collection[int], known: Sequence[Collection[int]]
    ) -> set[int] | None:
        """A call and all that have to come before it, or None where one of `avoided` does. The walk
        stops at calls in `known`, before which there is none of these."""
        stack, seen = [number], {number}
        while stack:
            for other in self._waits[stack.pop()]:
                if other in avoided:
                    return None
                if other not in seen and not any(other in calls for calls in known):
                    seen.add(other)
                    stack.append(other)
        return seen

    def order(self) -> list[int]:
        """All calls, each after those that it waits for. Among calls that are ready, the one with
        the lowest number comes first. Raises CycleError where calls wait for each other."""
        sorter = TopologicalSorter({number: self.waits(number) for number in self})
        sorter.prepare()
        ready: list[int] = []
        order: list[int] = []
        while sorter.is_active():
            for number in sorter.get_ready():
                heappush(ready, number)
            order.append(heappop(ready))
            sorter.done(order[-1])
        return order

    def depths(self) -> dict[int, int]:
        """For each call, in `order`, the length of the longest chain of calls, each of which waits
        for the one before it, that ends with this call."""
        depths: dict[int, int] = {}
        for number in self.order():
            depths[number] = 1 + max((depths[other] for other in self.waits(number)), default=0)
        return depths

    def heights(self) -> dict[int, int]:
        """For each call, in reversed `order`, the length of the longest such chain that begins with
        this call."""
        heights = dict.fromkeys(reversed(self.order()), 1)
        for number, height in heights.items():
            for other in self.waits(number):
                heights[other] = max(heights[other], height + 1)
        return heights

    # --- changes ------------------------------------------------------------------------------

    def add(self, call: KernelCall, after: Iterable[int] = (), apart: Collection[int] = ()) -> int:
        """Adds a call and returns its number. It waits for the calls that write to its buffers, but
        for those in `apart`, which write other elements; and for the calls in `after`."""
        number = len(self._waits)
        waits: set[int] = set()
        for view in (*call.inputs, *call.outputs):
            waits |= self._writers[view.buffer]
        self._waits.append(waits.difference(apart).union(after))
        self.replace(number, call)
        return number

    def wait(self, number: int, others: Iterable[int]) -> None:
        """Makes a call wait for others too."""
        self._waits[number].update(others)

    def replace(self, number: int, call: KernelCall) -> None:
        """Puts `call` where another one was; what waits for what stays."""
        self._forget(number)
        self._calls[number] = call
        for view in call.inputs:
            self._readers[view.buffer].add(number)
        for view in call.outputs:
            self._writers[view.buffer].add(number)

    def add_origins(self, number: int, origins: Origins) -> None:
        """Lets a call come from these lines too."""
        call = self._calls[number]
        self._calls[number] = replace(call, origins=merged(call.origins, origins))

    def drop(self, number: int) -> None:
        """Leaves a call out. What it says about the order of other calls still holds."""
        self._forget(number)
        del self._calls[number]

    def redirect(self, old: int, new: int) -> None:
        """Lets all calls use the buffer `new` instead of `old`."""
        for number in self._writers[old] | self._readers[old]:
            call = self._calls[number].with_buffers(lambda b: new if b == old else b)
            self.replace(number, call)

    def join(self, members: Collection[int], call: KernelCall) -> None:
        """Replaces calls, none of which waits for another, by one that does the work of all. It
        gets the number of the last of them."""
        last = max(members)
        self._waits[last] = set().union(*(self._waits[member] for member in members))
        for member in set(members) - {last}:
            self._waits[member] = {last}  # who waits for the member now waits for the joined call
            self.drop(member)
        self.replace(last, call)

    def _forget(self, number: int) -> None:
        """Takes a call out of the lists of readers and writers."""
        call = self._calls.get(number)
        if call is not None:
            for view in call.inputs:
                self._readers[view.buffer].discard(number)
            for view in call.outputs:
                self._writers[view.buffer].discard(number)
