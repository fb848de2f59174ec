"""What the printers have in common: which expressions are meant, and what a node is called."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.graph.variables import Node, Variable

# Parameters that tell what an op does, beside its name.
_TELLING = {"dimshuffle": "pattern", "cast": "dtype", "argmax": "axis", "argmin": "axis"}
_REDUCTIONS = ("sum", "prod", "max", "min", "all", "any")


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
    """An op's name with what its parameters tell: `sum{0}`, `dimshuffle{x,0}`, `pool2d.1`."""
    name = node.op.name
    told: Any = None
    if name in _REDUCTIONS:
        told = node.params["axes"]
    elif name in _TELLING:
        told = node.params[_TELLING[name]]
    if told is not None:
        name += "{" + (",".join(map(str, told)) if isinstance(told, tuple) else str(told)) + "}"
    return name + (f".{index}" if len(node.outputs) > 1 else "")
