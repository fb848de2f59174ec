"""Specialise: a symbolic graph becomes one in which every shape is a number.

Leaves get the shapes of the values of one call; every node is rebuilt on top of them. Ops whose
results depend on integers (reshape, slices, arange) ask the host for these and turn into static
ones. Small results of constants alone are computed on the spot, which folds all arithmetic on
shapes. Where a value that isn't known yet determines the rest, `ValuesNeededError` says which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinygrad_mnist.compile.host import HostProgram, HostTrace, UnknownIntegerError
from tinygrad_mnist.compile.host_ops import run_on_host
from tinygrad_mnist.graph.fold import fold
from tinygrad_mnist.graph.source import error_context, on_behalf_of
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.types import INTEGERS, TensorType, check_size, static_type
from tinygrad_mnist.graph.variables import Constant, Node, Variable


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


class ValuesNeededError(Exception):
    """A graph is cut: the rest can't be specialised before some values are known.

    integers: results of computations that a shape or a slice depends on. nodes: those of host ops
    and lazy ops. None of them waits for another one.
    """

    def __init__(self, integers: Sequence[Variable], nodes: Sequence[Node]) -> None:
        super().__init__("values of a first plan are needed")
        self.integers = tuple(integers)
        self.nodes = tuple(nodes)


def specialise(
    outputs: Sequence[Variable],
    shapes: Mapping[Variable, tuple[int, ...]],
    scalars: Mapping[Variable, int],
) -> Specialised:
    """Rebuilds `outputs` for leaves of the given shapes.

    shapes: of every input and shared variable that `outputs` depend on, and of variables whose
    values are known though they are computed. scalars: the values of the integer scalars among
    them. Raises ShapeError or GraphTypeError, with the user's line, where shapes do not fit, and
    ValuesNeededError where the graph is cut.
    """
    env: dict[Variable, Variable] = {}
    for leaf, shape in shapes.items():
        type = TensorType(leaf.dtype, leaf.broadcastable, shape)
        env[leaf] = Variable(type, name=leaf.name, origins=leaf.origins)
    fresh = dict(env)

    def specialised(results: Sequence[Variable], missing: _Missing) -> list[Variable]:
        for node in toposort(results, up_to=env, lazily=True):
            inputs = [env.get(v, v) for v in node.inputs]
            if node.op.host is not None and (constants := _constants(node, inputs)) is not None:
                env.update(constants)
                continue
            if missing.stops(node):
                continue
            try:
                rebuilt = _rebuild(node, inputs, trace)
            except UnknownIntegerError:
                missing.add_integers(node, trace)
                continue
            except _InnerCutError:
                missing.add_node(node)
                continue
            for old, new in zip(node.outputs, rebuilt, strict=True):
                if old in env:
                    continue
                folded = fold(new)
                if folded.name is None and folded.node is not None:
                    folded.name = old.name
                env[old] = folded
        return [env.get(v, v) for v in results]

    def of_a_rule(results: Sequence[Variable]) -> list[Variable]:
        inner = _Missing()
        made = specialised(results, inner)
        if inner.stop(results):
            raise _InnerCutError
        return made

    missing = _Missing()
    trace = HostTrace(scalars, env, of_a_rule)
    results = specialised(outputs, missing)
    missing.check()
    return Specialised(tuple(results), fresh, trace.finish())


class _InnerCutError(Exception):
    """The expressions that a rule makes of a node are cut: they have to replace the node."""


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


def _constants(node: Node, inputs: Sequence[Variable]) -> dict[Variable, Variable] | None:
    """The results of a host op on constants; None where an input is none."""
    values = [v.value for v in inputs if isinstance(v, Constant)]
    if len(values) < len(inputs):
        return None
    results: dict[Variable, Variable] = {}
    for v, value in zip(node.outputs, run_on_host(node, values), strict=True):
        results[v] = constant = Constant(value)
        constant.type = static_type(v.dtype, value.shape, v.broadcastable)
    return results


class _Missing:
    """Values that are not known, and the variables that wait for them."""

    def __init__(self) -> None:
        self._integers: dict[Variable, None] = {}
        self._nodes: list[Node] = []
        self._waiting: set[Variable] = set()

    def stops(self, node: Node) -> bool:
        """Whether a node can't be specialised: it is a cut, or waits for one."""
        is_cut = node.op.host is not None or node.op.lazy
        inputs = node.inputs[:1] if node.op.lazy else node.inputs
        waits = bool(self._waiting) and not self._waiting.isdisjoint(inputs)
        if is_cut and not waits:
            self._nodes.append(node)
        if is_cut or waits:
            self._waiting.update(node.outputs)
        return is_cut or waits

    def add_integers(self, node: Node, trace: HostTrace) -> None:
        """`node` can't be specialised because the host doesn't know integers among its inputs."""
        scalars = (v for v in node.inputs if v.ndim == 0 and v.dtype in INTEGERS)
        self._integers.update((v, None) for scalar in scalars for v in trace.unknown(scalar))
        self._waiting.update(node.outputs)

    def add_node(self, node: Node) -> None:
        """`node` has to be replaced."""
        self._nodes.append(node)
        self._waiting.update(node.outputs)

    def stop(self, results: Sequence[Variable]) -> bool:
        """Whether any of these waits for a value."""
        return not self._waiting.isdisjoint(results)

    def check(self) -> None:
        """Raises ValuesNeededError if anything is missing."""
        if self._integers or self._nodes:
            raise ValuesNeededError(tuple(self._integers), self._nodes)
