"""Which operands the tapes of a call work on."""

from __future__ import annotations

from typing import NamedTuple

from .base import BODY, EPILOGUE, PROLOGUE, Contract, Params
from .group import members_of
from .tape import Tape


class TapeUse(NamedTuple):
    """A tape of a call.

    role: PROLOGUE, EPILOGUE or BODY. inputs: numbers of the call's inputs that it reads; an
    epilogue reads the kernel's result before them. outputs: numbers of the outputs that it makes;
    none for a prologue.
    """

    role: str
    tape: Tape
    inputs: range
    outputs: range


def tape_uses(
    contract: Contract, params: Params, n_inputs: int, n_outputs: int
) -> tuple[TapeUse, ...]:
    """The tapes of a call with so many inputs and outputs; those of a group member by member."""
    if contract.member is not None:
        return tuple(
            _moved(use, operands.start, number)
            for number, (own, operands) in enumerate(members_of(contract, params))
            for use in tape_uses(contract.member, own, len(operands), 1)
        )
    n = contract.n_kernel_inputs(params, n_inputs)
    operands = {
        PROLOGUE: (range(n), range(0)),
        EPILOGUE: (range(n, n_inputs), range(1)),
        BODY: (range(n_inputs), range(n_outputs)),
    }
    return tuple(TapeUse(role, params[role], *operands[role]) for role in contract.tapes)


def _moved(use: TapeUse, first_input: int, first_output: int) -> TapeUse:
    """A use whose operand numbers are shifted."""
    inputs = range(use.inputs.start + first_input, use.inputs.stop + first_input)
    outputs = range(use.outputs.start + first_output, use.outputs.stop + first_output)
    return use._replace(inputs=inputs, outputs=outputs)
