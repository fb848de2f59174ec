"""Parameters of calls as text, and tapes: as one line, or as straight-line code."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import groupby
from typing import Any

import numpy as np

from .base import Contract, Params
from .formula import Formula, applied, number
from .group import members_of
from .tape import Instruction, Tape

_REDUCTIONS = ("sum", "prod", "max", "min")


def _named(name: str, usual: Any = None) -> Callable[[Params], str]:
    """Shows (2, 3) as `stride 2x3`; nothing for the usual value."""

    def show(params: Params) -> str:
        value = params[name]
        text = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
        return "" if value == usual else f"{name} {text}"

    return show


def _op(params: Params) -> str:
    op = params["op"]
    return _REDUCTIONS[op] if op in range(len(_REDUCTIONS)) else f"op {op}"


def _reduced(params: Params) -> str:
    mask = params["axes_mask"]
    axes = [str(axis) for axis in range(mask.bit_length()) if mask >> axis & 1]
    return f"over {','.join(axes)}" if axes else "over no axis"


def _axes(params: Params) -> str:
    first, count = params["axis"], params.get("n_index", 1)
    numbers = ",".join(map(str, range(first, first + count)))
    return f"axis {numbers}" if count == 1 else f"axes {numbers}"


# How integer parameters of these names are shown, in every contract. Others are not, such as the
# number of inputs of a prologue.
_SHOWN: dict[str, Callable[[Params], str]] = {
    "op": _op,
    "axes_mask": _reduced,
    "axis": _axes,
    "reverse": lambda params: "reversed" if params["reverse"] else "",
    "pool": _named("pool"),
    "window": _named("window"),
    "stride": _named("stride", (1, 1)),
    "padding": _named("padding", (0, 0)),
    "first": lambda params: "first winner" if params["first"] else "",
    "low": _named("low"),
    "high": _named("high"),
}


def show_params(contract: Contract, params: Params) -> str:
    """The parameters that say what a kernel does: `sum over 0,2`, `stride 2x2 padding 1x1`.

    Those of the members of a group come one after the other: `2 x sum over 0; max over 1`.
    """
    if contract.member is None:
        return _own_params(contract, params)
    texts = [_own_params(contract.member, own) for own, _ in members_of(contract, params)]
    runs = [(text, len(list(run))) for text, run in groupby(texts)]
    return "; ".join(text if count == 1 else f"{count} x {text}" for text, count in runs)


def _own_params(contract: Contract, params: Params) -> str:
    texts = [_SHOWN[name](params) for name in contract.int_params(params) if name in _SHOWN]
    return " ".join(filter(None, texts))


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
