"""Group: small calls of one kernel that don't wait for each other become one call.

That is done where the backend has a kernel for groups (`Contract.member`), as for reductions. In a
training step at a small batch these are a third of the calls and a hundredth of the work, so that
threads would spend as long meeting between them as computing them.

A group waits for all that a member waits for, and what waits for a member waits for the group. So a
group may lengthen the longest chain of calls that wait for each other: sums of squared weights
could be computed first, but beside the sum of the last gradient they keep the weights' updates
waiting. On a backend that `keeps_depth`, all members are therefore equally far from the end of the
step, counted in calls. None of these waits for another. The longest chain stays as it is: a chain
through the group is no longer than the one through that member which is ready last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence

from tinygrad_mnist.compile.call_graph import CallGraph
from tinygrad_mnist.compile.plan import KernelCall
from tinygrad_mnist.contracts import CONTRACTS, Contract
from tinygrad_mnist.contracts.core.group import join_members
from tinygrad_mnist.graph.source import merged

# Elements that a member reads at most: about 10 us of work, which one thread does. It also
# bounds what a group keeps in memory, since its members' operands live until the last is there.
MAX_ELEMENTS = 1 << 16
MAX_MEMBERS = 32
MAX_SKIPPED = 64  # candidates that can't join: no more are looked at for this group


def group_calls(graph: CallGraph, kernels: Collection[str], keeps_depth: bool = False) -> None:
    """Joins small independent calls.

    kernels: those of the backend, which have to include that of a group. keeps_depth: whether the
    longest chain of calls must not become longer.
    """
    for contract in CONTRACTS.values():
        if contract.member is not None and contract.name in kernels:
            small = [
                n for n in graph if graph[n].kernel == contract.member.name and _is_small(graph[n])
            ]
            if keeps_depth:
                _group_by_height(graph, contract, small)
            else:
                _group(graph, contract, small)


def _group_by_height(graph: CallGraph, contract: Contract, small: Sequence[int]) -> None:
    """Joins calls that are equally far from the end. Joining leaves all heights as they are."""
    heights = graph.heights()
    of_height: defaultdict[int, list[int]] = defaultdict(list)
    for number in small:
        of_height[heights[number]].append(number)
    for members in of_height.values():
        for begin in range(0, len(members), MAX_MEMBERS):
            _join(graph, contract, members[begin : begin + MAX_MEMBERS])


def _group(graph: CallGraph, contract: Contract, small: Sequence[int]) -> None:
    """Joins calls as they come, as many as possible."""
    left = dict.fromkeys(small)
    settled: set[int] = set()  # calls that wait for none of those that are left
    while left:
        chosen, before = _independent(graph, left, settled)
        for number in chosen:
            del left[number]
        if before.isdisjoint(left):
            settled |= before
        _join(graph, contract, chosen)


def _join(graph: CallGraph, contract: Contract, chosen: Sequence[int]) -> None:
    """Replaces several calls by one of `contract`; a single one stays."""
    if len(chosen) > 1:
        assert contract.member is not None
        calls = [graph[number] for number in chosen]
        group = KernelCall(
            contract.name,
            tuple(v for call in calls for v in call.inputs),
            tuple(v for call in calls for v in call.outputs),
            join_members(contract.member, [(call.params, len(call.inputs)) for call in calls]),
            merged(*(call.origins for call in calls)),
        )
        graph.join(chosen, group)


def _is_small(call: KernelCall) -> bool:
    return max(v.layout.size for v in call.inputs) <= MAX_ELEMENTS


def _independent(
    graph: CallGraph, candidates: Iterable[int], settled: Collection[int]
) -> tuple[list[int], set[int]]:
    """The first candidate and others such that none of them waits for another, in order; and all
    calls that come before one of them, but for those before `settled` ones.

    settled: calls that wait for no candidate.
    """
    chosen: list[int] = []
    before: set[int] = set()
    after: set[int] = set()  # candidates that wait for one that is chosen
    skipped = 0
    for number in candidates:
        fresh = None
        if number not in before:
            fresh = graph.ancestors_unless(number, after.union(chosen), (settled, before))
            if fresh is None:
                after.add(number)
        if fresh is None:
            skipped += 1
        else:
            chosen.append(number)
            before |= fresh
        if len(chosen) == MAX_MEMBERS or skipped == MAX_SKIPPED:
            break
    return chosen, before
