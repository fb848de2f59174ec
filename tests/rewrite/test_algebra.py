"""Rules of elementwise functions: what they rewrite, what they leave, and that numbers stay."""

from __future__ import annotations

import pytest
from helpers.rules import Case, case, check_numbers, check_rule

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.op import OPS
from tinygrad_mnist.rewrite.algebra import ALGEBRA

RULES = {rule.name: rule for rule in ALGEBRA}


CASES = [
    case("copies", "matrix", lambda x: T.exp(x.copy()), T.exp),
    case(
        "truths_where_they_are_made",
        "matrix",
        lambda x: (x > 0) & (x < 1),
        lambda x: OPS["logical_and"](x > 0, x < 1, dtype="bool", compute="float64"),
        "and",
    ),
    case(
        "truths_where_they_are_made",
        "matrix",
        lambda x: ~T.isnan(x),
        lambda x: OPS["logical_not"](T.isnan(x), dtype="bool", compute="float64"),
        "not",
    ),
    case(
        "truths_where_they_are_made",
        "matrix",
        lambda x: T.eq(x > 0, x < 1) | T.cast(x, "bool"),
        lambda x: OPS["logical_or"](
            OPS["eq"](x > 0, x < 1, dtype="bool", compute="float64"),
            T.cast(x, "bool"),
            dtype="bool",
            compute="float64",
        ),
        "or, on the way",
    ),
    case(
        "truths_where_they_are_made",
        "matrix",
        lambda x: T.cast(x, "bool") & T.eq(T.cast(x, "int32"), 2),
        None,
        "of integers",
    ),
    case(
        "truths_where_they_are_made",
        "matrix",
        lambda x: T.eq(T.floor(x), T.ceil(x)),
        None,
        "numbers",
    ),
    *(
        case("done_already", "matrix", lambda x, f=f: f(f(x)), f, f.__name__)
        for f in (T.floor, T.ceil, T.trunc, T.round, T.abs_, T.sgn)
    ),
    case("done_already", "matrix", lambda x: T.floor(T.ceil(x)), None, "two kinds"),
    case(
        "done_already",
        "matrix",
        lambda x: T.round(T.round(x, "half_away_from_zero"), "half_to_even"),
        None,
        "two modes",
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_rule(case: Case) -> None:
    check_rule(RULES[case.rule], case)


@pytest.mark.parametrize("case", CASES)
def test_numbers_stay(case: Case) -> None:
    check_numbers(case)


def test_every_rule_has_a_case() -> None:
    assert {param.values[0].rule for param in CASES} == set(RULES)
