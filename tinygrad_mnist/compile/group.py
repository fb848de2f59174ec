"""Group: small calls of one kernel that don't wait for each other become one call.

That is done where the backend has a kernel for groups (`Contract.member`), as for reductions. In a
training step at a small batch these are a third of the calls and a hundredth of the work, so that
threads would spend as long meeting between them as computing them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tinygrad_mnist.compile.call_graph import CallGraph
from tinygrad_mnist.compile.plan import KernelCall
from tinygrad_mnist.contracts import CONTRACTS, Contract
from tinygrad_mnist.contracts.core.group import join_members
from tinygrad_mnist.graph.source import merged

# Elements that a member reads at most: about 10 us of work, which one thread does. It also
# bounds what a group keeps in memory, since its members' operands live until the last is there.
MAX_ELEMENTS = 1 << 16
MAX_MEMBERS = 32


def group_calls(graph: CallGraph, kernels: Collection[str]) -> None:
    """Joins small independent calls.

    kernels: those of the backend, which have to include that of a group.
    """
    for contract in CONTRACTS.values():
        if contract.member is not None and contract.name in kernels:
            _group(graph, contract, contract.member)


def _group(graph: CallGraph, contract: Contract, member: Contract) -> None:
    """Joins small independent calls of `member` to calls of `contract`."""
    candidates = [n for n in graph if graph[n].kernel == member.name and _is_small(graph[n])]
    while candidates:
        chosen = _independent(graph, candidates)
        if len(chosen) > 1:
            calls = [graph[number] for number in chosen]
            group = KernelCall(
                contract.name,
                tuple(v for call in calls for v in call.inputs),
                tuple(v for call in calls for v in call.outputs),
                join_members(member, [(call.params, len(call.inputs)) for call in calls]),
                merged(*(call.origins for call in calls)),
            )
            graph.join(chosen, group)
        candidates = [number for number in candidates if number not in chosen]


def _is_small(call: KernelCall) -> bool:
    return max(v.layout.size for v in call.inputs) <= MAX_ELEMENTS


def _independent(graph: CallGraph, candidates: Sequence[int]) -> list[int]:
    """The first candidate and others such that none of them waits for another, in order."""
    chosen: list[int] = []
    before: set[int] = set()  # those that come before one that is chosen
    for number in candidates:
        ancestors = graph.ancestors([number])
        if number not in before and ancestors.isdisjoint(chosen):
            chosen.append(number)
            before |= ancestors
    return chosen[:MAX_MEMBERS]
