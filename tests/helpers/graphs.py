"""Graphs compared node by node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tinygrad_mnist import Variable
from tinygrad_mnist.compile.specialise import specialise
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.graph.variables import Constant
from tinygrad_mnist.printing import debugprint
from tinygrad_mnist.rewrite.engine import Context, Rule, apply_rules, params_key
from tinygrad_mnist.rewrite.simplify import fold_constants

ALL_KERNELS = frozenset(CONTRACTS)


def canonical(v: Variable, seen: dict[Variable, int] | None = None) -> Any:
    """Nested tuples, equal for two variables if and only if they are the same expression of the
    same leaves, with the same nodes shared inside.
    """
    seen = {} if seen is None else seen
    if v in seen:
        return seen[v]
    if isinstance(v, Constant):
        return ("constant", v.dtype, v.value.shape, v.value.tobytes())
    if v.node is None:
        return ("leaf", id(v))
    inputs = tuple(canonical(x, seen) for x in v.node.inputs)
    seen[v] = len(seen)
    return (v.node.op.name, v.index, params_key(v.node.params), v.type, inputs)


def assert_same_graph(result: Variable, expected: Variable, original: Variable) -> None:
    """Fails, and prints all three, where `result` is not the graph `expected`."""
    if canonical(result) != canonical(expected):
        texts = (debugprint(v, file="str", print_type=True) for v in (original, result, expected))
        raise AssertionError("original\n{}\nrewritten\n{}\nexpected\n{}".format(*texts))


def rewritten(
    outputs: Sequence[Variable],
    shapes: Mapping[Any, tuple[int, ...]],
    rules: Sequence[Rule],
    expected: Callable[..., Any],
    kernels: frozenset[str] = ALL_KERNELS,
) -> tuple[list[Variable], list[Variable], list[Variable], Context]:
    """Specialised `outputs` before and after `rules`, and `expected` of the specialised leaves."""
    special = specialise(outputs, shapes, {})
    context = Context(kernels)
    after = apply_rules(special.outputs, [*rules, fold_constants], context)
    wanted = expected(*(special.leaves[v] for v in shapes))
    wanted = list(wanted) if isinstance(wanted, tuple | list) else [wanted]
    # In any rewritten graph constants are folded and equal nodes are one.
    wanted = apply_rules(wanted, [fold_constants], Context(kernels))
    return list(special.outputs), after, wanted, context
