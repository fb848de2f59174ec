"""Rules for arrays that are zero but for some regions, and what they save in an update."""

from __future__ import annotations

import functools
import operator
from itertools import islice, product
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate
from helpers.rules import Case, case, check_numbers, check_rule

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import Variable
from tinygrad_mnist.graph.layout import StaticSlice
from tinygrad_mnist.graph.op import OPS, constant
from tinygrad_mnist.ops.shape import static_broadcast, static_reshape
from tinygrad_mnist.ops.slices import assemble, static_slice
from tinygrad_mnist.rewrite.sparse import SPARSE

RULES = {rule.name: rule for rule in SPARSE}
PICKS = np.array([4, 0, 4])


def zeros(n: int) -> Variable:
    return T.zeros((n, 4), "float64")


def put(n: int, rows: Variable, at: int) -> Variable:
    """Zeros (n, 4) with three rows put over them."""
    return T.set_subtensor(zeros(n)[at : at + 3], rows)


def scatter(rows: Variable) -> Variable:
    """Zeros (9, 4) with rows added, two of them to the same."""
    return T.inc_subtensor(zeros(9)[PICKS], rows)


def number(value: float) -> Variable:
    return static_reshape(constant(value, "float64"), (1, 1), (True, True))


def filled(n: int) -> Variable:
    return static_broadcast(constant(np.zeros(())), (n, 4))


def with_rows(n: int, base: Variable | None, *parts: tuple[Variable, int]) -> Variable:
    """What `put` becomes, with several parts and over any base."""
    whole = StaticSlice.whole((n, 4))
    regions = [(part, whole.along(0, at, 3)) for part, at in parts]
    return assemble(base, regions, (n, 4), (False, False))


def rows_of(x: Variable, at: int) -> Variable:
    return static_slice(x, StaticSlice.whole(x.type.static_shape).along(0, at, 3), (False, False))


def with_added(base: Variable, rows: Variable) -> Variable:
    return OPS["scatter_add"](
        base,
        rows,
        constant(PICKS),
        n_index=1,
        axis=0,
        region=StaticSlice.whole((9, 4)),
        axes=(0,),
    )


def tall(x: Variable) -> Variable:
    """An expression (9, 4)."""
    return T.concatenate([x, x, x])


def thrice(x: Variable) -> Variable:
    """What `tall` becomes."""
    return with_rows(9, None, (x, 0), (x, 3), (x, 6))


CASES = [
    case(
        "add_disjoint_parts",
        "matrix",
        lambda x: put(9, x, 0) + put(9, T.exp(x), 4),
        lambda x: with_rows(9, filled(9), (x, 0), (T.exp(x), 4)),
    ),
    case(
        "add_disjoint_parts",
        "matrix",
        lambda x: put(6, T.exp(x), 3) + put(6, x, 0),
        lambda x: with_rows(6, None, (T.exp(x), 3), (x, 0)),
        "that cover everything",
    ),
    case(
        "add_disjoint_parts",
        "matrix",
        lambda x: put(9, x, 0) + put(9, T.exp(x), 2),
        None,
        "that overlap",
    ),
    case(
        "negate_places",
        "matrix",
        lambda x: -put(9, x, 2),
        lambda x: with_rows(9, filled(9), (-x, 2)),
    ),
    case(
        "scale_places",
        "matrix",
        lambda x: 0.5 * put(9, x, 2),
        lambda x: with_rows(9, filled(9), (x * number(0.5), 2)),
    ),
    case(
        "scale_places",
        "matrix",
        lambda x: scatter(x) * 0.5,
        lambda x: with_added(filled(9), x * number(0.5)),
        "of added rows",
    ),
    case("scale_places", "matrix", lambda x: scatter(x) * np.inf, None, "by infinity"),
    case("scale_places", "matrix", lambda x: scatter(x) * tall(x), None, "by an array"),
    case(
        "divide_places",
        "matrix",
        lambda x: scatter(x) / 8,
        lambda x: with_added(filled(9), x / number(8)),
    ),
    case("divide_places", "matrix", lambda x: scatter(x) / 0, None, "by zero"),
    case("divide_places", "matrix", lambda x: 1 / (1 + scatter(x)), None, "of a number"),
    case(
        "add_to_places",
        "matrix",
        lambda x: put(9, T.exp(x), 2) + tall(x),
        lambda x: with_rows(9, thrice(x), (rows_of(thrice(x), 2) + T.exp(x), 2)),
    ),
    case(
        "add_to_places",
        "matrix",
        lambda x: tall(x) - scatter(x),
        lambda x: with_added(thrice(x), -x),
        "less added rows",
    ),
    case("add_to_places", "matrix", lambda x: scatter(x) - tall(x), None, "less an array"),
    case(
        "add_to_places",
        "matrix row",
        lambda x, y: y + scatter(x),
        None,
        "to a row that stretches",
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


def test_a_step_on_some_rows_of_a_large_variable_touches_no_others(device: str) -> None:
    """Gradient descent on an embedding, written as for any other variable."""
    rng = np.random.default_rng(2)
    table, weights = rng.normal(size=(3000, 6)), rng.normal(size=(6, 4))
    words, labels = np.array([7, -1, 7]), np.array([0, 3, 1], "int32")
    e, w = theano.shared(table, "e"), theano.shared(weights, "w")
    rate = theano.shared(0.1, "rate")
    i, y = T.lvector("i"), T.ivector("y")
    p = T.nnet.softmax(T.dot(e[i], w))
    cost = T.mean(T.nnet.categorical_crossentropy(p, y))
    updates = [(v, v - rate * T.grad(cost, v)) for v in (e, w)]
    function = theano.function([i, y], cost, updates=updates)
    function(words, labels)

    picked = table[words]
    power = np.exp(picked @ weights)
    g = (power / power.sum(axis=1, keepdims=True) - np.eye(4)[labels]) / 3
    np.testing.assert_allclose(w.get_value(), weights - 0.1 * picked.T @ g, rtol=1e-12)
    np.add.at(table, words, -0.1 * g @ weights.T)
    np.testing.assert_allclose(e.get_value(), table, rtol=1e-12)
    if device == "cpu":
        assert function.plan.arena_bytes < 2000
        assert sum(call.nbytes for call in function.plan.calls) < 5000


def test_a_step_on_a_slice_is_one_call() -> None:
    w, k = theano.shared(np.ones((100, 3)), "w"), T.lscalar("k")
    cost = T.sum(T.sqr(w[k : k + 2]))
    function = theano.function([k], updates=[(w, w - 0.25 * T.grad(cost, w))])
    function(5)
    expected = np.ones((100, 3))
    expected[5:7] = 0.5
    np.testing.assert_array_equal(w.get_value(), expected)
    assert len(function.plan.calls) == 1
    assert function.plan.calls[0].outputs[0].layout.shape == (2, 3)


@pytest.mark.parametrize("n", [3, 40])
def test_the_gradient_of_many_elements(device: str, n: int) -> None:
    x = T.dvector("x")
    total: Any = 0.0
    for k in range(n):
        total = total + (k + 1) * x[k]
    gradient = evaluate(device, [x], T.grad(total, x), np.ones(50))
    np.testing.assert_array_equal(gradient, np.r_[np.arange(1.0, n + 1), np.zeros(50 - n)])


# Terms of sums over six elements, and what they are in NumPy: of parts, of whole arrays, and both.
def _part(low: int, high: int) -> tuple[Any, Any]:
    def expected(x: Any, a: Any) -> Any:
        whole = np.zeros(6)
        whole[low:high] = a[low:high]
        return whole

    return lambda x, a: T.set_subtensor(T.zeros_like(x)[low:high], a[low:high]), expected


TERMS: dict[str, tuple[Any, Any]] = {
    "whole": (lambda x, a: x, lambda x, a: x),
    "computed": (lambda x, a: T.exp(x), lambda x, a: np.exp(x)),
    "first": _part(0, 2),
    "middle": _part(2, 4),
    "last": _part(4, 6),
    "over both": _part(1, 4),
    "over all": _part(0, 6),
    "whole and first": (
        lambda x, a: x + TERMS["first"][0](x, a),
        lambda x, a: x + TERMS["first"][1](x, a),
    ),
}


@pytest.mark.parametrize(
    "names", [*product(TERMS, repeat=2), *islice(product(TERMS, repeat=3), 0, None, 17)]
)
def test_sums_of_parts_and_whole_arrays(names: tuple[str, ...]) -> None:
    x, a = T.dvectors("x", "a")
    values = np.linspace(-1, 1, 6), np.arange(6.0) + 1
    total = functools.reduce(operator.add, (TERMS[name][0](x, a) for name in names))
    expected = sum(TERMS[name][1](*values) for name in names)
    found = evaluate("fused", [x, a], total, *values, on_unused_input="ignore")
    np.testing.assert_allclose(found, expected, rtol=1e-14)
