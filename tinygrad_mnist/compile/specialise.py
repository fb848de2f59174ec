"""Specialise: a symbolic graph becomes one in which every shape is a number.

Leaves get the shapes of the values of one call; every node is rebuilt on top of them. Ops whose
results depend on integers (reshape, slices, arange) ask the host for these and turn into static
ones. Small results of constants alone are computed on the spot, which folds all arithmetic on
shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinygrad_mnist.compile.host import HostProgram, HostTrace
from tinygrad_mnist.graph.fold import fold
from tinygrad_mnist.graph.source import error_context, on_behalf_of
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.types import TensorType, check_size
from tinygrad_mnist.graph.variables import Node, Variable


@dataclass(frozen=True)
class Specialised:
    """The graph of one plan before rewriting.

    outputs: the wanted results, over leaves of known shape.
    leaves: symbolic leaves with their counterparts.
    host: what each call computes on the host.
    """

    outputs: tuple[Variable, ...]
    leaves: Mapping[Variable, Variable]
    host: HostProgram


def specialise(
    outputs: Sequence[Variable],
    shapes: Mapping[Variable, tuple[int, ...]],
    scalars: Mapping[Variable, int],
) -> Specialised:
    """Rebuilds `outputs` for leaves of the given shapes.

    shapes: of every input and shared variable that `outputs` depend on. scalars: the values of
    the integer scalars among them. Raises ShapeError or GraphTypeError, with the user's line,
    where shapes do not fit.
    """
    env: dict[Variable, Variable] = {}
    for leaf, shape in shapes.items():
        type = TensorType(leaf.dtype, leaf.broadcastable, shape)
        env[leaf] = Variable(type, name=leaf.name, origins=leaf.origins)
    fresh = dict(env)

    def specialised(results: Sequence[Variable]) -> list[Variable]:
        for node in toposort(results, up_to=env):
            inputs = [env.get(v, v) for v in node.inputs]
            for old, new in zip(node.outputs, _rebuild(node, inputs, trace), strict=True):
                folded = fold(new)
                if folded.name is None and folded.node is not None:
                    folded.name = old.name
                env[old] = folded
        return [env.get(v, v) for v in results]

    trace = HostTrace(scalars, env, specialised)
    return Specialised(tuple(specialised(outputs)), fresh, trace.finish())


def _rebuild(node: Node, inputs: Sequence[Variable], trace: HostTrace) -> Sequence[Variable]:
    with on_behalf_of(node.origins):
        if node.op.specialise is None:
            outputs: Sequence[Variable] = node.op.rebuild(inputs, node.params).outputs
        with error_context(node.op.name, *node.origins):
            if node.op.specialise is not None:
                outputs = node.op.specialise(node, inputs, trace)
            for v in outputs:
                check_size(v.type)
    return outputs
