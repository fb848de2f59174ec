"""Reductions: values, gradients, dtypes, ties, NaN, empty arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, check_forward, check_gradient, evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(2)
A = _rng.normal(size=(2, 3, 4))
P = _rng.uniform(0.5, 1.5, size=(2, 3, 4))
M = _rng.normal(size=(3, 5))
INTS = np.array([[3, -7, 0], [2, 1, -1]], "int32")

AXES: list[Any] = [None, 0, 1, -1, (0, 2), (1, 2), (0, 1, 2), ()]
CASES = [
    Case(
        f"{name} over {axis}{' kept' if keep else ''}",
        lambda x, word=word, axis=axis, keep=keep: word(x, axis=axis, keepdims=keep),
        lambda x, f=function, axis=axis, keep=keep: f(x, axis=axis, keepdims=keep),
        (values,),
    )
    for name, word, function, values in (
        ("sum", T.sum, np.sum, A),
        ("prod", T.prod, np.prod, P),
        ("max", T.max, np.max, A),
        ("min", T.min, np.min, A),
        ("mean", T.mean, np.mean, A),
    )
    for axis in AXES
    for keep in (False, True)
]
CASES += [
    Case(
        f"argmax over {axis}{' kept' if keep else ''}",
        lambda x, axis=axis, keep=keep: T.argmax(x, axis=axis, keepdims=keep),
        lambda x, axis=axis, keep=keep: np.argmax(x, axis=axis, keepdims=keep),
        (A,),
        dtype="int64",
        gradient=False,
    )
    for axis in (None, 0, 1, -1)
    for keep in (False, True)
]
CASES += [
    Case("sum of a transpose", lambda x: T.sum(x.T, axis=0), lambda x: x.T.sum(axis=0), (M,)),
    Case(
        "max of a product",
        lambda x: T.max(x * x, axis=1) * 2,
        lambda x: (x * x).max(axis=1) * 2,
        (M,),
    ),
    Case("sum of a scalar", lambda x: T.sum(x), np.sum, (np.asarray(1.5),)),
    Case(
        "softmax by hand",
        lambda x: T.exp(x) / T.sum(T.exp(x), axis=1, keepdims=True),
        lambda x: np.exp(x) / np.exp(x).sum(axis=1, keepdims=True),
        (M,),
    ),
    Case("sum of a row", lambda x: T.sum(x, axis=0), lambda x: x.sum(axis=0), (M[:1],), (0,)),
    Case(
        "variance",
        lambda x: T.mean((x - T.mean(x)) ** 2),
        lambda x: np.mean((x - x.mean()) ** 2),
        (M,),
    ),
    Case("methods", lambda x: x.sum(0).max(), lambda x: x.sum(0).max(), (M,)),
    Case(
        "x.mean", lambda x: x.mean(axis=1, keepdims=True), lambda x: x.mean(1, keepdims=True), (M,)
    ),
    Case("sum of integers", T.sum, np.sum, (INTS,), dtype="int64", gradient=False),
    Case("prod of integers", T.prod, np.prod, (INTS,), dtype="int64", gradient=False),
    Case("max of integers", T.max, np.max, (INTS,), dtype="int32", gradient=False),
    Case("min of integers", T.min, np.min, (INTS,), dtype="int32", gradient=False),
    Case("mean of integers", T.mean, np.mean, (INTS,), dtype="float64", gradient=False),
    Case("argmax of integers", T.argmax, np.argmax, (INTS,), dtype="int64", gradient=False),
    Case(
        "sum of bools",
        lambda x: T.sum(x > 0),
        lambda x: (x > 0).sum(),
        (M,),
        dtype="int64",
        gradient=False,
    ),
    Case(
        "mean of bools",
        lambda x: T.mean(T.eq(x, 1)),
        lambda x: (x == 1).mean(),
        (INTS,),
        dtype="float64",
        gradient=False,
    ),
    Case(
        "max of bools",
        lambda x: T.max(x > 0, axis=1),
        lambda x: (x > 0).max(axis=1),
        (M,),
        dtype="bool",
        gradient=False,
    ),
    Case(
        "sum of int8 as int8",
        lambda x: T.sum(T.cast(x, "int8"), dtype="int8"),
        lambda x: x.sum(),
        (INTS,),
        dtype="int64",
        gradient=False,
    ),
    Case(
        "sum in float64",
        lambda x: T.sum(x, dtype="float64"),
        np.sum,
        (M,),
        dtype="float64",
        gradient=False,
    ),
    Case(
        "mean of integers in float32",
        lambda x: T.mean(x, dtype="float32"),
        np.mean,
        (INTS,),
        dtype="float32",
        gradient=False,
    ),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_value(case: Case, device: str, dtype: str) -> None:
    check_forward(case, device, dtype)


@pytest.mark.parametrize("case", [c for c in CASES if c.gradient], ids=str)
def test_gradient(case: Case, device: str) -> None:
    check_gradient(case, device)


def gradient_of(device: str, function: Callable[..., Any], values: Any) -> Any:
    x = T.tensor("float64", [False] * np.ndim(values), "x")
    return evaluate(device, [x], T.grad(T.sum(function(x)), x), np.asarray(values, "float64"))


def test_max_sends_its_gradient_whole_to_every_winner(device: str) -> None:
    values = [[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]]
    np.testing.assert_array_equal(
        gradient_of(device, lambda x: T.max(x, axis=1), values), [[0, 1, 1], [1, 1, 1]]
    )
    np.testing.assert_array_equal(gradient_of(device, T.max, values), [[0, 1, 1], [0, 0, 0]])


def test_min_sends_its_gradient_whole_to_every_winner(device: str) -> None:
    values = [[1.0, 3.0, 1.0], [2.0, 2.0, 2.0]]
    np.testing.assert_array_equal(
        gradient_of(device, lambda x: T.min(x, axis=1), values), [[1, 0, 1], [1, 1, 1]]
    )


def test_prod_has_a_gradient_at_zeros(device: str) -> None:
    values = [[2.0, 0.0, 3.0], [0.0, 0.0, 5.0], [1.0, 2.0, 4.0]]
    np.testing.assert_array_equal(
        gradient_of(device, lambda x: T.prod(x, axis=1), values),
        [[0, 6, 0], [0, 0, 0], [8, 4, 2]],
    )


@pytest.mark.parametrize("name", ["max", "min", "sum", "mean", "prod"])
def test_nan_propagates(device: str, name: str) -> None:
    x = T.dmatrix("x")
    values = np.array([[1.0, np.nan, 2.0], [1.0, 2.0, 3.0]])
    result = evaluate(device, [x], getattr(T, name)(x, axis=1), values)
    assert np.isnan(result).tolist() == [True, False]


def test_argmax_takes_the_first_of_equal_ones_and_nan_first_of_all(device: str) -> None:
    x = T.dmatrix("x")
    values = np.array([[1.0, 3.0, 3.0], [5.0, np.nan, np.nan], [-np.inf] * 3])
    result = evaluate(device, [x], T.argmax(x, axis=1), values)
    np.testing.assert_array_equal(result, [1, 1, 0])


def test_sum_and_prod_of_nothing(device: str) -> None:
    x = T.dmatrix("x")
    results = evaluate(device, [x], [T.sum(x, axis=0), T.prod(x, axis=0)], np.zeros((0, 3)))
    np.testing.assert_array_equal(results[0], np.zeros(3))
    np.testing.assert_array_equal(results[1], np.ones(3))


@pytest.mark.parametrize("word", [T.max, T.min, lambda x: T.argmax(x, axis=0)])
def test_greatest_and_least_of_nothing_are_errors(device: str, word: Callable[..., Any]) -> None:
    x = T.dvector("x")
    function = theano.function([x], word(x))
    with pytest.raises(ValueError, match="of no elements"):
        function(np.zeros(0))


def test_a_float32_sum_of_many_is_exact_enough(device: str) -> None:
    x = T.fvector("x")
    values = np.random.default_rng(3).uniform(size=100_000).astype("float32")
    result = evaluate(device, [x], T.sum(x), values)
    assert result == pytest.approx(values.astype("float64").sum(), rel=1e-6)


@pytest.mark.parametrize(
    ("axis", "message"),
    [(2, "axis 2 is out of range"), ((0, -2), "named twice"), (0.5, "'float' object|integer")],
)
def test_bad_axes(axis: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        T.sum(T.matrix("x"), axis=axis)
