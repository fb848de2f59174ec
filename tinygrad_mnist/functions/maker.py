"""The graph of a function in Theano's words: `fn.maker.fgraph`."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Node, Variable


class FunctionGraph:
    """The expressions of a function, as they are before a plan is made of them.

    inputs: those whose values a call gets, then the shared variables that it reads or updates.
    outputs: its outputs, then the new values of updated variables.
    """

    def __init__(self, inputs: Sequence[Variable], outputs: Sequence[Variable]) -> None:
        self.inputs = list(inputs)
        self.outputs = list(outputs)

    def toposort(self) -> list[Node]:
        """The nodes, each after those it depends on. A node has `op`, `inputs` and `outputs`."""
        return toposort(self.outputs)

    @property
    def apply_nodes(self) -> set[Node]:
        """The nodes, in no order."""
        return set(self.toposort())

    @property
    def variables(self) -> set[Variable]:
        """The inputs, outputs, constants and all results of nodes."""
        around = (v for node in self.toposort() for v in (*node.inputs, *node.outputs))
        return {*self.inputs, *self.outputs, *around}


class Maker:
    """What made a function: `fgraph` is its graph."""

    def __init__(self, fgraph: FunctionGraph) -> None:
        self.fgraph = fgraph
