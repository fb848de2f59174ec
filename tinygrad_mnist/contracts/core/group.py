"""Groups: one call that runs several independent calls of another kernel.

    group: inputs of member 0, of member 1, ... -> one output per member

A member has the operands and parameters of a call of its kernel, and its result has the same bits.
No member reads what another one writes. params: n_inputs, the number of inputs of each member; then
the member's parameters, each a tuple with an entry per member.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .base import Array, ArraySpec, Contract, Params


def group_contract(name: str, member: Contract) -> Contract:
    """The contract of a kernel that runs calls of `member`, which has one output."""

    def reference(
        params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
    ) -> list[Array]:
        """The members' results, one after the other."""
        results: list[Array] = []
        for output, (own, operands) in zip(outputs, members_of(contract, params), strict=True):
            results += member.reference(own, [inputs[k] for k in operands], [output])
        return results

    def flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
        """The sum of the members' FLOPs."""
        return sum(
            member.flops(own, [inputs[k] for k in operands], [output])
            for output, (own, operands) in zip(outputs, members_of(contract, params), strict=True)
        )

    contract = Contract(
        name,
        reference,
        flops,
        ints=("n_inputs", *member.ints),
        tapes=member.tapes,
        base=False,
        member=member,
    )
    return contract


def members_of(contract: Contract, params: Params) -> Iterator[tuple[Params, range]]:
    """The parameters of each member of a group, and the numbers of its inputs."""
    assert contract.member is not None
    names = (*contract.member.ints, *contract.member.tapes)
    begin = 0
    for k, n in enumerate(params["n_inputs"]):
        yield {name: params[name][k] for name in names}, range(begin, begin + n)
        begin += n


def join_members(member: Contract, calls: Sequence[tuple[Params, int]]) -> dict[str, object]:
    """The parameters of a group. calls: the parameters and the number of inputs of each member."""
    joined: dict[str, object] = {
        name: tuple(params[name] for params, _ in calls) for name in (*member.ints, *member.tapes)
    }
    return {"n_inputs": tuple(n for _, n in calls), **joined}
