"""Graphs as text under Theano's other names."""

from __future__ import annotations

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.printing.infix import pp
from tinygrad_mnist.printing.tree import debugprint

pprint = pp


def min_informative_str(obj: Variable, indent_level: int = 0) -> str:
    """The graph of a variable as `debugprint` writes it. indent_level: tabs before every line."""
    lines = (debugprint(obj, file="str") or "").splitlines()
    return "\n".join("\t" * indent_level + line for line in lines)


__all__ = ["min_informative_str", "pprint"]
