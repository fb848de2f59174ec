"""Applies rules: bottom-up, with equal nodes shared, and types checked after every replacement.

A rule gets one node, whose inputs are already rewritten, and returns other variables for its
results, or None. Rules never change a graph; they build new nodes. `graph/match.py` has the
functions with which they match. What the new nodes come from is found here, for all rules and
passes: they get the user's lines of the nodes that they replace.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from operator import is_
from time import perf_counter
from typing import Any, NamedTuple

from tinygrad_mnist.graph.provenance import inherit_origins
from tinygrad_mnist.graph.source import Origins, merged, on_behalf_of
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Constant, Node, Variable

Replacement = Sequence[Variable] | None
Functions = frozenset[tuple[str, str]]  # instructions of tapes, each with a dtype
# Rounds that any chain of rules needs at most, besides one for each node that a slice passes on its
# way to the inputs. If there are more, two rules undo each other.
_ROUNDS = 20


@dataclass(frozen=True)
class Rule:
    """One identity: for a node of one of `ops` that matches, `apply` returns an equal
    expression."""

    name: str
    ops: tuple[str, ...]
    apply: Callable[[Node, Context], Replacement]


def rule_into(rules: list[Rule]) -> Callable[..., Callable[..., Rule]]:
    """A decorator that makes a rule of a function and adds it to a list: `@rule("mul", "add")`."""

    def rule(*ops: str) -> Callable[..., Rule]:
        def register(apply: Callable[[Node, Context], Replacement]) -> Rule:
            rules.append(Rule(apply.__name__, ops, apply))
            return rules[-1]

        return register

    return rule


class Stage(NamedTuple):
    """A stage of compilation that is done.

    seconds: how long it took. fired: the rules that it applied, and how often.
    """

    name: str
    seconds: float
    fired: Mapping[str, int]


@dataclass
class Context:
    """What a rule may use besides its node, and the record of the compilation.

    kernels: names of the kernels that the backend has.
    rising: approximated functions that never fall as the backend computes them.
    fired: rules that have been applied, and how often; a plan shows it.
    stages: stages that are done, in order.
    """

    kernels: frozenset[str]
    rising: Functions = frozenset()
    fired: Counter[str] = field(default_factory=Counter)
    stages: list[Stage] = field(default_factory=list)
    _nodes: dict[Any, Node] = field(default_factory=dict)
    _order: Sequence[Node] = ()
    _by_first: dict[Any, list[Node]] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Records the time and the rules of the block as the stage `name`."""
        before, begin = Counter(self.fired), perf_counter()
        yield
        self.stages.append(Stage(name, perf_counter() - begin, dict(self.fired - before)))

    def find(self, op: str, inputs: Sequence[Variable]) -> Node | None:
        """A node of the present graph that applies `op` to these inputs, if there is one."""
        if not self._by_first:
            for node in self._order:
                if node.inputs:
                    first = (node.op.name, identity(node.inputs[0]))
                    self._by_first.setdefault(first, []).append(node)
        wanted = [identity(v) for v in inputs]
        for node in self._by_first.get((op, wanted[0]), ()):
            if [identity(v) for v in node.inputs[: len(wanted)]] == wanted:
                return node
        return None

    def intern(self, node: Node) -> Node:
        """`node`, or an earlier one of this round that computes the same, for its lines too."""
        key = (node.op.name, tuple(identity(v) for v in node.inputs), params_key(node.params))
        known = self._nodes.setdefault(key, node)
        if known is not node and known.origins != node.origins:
            known.origins = merged(known.origins, node.origins)
        return known

    def start_round(self, order: Sequence[Node]) -> None:
        """Clears the last round. order: the nodes of the present graph, for `find`."""
        self._nodes.clear()
        self._by_first.clear()
        self._order = order


def identity(v: Variable) -> Any:
    """A key that is equal for variables which certainly hold the same value."""
    if isinstance(v, Constant) and v.value.size <= 1024:
        return (v.type, v.value.tobytes())
    return id(v)


def params_key(params: Mapping[str, Any]) -> Any:
    """A hashable form of a node's parameters. Equal types may differ in what is known of lengths;
    their shapes tell them apart."""
    shapes = tuple(t.shape for t in params.get("types", ()))
    return shapes, tuple(sorted(params.items()))


def rebuild(
    outputs: Sequence[Variable],
    emit: Callable[[Node, list[Variable]], Sequence[Variable] | None],
    order: Sequence[Node] | None = None,
    up_to: Container[Variable] = (),
) -> list[Variable]:
    """Rebuilds a graph from its leaves, and from the variables in `up_to`.

    `emit(node, new inputs)` returns the new results, or None for a node that joins the next one
    which reads it. order: `toposort(outputs)`, where it is known.
    """
    env: dict[Variable, Variable] = {}
    joining: dict[Node, Origins] = {}
    with on_behalf_of() as context:
        for node in toposort(outputs, up_to) if order is None else order:
            inputs = [env.get(v, v) for v in node.inputs]
            context.origins = _with_joining(node, joining) if joining else node.origins
            context.made = []
            results = emit(node, inputs)
            if results is None:
                joining[node] = context.origins
                continue
            if not (results is node.outputs or _is_copy(inputs, results, context.made)):
                operands = [env[v] for v in node.inputs if v in env]
                inherit_origins(node, context.origins, operands, results, context.made)
            env.update(zip(node.outputs, results, strict=True))
    return [env.get(v, v) for v in outputs]


def _with_joining(node: Node, joining: dict[Node, Origins]) -> Origins:
    """The origins of a node and of those that join it, which are then done with."""
    members = [n for n in dict.fromkeys(v.node for v in node.inputs) if n in joining]
    return merged(node.origins, *(joining.pop(n) for n in members if n is not None))


def _is_copy(inputs: Sequence[Variable], results: Sequence[Variable], made: Sequence[Node]) -> bool:
    """Whether the results are those of the one node made, over `inputs`."""
    if len(made) != 1 or results is not made[0].outputs:
        return False
    return all(map(is_, inputs, made[0].inputs)) and len(inputs) == len(made[0].inputs)


def copied(node: Node, inputs: Sequence[Variable]) -> Node:
    """`node` over other inputs; itself where they are the same."""
    if all(map(is_, inputs, node.inputs)):
        return node
    copy = node.op.rebuild(inputs, node.params)
    for old, new in zip(node.outputs, copy.outputs, strict=True):
        new.name = old.name
    return copy


def uses(outputs: Sequence[Variable]) -> Counter[Variable]:
    """The number of times that each variable is read: by nodes, and once per output."""
    counts: Counter[Variable] = Counter(outputs)
    for node in toposort(outputs):
        counts.update(node.inputs)
    return counts


def apply_rules(
    outputs: Sequence[Variable],
    rules: Sequence[Rule],
    context: Context,
    applied: Sequence[Rule] = (),
) -> list[Variable]:
    """Applies rules everywhere until none matches any more; equal nodes become one.

    applied: further rules, which come after the others and have been applied to this graph already:
    where none of the others matches, nothing is to be done.
    """
    current = list(outputs)
    order = toposort(current)
    if applied and not _any_matches(order, rules, context):
        return current
    table = _by_op([*rules, *applied])
    for _ in range(_ROUNDS + len(order)):
        context.start_round(order)
        before = context.fired.total()
        current = rebuild(current, lambda node, inputs: _emit(node, inputs, table, context), order)
        if context.fired.total() == before:
            return current
        order = toposort(current)
    raise AssertionError(f"rules undo each other: {dict(context.fired)}")


def _by_op(rules: Iterable[Rule]) -> dict[str, list[Rule]]:
    table: dict[str, list[Rule]] = {}
    for rule in rules:
        for op in rule.ops:
            table.setdefault(op, []).append(rule)
    return table


def _any_matches(order: Sequence[Node], rules: Sequence[Rule], context: Context) -> bool:
    context.start_round(order)
    table = _by_op(rules)
    with on_behalf_of():
        return any(
            rule.apply(node, context) is not None
            for node in order
            for rule in table.get(node.op.name, ())
        )


def _emit(
    node: Node, inputs: Sequence[Variable], table: Mapping[str, list[Rule]], context: Context
) -> Sequence[Variable]:
    current = context.intern(copied(node, inputs))
    for rule in table.get(current.op.name, ()):
        replacement = rule.apply(current, context)
        if replacement is None:
            continue
        for old, new in zip(current.outputs, replacement, strict=True):
            check_type(rule.name, old, new)
        context.fired[rule.name] += 1
        return replacement
    return current.outputs


def if_same_type(old: Variable, new: Variable) -> Replacement:
    """`new` in place of `old`, or no replacement where it has another dtype or shape."""
    same = new.dtype == old.dtype and new.type.shape == old.type.shape
    return (new,) if same else None


def check_type(rule: str, old: Variable, new: Variable) -> None:
    """A replacement must have the variable's dtype and shape; if not, the rule is wrong."""
    if new.dtype != old.dtype or new.type.shape != old.type.shape:
        raise AssertionError(f"the rule {rule} turns {old.type} into {new.type}: {old}")
