"""Gradients of one part of a graph after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_mnist.autodiff.reverse import grad
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import add


def subgraph_grad(
    wrt: Sequence[Variable],
    end: Sequence[Variable],
    start: Mapping[Variable, Variable] | None = None,
    cost: Variable | None = None,
    details: bool = False,
) -> Any:
    """The gradients of one part of a graph, for programs that go through it part by part.

    wrt, end: lists of variables. Gradients pass from `cost`, and from the keys of `start` with the
    gradients that are its values, to all of `wrt` and `end`, but not through `end`. What neither
    depends on has zeros.

    Returns the lists of gradients of `wrt` and of `end`. With `details` there are two more: the
    gradients of `wrt` and `end` together, each variable once, from `start` alone and from `cost`
    alone; a list is None where there is no `start` or `cost`.
    """
    if start is None and cost is None:
        raise GraphTypeError("subgraph_grad needs start or cost")
    variables = list(dict.fromkeys((*wrt, *end)))
    ends = list(end)
    from_start = from_cost = None
    if start is not None:
        from_start = grad(None, variables, ends, "ignore", known_grads=start)
    if cost is not None:
        from_cost = grad(cost, variables, ends, "ignore")
    parts = [part for part in (from_start, from_cost) if part is not None]
    sums = parts[0] if len(parts) == 1 else [add(a, b) for a, b in zip(*parts, strict=True)]
    of = dict(zip(variables, sums, strict=True))
    results = [of[v] for v in wrt], [of[v] for v in end]
    return (*results, from_start, from_cost) if details else results
