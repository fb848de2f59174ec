"""Provenance: the lines from which the nodes that a rule has made come.

A rule makes nodes on behalf of one node (`source.on_behalf_of`), but often it replaces several: a
node and some of those that it is computed from. These are found here, by what the new nodes read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tinygrad_mnist.graph.source import Origins, merged
from tinygrad_mnist.graph.variables import Constant, Node, Variable

# How far a rule looks: levels of nodes, and nodes in all. Beyond them nothing is searched for.
_LEVELS, _NODES = 6, 64


def inherit_origins(
    node: Node,
    origins: Origins,
    operands: Sequence[Variable],
    results: Sequence[Variable],
    made: Sequence[Node],
) -> None:
    """Gives the nodes that replace `node` the origins of all nodes that they replace.

    origins: those of `node` and of the nodes that joined it. operands: its inputs in the new graph.
    results: what its results became. made: nodes that were made for it, with `origins`. They
    replace `node` and the nodes between its operands and what they read. Views do no work: their
    lines go to views only. A result that was there before, and is no part of what `node` is
    computed from, does its work from now on.
    """
    fresh = _reached(results, made)
    reads = {v for n in fresh for v in n.inputs if not (v.node in fresh or isinstance(v, Constant))}
    unread = [v for v in operands if v.node is not None and v not in reads]
    if unread and reads:
        between = _between(unread, reads, reads.difference(operands) or reads)
        _share(fresh, [(_is_view(node), origins), *((_is_view(n), n.origins) for n in between)])
    for v in results:
        if v.node is None or v.node in fresh or v in operands:
            continue
        if not _between(unread, {v}, {v}):
            v.node.origins = merged(v.node.origins, origins)


def _reached(results: Sequence[Variable], made: Sequence[Node]) -> dict[Node, None]:
    """Those of the nodes made on which the results depend."""
    left = dict.fromkeys(made)
    found: dict[Node, None] = {}
    stack = [v.node for v in results]
    while stack:
        node = stack.pop()
        if node in left and node not in found:
            found[node] = None
            stack.extend(v.node for v in node.inputs)
    return found


def _between(
    operands: Sequence[Variable], reads: Collection[Variable], wanted: Collection[Variable]
) -> list[Node]:
    """The nodes on the ways from `operands` up to `reads`; ends where all in `wanted` are found."""
    seen: dict[Node, None] = {}
    left = set(wanted)
    level = list(operands)
    for _ in range(_LEVELS):
        nodes = dict.fromkeys(v.node for v in level if v not in reads and v.node is not None)
        fresh = [n for n in nodes if n not in seen]
        seen.update(dict.fromkeys(fresh))
        level = [v for n in fresh for v in n.inputs]
        left.difference_update(level)
        if not (left and level) or len(seen) > _NODES:
            break
    between: dict[Node, None] = {}
    for node in reversed(seen):
        if any(v in reads or v.node in between for v in node.inputs):
            between[node] = None
    return list(between)


def _share(fresh: Collection[Node], replaced: Sequence[tuple[bool, Origins]]) -> None:
    """Gives each new node the lines of the replaced ones of its kind: views, or ops that work."""
    for views in (False, True):
        alike = [origins for is_view, origins in replaced if is_view is views]
        if alike:
            for n in fresh:
                if _is_view(n) is views:
                    n.origins = merged(*alike)


def _is_view(node: Node) -> bool:
    return node.op.view is not None
