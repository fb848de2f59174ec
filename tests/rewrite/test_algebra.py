"""Rules of elementwise functions: what they rewrite, what they leave, and that numbers stay."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.expressions import evaluate
from helpers.rules import Case, case, check_numbers, check_rule

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.op import OPS
from tinygrad_mnist.ops.elementwise import log as plain_log
from tinygrad_mnist.rewrite.algebra import ALGEBRA

RULES = {rule.name: rule for rule in ALGEBRA}


CASES = [
    case("remove_identity", "matrix", lambda x: T.exp(x.copy()), T.exp),
    case(
        "match_logic_dtype",
        "matrix",
        lambda x: (x > 0) & (x < 1),
        lambda x: OPS["logical_and"](x > 0, x < 1, dtype="bool", compute="float64"),
        "and",
    ),
    case(
        "match_logic_dtype",
        "matrix",
        lambda x: ~T.isnan(x),
        lambda x: OPS["logical_not"](T.isnan(x), dtype="bool", compute="float64"),
        "not",
    ),
    case(
        "match_logic_dtype",
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
        "match_logic_dtype",
        "matrix",
        lambda x: T.cast(x, "bool") & T.eq(T.cast(x, "int32"), 2),
        None,
        "of integers",
    ),
    case(
        "match_logic_dtype",
        "matrix",
        lambda x: T.eq(T.floor(x), T.ceil(x)),
        None,
        "numbers",
    ),
    *(
        case("idempotent", "matrix", lambda x, f=f: f(f(x)), f, f.__name__)
        for f in (T.floor, T.ceil, T.trunc, T.round, T.abs_, T.sgn)
    ),
    case("idempotent", "matrix", lambda x: T.floor(T.ceil(x)), None, "two kinds"),
    case("root_of_a_square", "matrix", lambda x: T.sqrt(T.sqr(x)), T.abs_),
    case("root_of_a_square", "matrix", lambda x: T.sqr(T.sqrt(x)), None, "square of a root"),
    case(
        "root_of_a_square", "matrix", lambda x: T.sqrt(T.sqr(T.cast(x, "int8"))), None, "may wrap"
    ),
    *(
        case(
            "inverse_pair",
            "matrix",
            lambda x, f=f, g=g: g(f(x)) + 0.5,
            lambda x: x + 0.5,
            g.__name__,
        )
        for g, f in (
            (plain_log, T.exp),
            (T.log2, T.exp2),
            (T.log1p, T.expm1),
            (T.arcsinh, T.sinh),
            (T.arctanh, T.tanh),
        )
    ),
    case("inverse_pair", "matrix", lambda x: T.exp(T.log(x)), None, "not of all numbers"),
    case("inverse_pair", "matrix", lambda x: T.log2(T.exp(x)), None, "another base"),
    case("difference_from_one", "matrix", lambda x: 1 - T.erf(x), T.erfc, "1 - erf"),
    case("difference_from_one", "matrix", lambda x: T.erf(x) - 1, lambda x: -T.erfc(x), "erf - 1"),
    case("difference_from_one", "matrix", lambda x: 1 - T.erfc(x), T.erf, "1 - erfc"),
    case("difference_from_one", "matrix", lambda x: 2 - T.erf(x), None, "2 - erf"),
    case("difference_from_one", "matrix", lambda x: 1 - T.tanh(x), None, "1 - tanh"),
    case(
        "idempotent",
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


def test_small_numbers_keep_their_bits() -> None:
    x = T.fvector("x")
    values = np.float32([1e-10, -3e-6, 2e-3])
    wide = values.astype("float64")
    outputs = [T.log(1 + x), T.exp(x) - 1, 1 - T.erf(x + 5), T.sqrt(T.sqr(x * 1e-25))]
    logs, powers, tails, sizes = evaluate("cpu", [x], outputs, values)
    np.testing.assert_allclose(logs, np.log1p(wide), rtol=1e-7)
    np.testing.assert_allclose(powers, np.expm1(wide), rtol=1e-7)
    np.testing.assert_allclose(tails, [math.erfc(v) for v in np.float32(values + 5)], rtol=1e-6)
    np.testing.assert_allclose(sizes, np.abs(wide) * 1e-25, rtol=1e-6)
