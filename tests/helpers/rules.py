"""Cases of rewrite rules: an expression, and the graph that one rule makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from helpers.expressions import evaluate
from helpers.graphs import assert_same_graph, rewritten

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.rewrite.engine import Rule

SHAPES: dict[str, tuple[tuple[bool, ...], tuple[int, ...]]] = {
    "matrix": ((False, False), (3, 4)),
    "row": ((True, False), (1, 4)),
    "vector": ((False,), (4,)),
    "image": ((False, False, False), (2, 1, 4)),
}


class Case(NamedTuple):
    """A rule, an expression of inputs of the kinds named, and what it becomes.

    after: of the specialised inputs; None where the rule must not fire.
    """

    rule: str
    kinds: tuple[str, ...]
    before: Callable[..., Any]
    after: Callable[..., Any] | None
    name: str


def case(rule: str, kinds: str, before: Any, after: Any, name: str = "") -> Any:
    words = tuple(kinds.split())
    return pytest.param(Case(rule, words, before, after, name), id=f"{rule} {name}".strip())


def check_rule(rule: Rule, case: Case) -> None:
    """The rule makes of the expression what the case says, or leaves it."""
    inputs = {
        T.tensor("float64", SHAPES[kind][0], f"x{i}"): SHAPES[kind][1]
        for i, kind in enumerate(case.kinds)
    }
    made = case.before(*inputs)
    outputs = list(made) if isinstance(made, tuple) else [made]
    before, after, expected, context = rewritten(
        outputs, inputs, [rule], case.after or (lambda *leaves: [])
    )
    assert (context.fired[rule.name] > 0) == (case.after is not None)
    if case.after:
        for old, new, wanted in zip(before, after, expected, strict=True):
            assert_same_graph(new, wanted, old)


def check_numbers(case: Case) -> None:
    """Every rule and fusion together leave the expression's numbers as they are."""
    rng = np.random.default_rng(1)
    shapes = [SHAPES[kind] for kind in case.kinds]
    inputs = [T.tensor("float64", flags, f"x{i}") for i, (flags, _) in enumerate(shapes)]
    values = [rng.uniform(0.1, 2, size=shape) for _, shape in shapes]
    made = case.before(*inputs)
    outputs = list(made) if isinstance(made, tuple) else [made]
    plain, fused = (
        evaluate(device, inputs, outputs, *values, on_unused_input="ignore")
        for device in ("reference", "fused")
    )
    for result, expected in zip(fused, plain, strict=True):
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-14)
