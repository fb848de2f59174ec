"""Walks over graphs: topological order, inputs, substitution."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from tinygrad_mnist.graph.source import on_behalf_of
from tinygrad_mnist.graph.variables import Node, Variable


def toposort(
    outputs: Iterable[Variable], up_to: Container[Variable] = (), lazily: bool = False
) -> list[Node]:
    """The nodes that `outputs` depend on, each after those it depends on. The walk stops at the
    variables in `up_to`. lazily: of the inputs of a lazy op, only the first counts."""
    order: list[Node] = []
    opened: set[Node] = set()  # nodes whose inputs are on the stack, or done
    done: set[Node] = set()
    for output in outputs:
        if output.node is None or output in up_to:
            continue
        stack = [output.node]
        while stack:
            node = stack[-1]
            if node in opened:
                stack.pop()
                if node not in done:
                    done.add(node)
                    order.append(node)
                continue
            opened.add(node)
            inputs = node.inputs[:1] if lazily and node.op.lazy else node.inputs
            for v in reversed(inputs):
                parent = v.node
                if parent is not None and parent not in done and v not in up_to:
                    stack.append(parent)
    return order


def leaves(outputs: Sequence[Variable]) -> list[Variable]:
    """Inputs, constants and shared variables that `outputs` depend on, in order of first use."""
    found: dict[Variable, None] = {}
    for node in toposort(outputs):
        for v in node.inputs:
            if v.node is None:
                found.setdefault(v)
    for v in outputs:
        if v.node is None:
            found.setdefault(v)
    return list(found)


def mentions(outputs: Sequence[Variable]) -> set[Variable]:
    """What `outputs` are made from though their values don't depend on it, with all that leads
    there: the scalar `x` in `zeros_like(x)`. See `Variable.mentions`."""
    found: set[Variable] = set()
    visited: set[Node] = set()
    pending: Sequence[Variable] = outputs
    while pending:
        nodes = [node for node in toposort(pending) if node not in visited]
        visited.update(nodes)
        around = {*pending, *(v for node in nodes for v in (*node.inputs, *node.outputs))}
        if pending is not outputs:
            found |= around
        pending = [u for v in around for u in v.mentions]
    return found


def substitute(
    outputs: Sequence[Variable], replacements: Mapping[Variable, Variable]
) -> list[Variable]:
    """`outputs` with variables replaced throughout; names and the user's lines stay."""
    if not replacements:
        return list(outputs)
    mapped: dict[Variable, Variable] = dict(replacements)
    for node in toposort(outputs, up_to=replacements):
        inputs = [mapped.get(v, v) for v in node.inputs]
        if all(new is old for new, old in zip(inputs, node.inputs, strict=True)):
            continue
        with on_behalf_of(node.origins):
            copy = node.op.rebuild(inputs, node.params)
        for old, new in zip(node.outputs, copy.outputs, strict=True):
            new.name = old.name
            mapped.setdefault(old, new)
    return [mapped.get(v, v) for v in outputs]
