"""A tape over arrays of one shape.

    elementwise: inputs of any dtypes, broadcast to the output's shape -> one or more outputs

An output may alias an input of the same view. An input that only `uniform` reads is 0-d.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.base import Array, ArraySpec, Contract, Params, register
from ..core.tape import Tape, run_tape, tape_flops


def elementwise_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """tape(inputs...)."""
    tape: Tape = params["tape"]
    return run_tape(tape, inputs, outputs)


def elementwise_flops(
    params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]
) -> int:
    """The tape's operations per element."""
    return outputs[0].size * tape_flops(params["tape"])


ELEMENTWISE = register(
    Contract("elementwise", elementwise_reference, elementwise_flops, tapes=("tape",))
)
