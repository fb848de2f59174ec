"""Sums, products and extremes over axes, between two tapes.

    reduce: full inputs (prologue), extra inputs (epilogue) -> one output

The first `n_prologue` inputs have the full shape. The output and the extra inputs have the same
shape with 1 in place of the reduced axes. The prologue gives one value per element in its own dtype
(float32, float64 or int64), which is also that of the reduction; the epilogue's input 0 is the
reduced value. A float32 sum is at least as exact as pairwise summation. Maximum and minimum
propagate NaN; without elements they are undefined. The output may alias an extra input.

params: op (0 sum, 1 prod, 2 max, 3 min), axes_mask (bit d: axis d is reduced), n_prologue;
tapes prologue, epilogue.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..core.base import Array, ArraySpec, Contract, Params, register
from ..core.tape import Tape, run_tape, tape_flops

SUM, PROD, MAX, MIN = range(4)
_FUNCTIONS: dict[int, Callable[..., Any]] = {SUM: np.sum, PROD: np.prod, MAX: np.max, MIN: np.min}


def reduce_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """epilogue(reduce(prologue(inputs...)), extras...)."""
    prologue: Tape = params["prologue"]
    epilogue: Tape = params["epilogue"]
    n_prologue = params["n_prologue"]
    full = inputs[:n_prologue]
    shape = np.broadcast_shapes(*(x.shape for x in full if x.ndim == len(outputs[0].shape)))
    values = run_tape(prologue, full, [ArraySpec(prologue.dtype, shape)])[0]
    axes = tuple(d for d in range(len(shape)) if params["axes_mask"] >> d & 1)
    function = _FUNCTIONS[params["op"]]
    with np.errstate(all="ignore"):
        reduced = function(values, axis=axes, keepdims=True).astype(values.dtype)
    return run_tape(epilogue, [reduced, *inputs[n_prologue:]], outputs)


def reduce_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """The prologue and one operation per element, the epilogue per result."""
    per_element = tape_flops(params["prologue"]) + 1
    per_result = tape_flops(params["epilogue"])
    return inputs[0].size * per_element + outputs[0].size * per_result


REDUCE = register(
    Contract(
        "reduce",
        reduce_reference,
        reduce_flops,
        ints=("op", "axes_mask", "n_prologue"),
        tapes=("prologue", "epilogue"),
        kernel_inputs="n_prologue",
    )
)
