"""Several reductions in one call: those of `reduce`, side by side.

    grouped_reduce: operands of member 0, of member 1, ... -> one output per member

A member's operands, output and numbers are those of `reduce`, and so are its bits. Members are
independent: none reads what another writes.

params, an entry per member: n_inputs (of its operands), op, axes_mask, n_prologue; tapes
prologue, epilogue.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..core.base import Array, ArraySpec, Contract, Params, register
from .reduce import reduce_flops, reduce_reference

_PER_MEMBER = ("op", "axes_mask", "n_prologue", "prologue", "epilogue")


def _members(params: Params) -> Iterator[tuple[Params, slice]]:
    """Each member's own parameters and the place of its operands."""
    begin = 0
    for k, n in enumerate(params["n_inputs"]):
        yield {name: params[name][k] for name in _PER_MEMBER}, slice(begin, begin + n)
        begin += n


def join(members: Sequence[tuple[Params, int]]) -> dict[str, object]:
    """The parameters of a group: `members` are the parameters and numbers of inputs of reduces."""
    joined: dict[str, object] = {
        name: tuple(params[name] for params, _ in members) for name in _PER_MEMBER
    }
    return {"n_inputs": tuple(n for _, n in members), **joined}


def grouped_reduce_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """One reduction after the other."""
    results: list[Array] = []
    for output, (own, place) in zip(outputs, _members(params), strict=True):
        results += reduce_reference(own, inputs[place], [output])
    return results


def grouped_reduce_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """The members' together."""
    return sum(
        reduce_flops(own, inputs[place], [output])
        for output, (own, place) in zip(outputs, _members(params), strict=True)
    )


GROUPED_REDUCE = register(
    Contract(
        "grouped_reduce",
        grouped_reduce_reference,
        grouped_reduce_flops,
        ints=("n_inputs", "op", "axes_mask", "n_prologue"),
        tapes=("prologue", "epilogue"),
        base=False,
    )
)
