"""Cuts: where a plan has to end, because the rest depends on a value that it computes.

Three things cut a graph: a host op, such as `nonzero`, the shape of whose result depends on values;
an integer that a length or a slice depends on and that is the result of a computation; and a lazy
op, `ifelse`, whose condition chooses what is computed. The function then runs in segments. A plan
computes the values that the cuts need; these become inputs of what remains; and so on until there
is no cut left. This module finds the cuts and says what remains; `functions/segments.py` runs it.

Gradients through an `ifelse` are taken when its condition is known, so that what was not computed
has no gradient either: until then there is a node of the op `lazy_gradient`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tinygrad_mnist.autodiff import grad
from tinygrad_mnist.compile.specialise import ValuesNeededError, specialise
from tinygrad_mnist.graph.collection import collection_paused
from tinygrad_mnist.graph.source import on_behalf_of
from tinygrad_mnist.graph.traversal import substitute, toposort
from tinygrad_mnist.graph.variables import Constant, Input, Node, Variable
from tinygrad_mnist.ops.lazy import LAZY_GRADIENT, is_lazy
from tinygrad_mnist.rewrite.engine import Context, apply_rules, copied
from tinygrad_mnist.stability import stabilise

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Cuts:
    """The cuts of a graph that wait for no other cut.

    integers: those that become inputs. host: nodes of host ops. choices: nodes that other
    expressions replace, such as those of `ifelse`, with the value that decides which. passed:
    what a first plan computes anyway and the rest needs too, and is worth keeping.
    """

    integers: tuple[Variable, ...]
    host: tuple[Node, ...]
    choices: tuple[tuple[Node, Variable], ...]
    passed: tuple[Variable, ...]

    @property
    def needs(self) -> tuple[Variable, ...]:
        """What has to be computed first, without constants."""
        wanted = [
            *self.integers,
            *(v for node in self.host for v in node.inputs),
            *(value for _, value in self.choices),
            *self.passed,
        ]
        return tuple(dict.fromkeys(v for v in wanted if not isinstance(v, Constant)))


class Remainder:
    """What is left to compute of a function.

    expressions: its outputs, and new values of shared variables. known: those variables in them
    that have been computed, with the inputs that replace them.
    """

    def __init__(
        self, expressions: Sequence[Variable], known: Mapping[Variable, Input] | None = None
    ) -> None:
        self.expressions, self.known = _settled(expressions, known or {})

    def substituted(self, variables: Sequence[Variable] | None = None) -> list[Variable]:
        """The expressions, or variables in them, over the inputs that replace what is known."""
        return substitute(self.expressions if variables is None else variables, self.known)

    def cuts(self, shapes: Mapping[Variable, Shape], scalars: Mapping[Variable, int]) -> Cuts:
        """The first cuts, for inputs and shared variables of these shapes and values. There must be
        some: compiling raised ValuesNeededError."""
        for v, stand_in in self.known.items():
            shapes = {**shapes, v: shapes[stand_in]}
            if stand_in in scalars:
                scalars = {**scalars, v: scalars[stand_in]}
        try:
            specialise(self.expressions, shapes, scalars)
        except ValuesNeededError as cut:
            integers, nodes = cut.integers, cut.nodes
        else:  # the stable form of what is written here has the cut, and it has become stable since
            raise AssertionError("a graph that is cut has no cuts")
        host = tuple(node for node in nodes if node.op.host is not None)
        choices = tuple((n, n.op.choice.decides(n)) for n in nodes if n.op.choice is not None)
        found = Cuts(integers, host, choices, ())
        return Cuts(integers, host, choices, self._worth_passing(found))

    def _worth_passing(self, cuts: Cuts) -> tuple[Variable, ...]:
        """What the plan before `cuts` computes and the rest reads, if it takes more than
        elementwise arithmetic. Nothing while gradients are to be taken: they need the way there."""
        if any(node.op is LAZY_GRADIENT for node in toposort(self.expressions)):
            return ()
        replaced = {*self.known, *cuts.integers, *(v for n in cuts.host for v in n.outputs)}
        first = toposort(cuts.needs, up_to=self.known)
        computed = {v for node in first for v in node.outputs}
        read = dict.fromkeys(self.expressions)
        for node in toposort(self.expressions, up_to={*replaced, *computed}):
            read.update(dict.fromkeys(node.inputs))
        costly: set[Variable] = set()
        for node in first:
            op = node.op
            is_cheap = op.tape_op or op.view or op.specialise
            if not is_cheap or not costly.isdisjoint(node.inputs):
                costly.update(node.outputs)
        return tuple(v for v in read if v in costly and v not in replaced)

    def after(
        self, cuts: Cuts, decided: Sequence[int], known: Mapping[Variable, Input]
    ) -> Remainder:
        """What is left when the values of `cuts` are known: what is decided for each choice, and
        inputs that replace results of host ops, integers, and what is passed on."""
        chosen = {node: d for (node, _), d in zip(cuts.choices, decided, strict=True)}
        return Remainder(_replaced(self.expressions, chosen), {**self.known, **known})


def _replaced(outputs: Sequence[Variable], chosen: Mapping[Node, int]) -> list[Variable]:
    """`outputs` with what is decided for some nodes in their place. All in one pass: what several
    of these nodes lead to stays one variable."""
    new: dict[Variable, Variable] = {}
    for node in toposort(outputs):
        with on_behalf_of(node.origins):
            if node in chosen and node.op.choice is not None:
                results = substitute(node.op.choice.results(node, chosen[node]), new)
            elif new.keys().isdisjoint(node.inputs):
                continue
            else:
                results = list(copied(node, [new.get(v, v) for v in node.inputs]).outputs)
        new.update(zip(node.outputs, results, strict=True))
    return [new.get(v, v) for v in outputs]


def stand_in(v: Variable) -> Input:
    """An input that replaces a variable, with its lines."""
    named = v
    while named.node is not None and named.name is None and named.node.op.view is not None:
        named = named.node.inputs[0]
    with on_behalf_of(v.origins):
        fresh = Input(v.type, str(named))
    fresh._origins = v.origins
    return fresh


def _settled(
    expressions: Sequence[Variable], known: Mapping[Variable, Input]
) -> tuple[list[Variable], Mapping[Variable, Input]]:
    """Takes all gradients whose cost has no `ifelse` left. If there are no others, known values are
    replaced and the rest is made stable."""
    current = list(expressions)
    with collection_paused():
        while True:
            waiting = [n for n in toposort(current, up_to=known) if n.op is LAZY_GRADIENT]
            ready = [node for node in waiting if not is_lazy(node.inputs[0])]
            if not ready:
                break
            taken: dict[Variable, Variable] = {}
            for node in ready:
                taken.update(zip(node.outputs, _gradients(node), strict=True))
            current = substitute(current, taken)
        if waiting:
            return current, known
        stable = stabilise(substitute(current, known))
        return apply_rules(stable, (), Context(frozenset())), {}  # equal nodes become one


def _gradients(node: Node) -> list[Variable]:
    """The gradients that a node of `lazy_gradient` stands for."""
    cost, *given = node.inputs
    n = node.params["n_wrt"]
    with on_behalf_of(node.origins):
        return grad(cost, given[:n], given[n:], disconnected_inputs="ignore")
