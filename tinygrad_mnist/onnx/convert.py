"""Walks a symbolic graph and writes it with ONNX's operators.

A rule per op does the work; `RULES` has them by the op's name. An op without a rule is lowered, as
for a backend, where that needs no known shapes. What is constant is computed here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tinygrad_mnist.errors import ExportError
from tinygrad_mnist.graph.source import at, on_behalf_of
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Constant, Node, Variable
from tinygrad_mnist.onnx.graph import Graph, Value

# (converter, node) -> the node's results; None for a result that ONNX doesn't have
Rule = Callable[["Converter", Node], Sequence[Value | None]]
RULES: dict[str, Rule] = {}


def rule(*ops: str) -> Callable[[Rule], Rule]:
    """Registers the rule of some ops."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(ops, function))
        return function

    return register


class Converter:
    """An ONNX graph, and which of its values each variable is."""

    def __init__(self) -> None:
        self.graph = Graph()
        self._values: dict[Variable, Value | None] = {}

    def set_input(self, v: Variable, value: Value) -> None:
        """Makes `v` a value that the caller gives."""
        self._values[v] = value

    def value(self, v: Variable) -> Value:
        """The value of a variable. What it depends on is converted first."""
        if v not in self._values:
            if isinstance(v, Constant):
                self._values[v] = self.graph.constant(v.value, v.dtype, v.name)
            else:
                for node in toposort([v], up_to=self._values):
                    self._convert(node)
        value = self._values[v]
        if value is None:
            raise unsupported(v.node, f"its result {v} has no counterpart in ONNX")
        return value

    def values(self, variables: Sequence[Variable]) -> list[Value]:
        return [self.value(v) for v in variables]

    def known(self, v: Variable) -> int | None:
        """The value of an integer scalar that is constant."""
        array = self.value(v).array
        return None if array is None else int(array)

    def _convert(self, node: Node) -> None:
        if all(v in self._values for v in node.outputs):
            return
        folded = self._folded(node)
        results = self._by_rule(node) if folded is None else folded
        self._values.update(zip(node.outputs, results, strict=True))

    def _folded(self, node: Node) -> Sequence[Value | None] | None:
        """The results of a node whose inputs are all constant and whose shapes are known."""
        arrays = [self.value(v).array for v in node.inputs]
        given = [a for a in arrays if a is not None]
        types = [v.type for v in node.outputs]
        if node.op.reference is None or len(given) < len(arrays) or not arrays:
            return None
        if not all(t.is_static for t in types):
            return None
        with np.errstate(all="ignore"):
            computed = node.op.evaluate(node, given)
        return [self.graph.constant(a, t.dtype) for a, t in zip(computed, types, strict=True)]

    def _by_rule(self, node: Node) -> Sequence[Value | None]:
        name = "elementwise" if node.op.tape_op is not None else node.op.name
        found = RULES.get(name)
        if found is not None:
            return found(self, node)
        return self.lowered(node)

    def lowered(self, node: Node) -> list[Value]:
        """The results of a node, computed by the ops that its own is lowered to."""
        if node.op.lower is None:
            raise unsupported(node, "it has no counterpart in ONNX")
        with on_behalf_of(node.origins):
            try:
                results = node.op.lower(node)
            except TypeError as error:  # a shape that is known only when a function runs
                raise unsupported(node, str(error)) from None
        return self.values(results)


def unsupported(node: Node | None, why: str) -> ExportError:
    """The error for a node that can't be exported."""
    assert node is not None
    return ExportError(f"the op {node.op.name} can't be exported to ONNX: {why}{at(*node.origins)}")
