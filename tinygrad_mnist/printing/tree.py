"""`debugprint`: a graph as a tree."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.printing.labels import expressions_of, operation


def debugprint(
    obj: Any, depth: int = -1, print_type: bool = False, file: TextIO | str | None = None
) -> str | None:
    """Prints a graph as a tree: one line per variable, with the inputs of its op below it.

    obj: a variable, a list of them, or a function. Every variable has an identifier, [A], [B], ...;
    a repeated one is expanded once. depth: levels to go down, -1 for all. print_type: add types.
    file: where to write (standard output by default); `'str'` returns the text instead.

    Raises TypeError for anything else.
    """
    names: dict[Variable, str] = {}
    lines: list[str] = []
    for output in expressions_of(obj, "debugprint"):
        _walk(output, depth, print_type, names, lines)
    text = "\n".join(lines)
    if file == "str":
        return text
    if isinstance(file, str):
        raise TypeError(f"debugprint writes to a file object or returns 'str', not {file!r}")
    print(text, file=sys.stdout if file is None else file)
    return None


def _walk(
    output: Variable, limit: int, print_type: bool, names: dict[Variable, str], lines: list[str]
) -> None:
    stack: list[tuple[Variable, int]] = [(output, 0)]
    while stack:
        v, depth = stack.pop()
        seen = v in names
        identifier = names.setdefault(v, f"[{letters(len(names))}]")
        kind = f" <{v.type}>" if print_type else ""
        text = str(v) if v.node is None else operation(v.node, v.index)
        if v.node is not None and v.name:
            text += f" '{v.name}'"
        more = " ..." if v.node is not None and (seen or depth == limit) else ""
        lines.append(f"{' |' * depth}{text} {identifier}{kind}{more}")
        if v.node is not None and not more:
            stack.extend((x, depth + 1) for x in reversed(v.node.inputs))


def letters(number: int) -> str:
    """0 is A, 25 is Z, 26 is AA."""
    text = ""
    number += 1
    while number:
        number, digit = divmod(number - 1, 26)
        text = chr(ord("A") + digit) + text
    return text
