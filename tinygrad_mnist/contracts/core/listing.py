"""Tapes as text: one line, or straight-line code."""

from __future__ import annotations

from collections import Counter

import numpy as np

from .formula import Formula, applied, number
from .tape import Instruction, Tape


def show_tape(tape: Tape) -> str:
    """A tape in one line, its inputs i0, i1, ...: `maximum(0, i0 + i1)`.

    What is read twice is written first: `v0 = exp(i0); v0 / (1 + v0)`.
    """
    reads = Counter(arg for instruction in tape.instructions for arg in instruction.args)
    reads.update(tape.outputs)
    values = [Formula(f"i{k}") for k in range(tape.n_inputs)]
    statements: list[str] = []
    for position, instruction in enumerate(tape.instructions, tape.n_inputs):
        value = _value(instruction, values, f"{instruction.immediate:g}")
        if reads[position] > 1 and instruction.op != "const":
            name = f"v{len(statements)}"
            statements.append(f"{name} = {value.text}")
            value = Formula(name)
        values.append(value)
    return "; ".join([*statements, ", ".join(values[o].text for o in tape.outputs)])


def tape_code(name: str, tape: Tape) -> str:
    """A tape as a function, one line per instruction, in the order in which they run."""
    exact = np.dtype(tape.dtype).type
    values = [Formula(f"i{k}") for k in range(tape.n_inputs)]
    lines = [f"def {name}({', '.join(v.text for v in values)}):  # {tape.dtype}"]
    for position, instruction in enumerate(tape.instructions, tape.n_inputs):
        value = _value(instruction, values, str(exact(instruction.immediate)))
        if instruction.op != "const":
            lines.append(f"    v{position} = {value.text}")
            value = Formula(f"v{position}")
        values.append(value)
    lines.append(f"    return {', '.join(values[o].text for o in tape.outputs)}")
    return "\n".join(lines)


def _value(instruction: Instruction, values: list[Formula], constant: str) -> Formula:
    if instruction.op == "const":
        return number(constant)
    return applied(instruction.op, *(values[arg] for arg in instruction.args))
