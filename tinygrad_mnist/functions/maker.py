"""The graph of a function in Theano's words: `fn.maker.fgraph`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Node, Variable


@dataclass(frozen=True, eq=False)
class FunctionGraph:
    """The expressions of a function, as they are before a plan is made of them.

    inputs: those whose values a call gets, then the shared variables that it reads or updates.
    outputs: its outputs, then the new values of updated variables.
    """

    inputs: Sequence[Variable]
    outputs: Sequence[Variable]

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


@dataclass(frozen=True, eq=False)
class Maker:
    """What made a function: `fgraph` is its graph."""

    fgraph: FunctionGraph
