"""Graphs as text."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TextIO

from tinygrad_mnist.graph.variables import Variable


def debugprint(obj: Any, file: TextIO | str | None = None, print_type: bool = False) -> str | None:
    """Prints a graph as a tree: one line per variable, what it is computed from below it.

    obj: a variable, a list of them, or a function. What stands twice is expanded once. file: where
    to write (standard output by default); `'str'` returns the text instead. print_type: add types.
    """
    outputs = _outputs(obj)
    names: dict[Variable, str] = {}
    lines: list[str] = []
    for output in outputs:
        _walk(output, print_type, names, lines)
    text = "\n".join(lines)
    if file == "str":
        return text
    target = sys.stdout if file is None or isinstance(file, str) else file
    print(text, file=target)
    return None


def _outputs(obj: Any) -> Sequence[Variable]:
    if isinstance(obj, Variable):
        return [obj]
    if isinstance(obj, list | tuple):
        return list(obj)
    expressions: Sequence[Variable] = obj.expressions
    return expressions


def _walk(output: Variable, print_type: bool, names: dict[Variable, str], lines: list[str]) -> None:
    stack: list[tuple[Variable, int]] = [(output, 0)]
    while stack:
        v, depth = stack.pop()
        seen = v in names
        identifier = names.setdefault(v, f"[{_letters(len(names))}]")
        kind = f" <{v.type}>" if print_type else ""
        if v.node is None:
            text = str(v)
        else:
            text = v.node.op.name + (f".{v.index}" if len(v.node.outputs) > 1 else "")
            text += f" '{v.name}'" if v.name else ""
        more = " ..." if seen and v.node is not None else ""
        lines.append(f"{' |' * depth}{text} {identifier}{kind}{more}")
        if v.node is not None and not seen:
            stack.extend((x, depth + 1) for x in reversed(v.node.inputs))


def _letters(number: int) -> str:
    """0 is A, 25 is Z, 26 is AA."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text
