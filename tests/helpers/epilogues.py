"""Epilogue tapes of the kinds that plans have, with the extra inputs that they want."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from helpers.layouts import normal, relaid
from helpers.native import AnyArray

from tinygrad_mnist.contracts.core.tape import Instruction, Tape

EPILOGUES = ["identity", "bias_relu", "update", "two_extras", "dropout"]


@dataclass
class Epilogue:
    """A tape and its extra inputs. output: the extra that the result overwrites, or None."""

    tape: Tape
    extras: list[AnyArray]
    output: AnyArray | None = None


def bias_relu(dtype: str) -> Tape:
    """max(result + extra, 0)."""
    code = (
        Instruction("add", (0, 1)),
        Instruction("const", (), 0.0),
        Instruction("maximum", (2, 3)),
    )
    return Tape(dtype, 2, code, (4,))


def update(dtype: str) -> Tape:
    """extra - 0.125 * result, as SGD has it."""
    code = (
        Instruction("const", (), 0.125),
        Instruction("mul", (0, 2)),
        Instruction("sub", (1, 3)),
    )
    return Tape(dtype, 2, code, (4,))


def decayed_update(dtype: str) -> Tape:
    """extra - rate * (result + decay * extra), where rate and decay are extras, too."""
    code = (
        Instruction("mul", (3, 1)),
        Instruction("add", (4, 0)),
        Instruction("mul", (2, 5)),
        Instruction("sub", (1, 6)),
    )
    return Tape(dtype, 4, code, (7,))


def two_extras(dtype: str) -> Tape:
    """result * extra + other extra."""
    return Tape(dtype, 3, (Instruction("mul", (0, 1)), Instruction("add", (3, 2))), (4,))


def dropout(dtype: str) -> Tape:
    """result * (uniform < 0.5)."""
    code = (
        Instruction("uniform", (1,), 0.0, 0x1234567890ABCDEF),
        Instruction("const", (), 0.5),
        Instruction("lt", (2, 3)),
        Instruction("mul", (0, 4)),
    )
    return Tape(dtype, 2, code, (5,))


def epilogue(
    kind: str,
    rng: np.random.Generator,
    shape: tuple[int, ...],
    dtype: str,
    bias_axis: int,
    whole: bool = False,
) -> Epilogue:
    """The epilogue `kind` for an output of `shape`, whose bias is a vector along `bias_axis`."""
    if kind == "identity":
        return Epilogue(Tape.identity(dtype), [])
    if kind == "bias_relu":
        ones = [1] * len(shape)
        ones[bias_axis] = shape[bias_axis]
        bias = normal(rng, tuple(ones), dtype, whole)
        return Epilogue(bias_relu(dtype), [np.broadcast_to(bias, shape)])
    if kind == "update":
        old = relaid(normal(rng, shape, dtype, whole), rng)
        return Epilogue(update(dtype), [old], output=old)
    if kind == "two_extras":
        scalar = np.broadcast_to(normal(rng, (), dtype, whole), shape)
        return Epilogue(two_extras(dtype), [relaid(normal(rng, shape, dtype, whole), rng), scalar])
    return Epilogue(dropout(dtype), [np.array(7)])
