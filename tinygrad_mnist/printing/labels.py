"""What the printers have in common: which expressions are meant, and what a node is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.graph.variables import Node, Variable


def expressions_of(obj: Any, printer: str) -> Sequence[Variable]:
    """The variables to print: one, a list of them, or the results and updates of a function."""
    if isinstance(obj, Variable):
        return [obj]
    if isinstance(obj, list | tuple) and all(isinstance(v, Variable) for v in obj):
        return obj
    if hasattr(obj, "expressions"):
        expressions: Sequence[Variable] = obj.expressions
        return expressions
    raise TypeError(f"{printer} prints variables, lists of them, and functions; {obj!r} is none")


def operation(node: Node, index: int = 0) -> str:
    """An op's name with the parameter that it shows: `sum{0}`, `dimshuffle{x,0}`, `pool2d.1`."""
    name = node.op.name
    if node.op.shown is not None:
        value = node.params[node.op.shown]
        text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        name += f"{{{text}}}"
    return name + (f".{index}" if len(node.outputs) > 1 else "")
