"""Theano's `theano.gof.graph`: walks over a graph, copies and comparisons of expressions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.clone import clone, clone_get_equiv
from tinygrad_mnist.graph.traversal import substitute, toposort
from tinygrad_mnist.graph.variables import Constant, Node, Variable, described
from tinygrad_mnist.names import attribute_finder
from tinygrad_mnist.printing.infix import pp

__getattr__ = attribute_finder("theano.gof", __name__)


def _variables(given: Variable | Iterable[Variable]) -> list[Variable]:
    found = [given] if isinstance(given, Variable) else list(given)
    for v in found:
        if not isinstance(v, Variable):
            raise GraphTypeError(f"{described(v)}; graphs are of symbolic variables")
    return found


def ancestors(
    variable_list: Iterable[Variable], blockers: Collection[Variable] | None = None
) -> list[Variable]:
    """All variables that these depend on, and these, each once. blockers: variables at which the
    walk stops; they are in the result."""
    stop = set(blockers or ())
    found: dict[Variable, None] = {}
    stack = _variables(variable_list)[::-1]
    while stack:
        v = stack.pop()
        if v in found:
            continue
        found[v] = None
        if v.node is not None and v not in stop:
            stack.extend(reversed(v.node.inputs))
    return list(found)


def inputs(
    variable_list: Iterable[Variable], blockers: Collection[Variable] | None = None
) -> list[Variable]:
    """The inputs, constants and shared variables that these depend on. blockers: variables at which
    the walk stops."""
    return [v for v in ancestors(variable_list, blockers) if v.node is None]


def io_toposort(inputs: Iterable[Variable], outputs: Iterable[Variable]) -> list[Node]:
    """The nodes between inputs and outputs, each after those that it depends on."""
    return toposort(_variables(outputs), up_to=set(inputs))


def list_of_nodes(inputs: Iterable[Variable], outputs: Iterable[Variable]) -> list[Node]:
    """The nodes between inputs and outputs."""
    return io_toposort(inputs, outputs)


def ops(i: Iterable[Variable], o: Iterable[Variable]) -> set[Node]:
    """The nodes between inputs and outputs, as a set."""
    return set(io_toposort(i, o))


def variables(i: Iterable[Variable], o: Iterable[Variable]) -> list[Variable]:
    """The variables between inputs and outputs, both included."""
    return ancestors(o, blockers=set(i))


def orphans(i: Iterable[Variable], o: Iterable[Variable]) -> list[Variable]:
    """What the outputs depend on that is neither computed nor among the inputs."""
    given = set(i)
    return [v for v in variables(given, o) if v.node is None and v not in given]


def is_in_ancestors(l_node: Node, f_node: Node) -> bool:
    """Whether a node depends on another, or is it."""
    return f_node in toposort(l_node.outputs)


def equal_computations(
    xs: Sequence[Variable],
    ys: Sequence[Variable],
    in_xs: Sequence[Variable] | None = None,
    in_ys: Sequence[Variable] | None = None,
) -> bool:
    """Whether expressions do the same with the same inputs: the same ops in the same order, the
    same variables and equal constants. in_xs, in_ys: inputs of the two that count as the same."""
    if len(xs) != len(ys):
        return False
    same: dict[Variable, Variable] = dict(zip(in_xs or (), in_ys or (), strict=True))
    pairs = list(zip(_variables(xs), _variables(ys), strict=True))
    while pairs:
        x, y = pairs.pop()
        if x in same:
            if same[x] is not y:
                return False
            continue
        if x.node is None or y.node is None:
            if not (x is y or _equal_constants(x, y)):
                return False
            continue
        a, b = x.node, y.node
        if (a.op, x.index, len(a.inputs)) != (b.op, y.index, len(b.inputs)):
            return False
        if not _equal_params(a.params, b.params):
            return False
        same[x] = y
        pairs.extend(zip(a.inputs, b.inputs, strict=True))
    return True


def is_same_graph(
    var1: Variable,
    var2: Variable,
    givens: Mapping[Variable, Variable] | None = None,
    debug: bool = False,
) -> bool:
    """Whether two expressions do the same. givens: variables and what counts as the same as
    them."""
    first, second = substitute([var1, var2], dict(givens or {}))
    return equal_computations([first], [second])


def _equal_constants(x: Variable, y: Variable) -> bool:
    if not (isinstance(x, Constant) and isinstance(y, Constant) and x.type == y.type):
        return False
    return np.array_equal(x.value, y.value, equal_nan=x.type.is_float)


def _equal_params(a: Mapping[str, object], b: Mapping[str, object]) -> bool:
    return repr(sorted(a.items())) == repr(sorted(b.items()))


def as_string(i: Sequence[Variable], o: Sequence[Variable]) -> list[str]:
    """Each output as a formula."""
    return [pp(v) for v in _variables(o)]


__all__ = [
    "ancestors",
    "as_string",
    "clone",
    "clone_get_equiv",
    "equal_computations",
    "inputs",
    "io_toposort",
    "is_in_ancestors",
    "is_same_graph",
    "list_of_nodes",
    "ops",
    "orphans",
    "variables",
]
