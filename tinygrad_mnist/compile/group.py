"""Group: small calls of one kernel that don't wait for each other become one call.

That is done where the backend has a kernel for groups (`Contract.member`), as for reductions. In a
training step at a small batch these are a third of the calls and a hundredth of the work, so that
threads would spend as long meeting between them as computing them.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tinygrad_mnist.compile.plan import KernelCall
from tinygrad_mnist.contracts import CONTRACTS, Contract
from tinygrad_mnist.contracts.core.group import join_members

# Elements that a member reads at most: about 10 us of work, which one thread does. It also
# bounds what a group keeps in memory, since its members' operands live until the last is there.
MAX_ELEMENTS = 1 << 16
MAX_MEMBERS = 32


def group_calls(
    calls: Sequence[KernelCall], depends: Sequence[set[int]], kernels: Collection[str]
) -> tuple[list[KernelCall], list[set[int]]]:
    """The same calls with small independent ones joined, and what each waits for.

    kernels: those of the backend, which have to include that of a group.
    """
    current, before = list(calls), [set(d) for d in depends]
    for contract in CONTRACTS.values():
        if contract.member is not None and contract.name in kernels:
            current, before = _group(contract, current, before)
    return current, before


def _group(
    contract: Contract, calls: list[KernelCall], depends: list[set[int]]
) -> tuple[list[KernelCall], list[set[int]]]:
    """The calls with small independent members of one group contract joined."""
    assert contract.member is not None
    start = 0
    while start < len(calls):
        members = _independent(contract.member.name, calls, depends, start)
        if len(members) > 1:
            calls, depends = _joined(contract, calls, depends, members)
        elif members:
            start = members[0] + 1  # it goes with none
        else:
            break
    return calls, depends


def _independent(
    kernel: str, calls: Sequence[KernelCall], depends: Sequence[set[int]], start: int
) -> list[int]:
    """Small calls of a kernel none of which waits for another, in order, from call `start` on."""
    ancestors = _ancestors(depends)
    chosen: list[int] = []
    for number, call in enumerate(calls):
        if (
            number >= start
            and len(chosen) < MAX_MEMBERS
            and call.kernel == kernel
            and max(v.layout.size for v in call.inputs) <= MAX_ELEMENTS
            and not any(c in ancestors[number] or number in ancestors[c] for c in chosen)
        ):
            chosen.append(number)
    return chosen


def _ancestors(depends: Sequence[set[int]]) -> list[set[int]]:
    """All calls that come before each call."""
    known: dict[int, set[int]] = {}
    for start in range(len(depends)):
        stack = [start]
        while stack:
            call = stack[-1]
            missing = [d for d in depends[call] if d not in known]
            if missing:
                stack.extend(missing)
            else:
                known[call] = depends[call].union(*(known[d] for d in depends[call]))
                stack.pop()
    return [known[call] for call in range(len(depends))]


def _joined(
    contract: Contract,
    calls: Sequence[KernelCall],
    depends: Sequence[set[int]],
    members: Sequence[int],
) -> tuple[list[KernelCall], list[set[int]]]:
    """The calls with `members` as one, in the position of the last of them."""
    assert contract.member is not None
    inside = set(members)
    kept = [i for i in range(len(calls)) if i not in inside or i == members[-1]]
    number = {old: new for new, old in enumerate(kept)}
    number |= dict.fromkeys(members, number[members[-1]])
    group = KernelCall(
        contract.name,
        tuple(v for m in members for v in calls[m].inputs),
        tuple(v for m in members for v in calls[m].outputs),
        join_members(contract.member, [(calls[m].params, len(calls[m].inputs)) for m in members]),
        calls[members[0]].source,
    )
    waits = set().union(*(depends[m] for m in members))
    return (
        [group if i in inside else calls[i] for i in kept],
        [{number[d] for d in (waits if i in inside else depends[i])} for i in kept],
    )
