"""Copies of graphs, node by node, and of their leaves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import copy
from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import on_behalf_of
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.graph.variables import Input, Node, Variable

Equivalents = dict[Any, Any]  # variables and nodes with those that are in their place


def variables_of(given: Any, what: str) -> list[Variable]:
    """The variables in a list; GraphTypeError for anything else in it."""
    found = list(given) if isinstance(given, Iterable) else [given]
    for v in found:
        if not isinstance(v, Variable):
            raise GraphTypeError(f"{what} are variables, not {shown(v)}")
    return found


def clone_node(node: Node, inputs: Sequence[Variable]) -> Node:
    """The node applied to other inputs: the same op and parameters, and the names, attributes and
    lines of the results."""
    with on_behalf_of(node.origins):
        made = node.op.rebuild(inputs, node.params)
    _take_over(node, made)
    for old, new in zip(node.outputs, made.outputs, strict=True):
        new.name = old.name
        _take_over(old, new)
    return made


def _take_over(old: Variable | Node, new: Variable | Node) -> None:
    """Attributes of the program; a tag is copied."""
    for name, value in vars(old).items():
        setattr(new, name, copy(value) if name == "tag" else value)


def clone_leaf(v: Variable) -> Variable:
    """A new variable of the same type, name and attributes: for an expression an input, for a
    constant another of the same value. A shared variable is itself, since its value can't be in
    two."""
    if isinstance(v, SharedVariable):
        return v
    if v.node is None:
        return copy(v)
    made = Input(v.type, v.name)
    _take_over(v, made)
    return made


def clone_get_equiv(
    inputs: Sequence[Variable],
    outputs: Sequence[Variable],
    copy_inputs: bool = True,
    copy_orphans: bool = True,
    memo: Equivalents | None = None,
) -> Equivalents:
    """Copies the graph between inputs and outputs. Returns what each of its variables and nodes
    became.

    copy_inputs: whether inputs become new ones. copy_orphans: whether other leaves, such as
    constants, do; shared variables never do. memo: what is replaced already; it is filled in and
    returned.
    """
    equivalents: Equivalents = {} if memo is None else memo
    for v in variables_of(inputs, "the inputs"):
        equivalents.setdefault(v, clone_leaf(v) if copy_inputs else v)
    wanted = variables_of(outputs, "the outputs")
    for node in toposort(wanted, up_to=set(equivalents)):
        for v in node.inputs:
            if v not in equivalents:
                equivalents[v] = clone_leaf(v) if copy_orphans else v
        made = clone_node(node, [equivalents[v] for v in node.inputs])
        equivalents.setdefault(node, made)
        for old, new in zip(node.outputs, made.outputs, strict=True):
            equivalents.setdefault(old, new)
    for v in wanted:
        if v not in equivalents:
            equivalents[v] = clone_leaf(v) if copy_orphans else v
    return equivalents


def clone(
    i: Sequence[Variable],
    o: Sequence[Variable],
    copy_inputs: bool = True,
    copy_orphans: bool | None = None,
) -> tuple[list[Variable], list[Variable]]:
    """A copy of the graph between inputs and outputs: its inputs and its outputs.

    copy_orphans: whether leaves that are no inputs are copied; None is `copy_inputs`.
    """
    orphans = copy_inputs if copy_orphans is None else copy_orphans
    equivalents = clone_get_equiv(i, o, copy_inputs, orphans)
    return [equivalents[v] for v in i], [equivalents[v] for v in o]
