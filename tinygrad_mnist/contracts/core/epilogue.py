"""The elementwise tail of a fused kernel: what its `epilogue` tape does to the result.

The tape's input 0 is the kernel's own result, the others are the extra inputs of the call, each
broadcast to the shape of the output.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .base import Array, ArraySpec, Params
from .tape import Tape, run_tape, tape_flops


def apply_epilogue(
    params: Params, result: Array, extras: Sequence[Array], output: ArraySpec
) -> Array:
    """`params["epilogue"]` over `result` and `extras`, as an array of the output's dtype."""
    tape: Tape = params["epilogue"]
    if tape.is_identity:
        return np.asarray(result)
    return run_tape(tape, [result, *extras], [output])[0]


def epilogue_flops(params: Params, output: ArraySpec) -> int:
    """Those of the tape."""
    tape: Tape = params["epilogue"]
    return tape_flops(tape) * output.size
