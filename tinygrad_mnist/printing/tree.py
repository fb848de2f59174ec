"""`debugprint`: a graph as a tree."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TextIO

from tinygrad_mnist.graph.values import choice
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.printing.labels import expressions_of, operation


def debugprint(
    obj: Any,
    depth: int = -1,
    print_type: bool = False,
    file: TextIO | str | None = None,
    ids: str = "CHAR",
    stop_on_name: bool = False,
) -> str | None:
    """Prints a graph as a tree: one line per variable, with the inputs of its op below it.

    obj: a variable, a list of them, or a function. Every variable has an identifier; a repeated one
    is expanded once. depth: levels to go down, -1 for all. print_type: add types. file: where to
    write (standard output by default); `'str'` returns the text instead. ids: identifiers, `'CHAR'`
    for [A], [B], ..., `'int'` for [0], [1], ..., `'id'` for Python's, `''` for none. stop_on_name:
    don't go below a variable that has a name.

    Raises TypeError for anything else.
    """
    identifier = _IDENTIFIERS.get(choice(ids, tuple(_IDENTIFIERS), "ids of debugprint"))
    assert identifier is not None
    names: dict[Variable, str] = {}
    lines: list[str] = []
    for output in expressions_of(obj, "debugprint"):
        _walk(output, depth, print_type, stop_on_name, identifier, names, lines)
    text = "\n".join(lines)
    if file == "str":
        return text
    if isinstance(file, str):
        raise TypeError(f"debugprint writes to a file object or returns 'str', not {file!r}")
    print(text, file=sys.stdout if file is None else file)
    return None


def _walk(
    output: Variable,
    limit: int,
    print_type: bool,
    stop_on_name: bool,
    identifier: Callable[[int, Variable], str],
    names: dict[Variable, str],
    lines: list[str],
) -> None:
    stack: list[tuple[Variable, int]] = [(output, 0)]
    while stack:
        v, depth = stack.pop()
        seen = v in names
        found = names.setdefault(v, identifier(len(names), v))
        kind = f" <{v.type}>" if print_type else ""
        text = str(v) if v.node is None else operation(v.node, v.index)
        if v.node is not None and v.name:
            text += f" '{v.name}'"
        is_end = seen or depth == limit or (stop_on_name and v.name)
        more = " ..." if v.node is not None and is_end else ""
        lines.append(f"{' |' * depth}{text}{found}{kind}{more}")
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


# A number in the order of the lines, and the variable -> its identifier, with the space before it.
_IDENTIFIERS: dict[str, Callable[[int, Variable], str]] = {
    "CHAR": lambda number, v: f" [{letters(number)}]",
    "int": lambda number, v: f" [{number}]",
    "id": lambda number, v: f" [id {id(v)}]",
    "": lambda number, v: "",
}
