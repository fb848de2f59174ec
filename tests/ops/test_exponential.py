"""Exponentials, logarithms, the reciprocal and the error function."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(4)
A = _rng.normal(size=(3, 4))
P = _rng.uniform(0.3, 2.5, size=(3, 4))
INTS = np.array([[1, 2, 7, 1], [3, 1, 4, 9]], "int64")
_erf, _erfc = np.vectorize(math.erf), np.vectorize(math.erfc)

CASES = [
    Case("exp2", T.exp2, np.exp2, (A * 3,)),
    Case("expm1", T.expm1, np.expm1, (A,)),
    Case("log2", T.log2, np.log2, (P,)),
    Case("log10", T.log10, np.log10, (P,)),
    Case("inv", T.inv, lambda x: 1 / x, (P,)),
    Case("erf", T.erf, _erf, (A,)),
    Case("erfc", T.erfc, _erfc, (A,)),
    Case(
        "gelu",
        lambda x: x * (1 + T.erf(x / 2**0.5)) / 2,
        lambda x: x * (1 + _erf(x / 2**0.5)) / 2,
        (A,),
    ),
    Case("exp2 of int64", T.exp2, np.exp2, (INTS,), dtype="float64"),
    Case("log2 of int64", T.log2, np.log2, (INTS,), dtype="float64"),
    Case("inv of int64", T.inv, lambda x: 1 / x, (INTS,), dtype="float64"),
    Case("erf of int64", T.erf, lambda x: _erf(x * 1.0), (INTS,), dtype="float64"),
]


test_value, test_gradient = make_tests(CASES)


def test_small_arguments_keep_their_digits(device: str) -> None:
    x = T.dvector("x")
    values = np.array([1e-20, -1e-300, 3e-9])
    results = evaluate(device, [x], [T.expm1(x), T.log1p(x), T.erf(x)], values)
    for result, slope in zip(results, (1, 1, 2 / math.sqrt(math.pi)), strict=True):
        np.testing.assert_allclose(result, values * slope, rtol=1e-8)
    tail = evaluate(device, [x], T.erfc(x), np.array([10.0, 20.0, 26.0]))
    np.testing.assert_allclose(tail, [math.erfc(v) for v in (10, 20, 26)], rtol=1e-15)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_logarithms_of_values_that_underflow(device: str, dtype: str) -> None:
    """Logarithms to other bases and log1p take the safe forms too."""
    x = T.matrix("x", dtype)
    values = np.array([[1000, 0, -1000]], dtype)
    p = T.nnet.softmax(x)
    outputs = [T.log2(p), T.log10(p), T.log1p(T.exp(x)), T.log1p(-T.nnet.sigmoid(x))]
    cost = T.sum(T.log2(p)[:, 1] + T.log10(p)[:, 2] + T.sum(outputs[2] + outputs[3], axis=1))
    *results, slopes = evaluate(device, [x], [*outputs, T.grad(cost, x)], values)
    shifted = np.array([[0, -1000, -2000]])
    softplus = np.array([[1000, np.log(2), 0]])
    expected = [shifted / np.log(2), shifted / np.log(10), softplus, -softplus]
    for result, exact in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, exact, rtol=1e-6)
    towards = 1 / np.log(2) + 1 / np.log(10)
    np.testing.assert_allclose(
        slopes, [[-towards, 1 / np.log(2), 1 / np.log(10)]], rtol=1e-6, atol=1e-6
    )


def test_the_slope_of_expm1_far_below_zero(device: str) -> None:
    x = T.dvector("x")
    slopes = evaluate(device, [x], T.grad(T.sum(T.expm1(x)), x), np.array([-50.0, -700.0]))
    np.testing.assert_allclose(slopes, np.exp([-50, -700]), rtol=1e-14)
