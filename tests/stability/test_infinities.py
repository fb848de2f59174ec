"""Infinities and NaN of the program stay, and nothing finite becomes one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.stable import DTYPES, AnyArray, as_written, mp

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

Binary = Callable[[Any, Any], Any]
SPECIAL = [np.nan, np.inf, -np.inf, -2.0, 0.0, 1.5]
# Whatever x and y are, finite or not, the stable form is what the program computes.
SAME: dict[str, Binary] = {
    "quotient of equals": lambda x, y: T.exp(x) / T.exp(x) + 0 * y,
    "its log": lambda x, y: T.log(T.exp(x) / T.exp(x)) + 0 * y,
    "product of inverses": lambda x, y: T.exp(x) * T.exp(-x) + 0 * y,
    "its log ": lambda x, y: T.log(T.exp(x) * T.exp(-x)) + 0 * y,
    "quotient of ones": lambda x, y: (T.exp(x) * T.exp(-x)) / (T.exp(y) * T.exp(-y)),
    "times y": lambda x, y: y * T.exp(x) / T.exp(x),
    "times exp(y)": lambda x, y: T.log(T.exp(x) * T.exp(y) / T.exp(x)),
    "power": lambda x, y: T.sqrt(T.exp(x) / T.exp(x)) * T.exp(y),
    "sum less a term": lambda x, y: T.exp(x) + T.exp(y) - T.exp(x),
    "its log  ": lambda x, y: T.log(T.exp(x) + T.exp(y) - T.exp(x)),
    "less a plain term": lambda x, y: y + T.exp(x) - y,
    "less a product": lambda x, y: y * T.exp(x) + T.exp(y) - y * T.exp(x),
    "more than an exponential": lambda x, y: (y + T.exp(x)) - T.exp(x),
    "log of weighted terms": lambda x, y: T.log(y * T.exp(x) + T.exp(y)),
    "log of a weighted sum": lambda x, y: T.log(T.sum(y * T.exp(x), axis=1)),
    "log of a sum": lambda x, y: T.log(T.sum(T.exp(x), axis=1) + T.exp(y[:, 0])),
    "log of a plain term": lambda x, y: T.log(T.exp(x) + y),
    "quotient of a sum": lambda x, y: (T.exp(x) + y) / (1 + T.exp(y) + x),
    "weighted mean": lambda x, y: T.sum(y * T.exp(x), axis=1) / T.sum(T.exp(x), axis=1),
    "log of a difference": lambda x, y: T.log(T.exp(x) - T.exp(y)),
    "difference": lambda x, y: T.exp(x) - T.exp(y),
    "y * log(x)": lambda x, y: y * (T.log(T.exp(x)) + 1),
}
GRID = np.array([[a, b, c] for a in SPECIAL for b in SPECIAL for c in SPECIAL])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", SAME)
def test_values_stay(form: str, dtype: str) -> None:
    x, y = T.matrix("x", dtype=dtype), T.matrix("y", dtype=dtype)
    pairs = [GRID[:, :2].astype(dtype), GRID[:, 1:].astype(dtype)]
    with as_written():
        plain = theano.function([x, y], SAME[form](x, y))(*pairs)
    result = theano.function([x, y], SAME[form](x, y))(*pairs)
    np.testing.assert_allclose(result, plain, 100 * np.finfo(dtype).eps, 8 * np.finfo(dtype).eps)


# --- 0 * log(0) -----------------------------------------------------------------------------------

LOGS: dict[str, Binary] = {
    "y * log(x)": lambda x, y: y * T.log(x),
    "log(x) * y": lambda x, y: T.log(x) * y,
    "y * -log(x)": lambda x, y: y * -T.log(x),
    "y * log1p": lambda x, y: y * T.log1p(x - 1),
    "y * log2(x) / 3": lambda x, y: y * (T.log2(x) / 3.0),
    "y * log(x) / 0": lambda x, y: y * (T.log(x) / 0.0),
    "flipped": lambda x, y: y * T.log(x[::-1])[::-1],
    "y * (log(2) + x)": lambda x, y: y * (T.log(2.0) + x),
    "y * (log(x) - log(2))": lambda x, y: y * (T.log(x) - T.log(2.0)),
    "y * (3 - log10(x))": lambda x, y: y * (3 - T.log10(x)),
    "broadcast": lambda x, y: (y.dimshuffle(0, "x") * T.log(x.dimshuffle(0, "x")))[:, 0],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", LOGS)
def test_only_a_logarithm_of_0_counts_as_finite(form: str, dtype: str) -> None:
    x, y = T.vector("x", dtype=dtype), T.vector("y", dtype=dtype)
    pairs = np.array([(a, b) for a in (*SPECIAL, 1.0) for b in SPECIAL], dtype).T
    with as_written():
        plain = theano.function([x, y], LOGS[form](x, y))(*pairs)
    result = theano.function([x, y], LOGS[form](x, y))(*pairs)
    is_0 = (pairs[0] == 0) & (pairs[1] == 0) & (form != "y * (log(2) + x)")
    np.testing.assert_allclose(result, np.where(is_0, 0, plain), 1e-6)


# --- gradients by the weights of a sum ------------------------------------------------------------

LARGEST = {"float32": 88.0, "float64": 709.0}
WEIGHTED: dict[str, Binary] = {
    "sum": lambda w, x: T.log(T.sum(w * T.exp(x))),
    "terms": lambda w, x: T.log(w[0] * T.exp(x[0]) + w[1] * T.exp(x[1])),
    "mean": lambda w, x: T.log(T.mean(w * T.exp(x)) * 2),
    "-log of the inverse": lambda w, x: -T.log(1 / T.sum(w * T.exp(x))),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", WEIGHTED)
def test_the_gradient_by_a_weight_of_0(form: str, dtype: str) -> None:
    """It is exp(x) / sum, of any size; infinite where that is too large for the dtype."""
    w, x = T.vector("w", dtype=dtype), T.vector("x", dtype=dtype)
    cost = WEIGHTED[form](w, x)
    function = theano.function([w, x], [cost, *T.grad(cost, [w, x])])
    top = LARGEST[dtype]
    for size in (-2 * top, -top, -1.0, 0.0, 1.0, 0.5 * top, 0.97 * top, top, 1.5 * top, 1e4):
        for weight in (1e-3, 1.0, 3.0, 1e3):
            weights, exponents = np.array([[0, weight], [size, 0.5]], dtype)
            value, by_w, by_x = function(weights, exponents)
            exact = [mp.exp(mp.mpf(float(v)) - 0.5) / float(weights[1]) for v in exponents]
            with np.errstate(over="ignore"):
                wanted: AnyArray = np.array([float(v) for v in exact]).astype(dtype)
            np.testing.assert_allclose(value, np.log(float(weights[1])) + 0.5, 1e-5, 1e-6)
            np.testing.assert_allclose(by_w, wanted, 2e4 * np.finfo(dtype).eps)
            np.testing.assert_array_equal(by_x[0], 0)
            np.testing.assert_allclose(by_x[1], 1, 1e-5)
