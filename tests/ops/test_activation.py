"""Activations: values, gradients, slopes at kinks, and arguments out of every range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(8)
A = _rng.normal(size=(3, 4)) * 3
WIDE = np.array([-9.0, -6.5, -5.9, -4.0, -3.3, -1.0, 0.1, 2.0, 3.5, 5.0, 6.1, 8.0])
SLOPES = np.array([0.1, 0.25, 0.5, 1.5])


def ultra_fast(x: Any) -> Any:
    half = np.abs(x) / 2
    line = 0.935409070603099 + 0.0458812946797165 * (half - 1.7)
    z = np.select([half < 1.7, half < 3], [1.5 * half / (1 + half), line], 0.99505475368673)
    return 0.5 * (np.sign(x) * z + 1)


CASES = [
    Case("relu", T.nnet.relu, lambda x: np.maximum(x, 0), (A,)),
    Case("leaky relu", lambda x: T.nnet.relu(x, 0.1), lambda x: np.where(x > 0, x, 0.1 * x), (A,)),
    Case(
        "relu with a slope per column",
        lambda x, a: T.nnet.relu(x, a),
        lambda x, a: np.where(x > 0, x, a * x),
        (A, SLOPES),
    ),
    Case("relu with slope 1", lambda x: T.nnet.relu(x, alpha=1), lambda x: x, (A,)),
    Case("elu", T.nnet.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))), (A,)),
    Case(
        "elu with alpha",
        lambda x, a: T.nnet.elu(x, a),
        lambda x, a: np.where(x > 0, x, a * np.expm1(np.minimum(x, 0))),
        (A, SLOPES),
    ),
    Case(
        "selu",
        T.nnet.selu,
        lambda x: (
            1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
        ),
        (A,),
    ),
    Case("hard_sigmoid", T.nnet.hard_sigmoid, lambda x: np.clip(x * 0.2 + 0.5, 0, 1), (A * 2,)),
    Case("ultra_fast_sigmoid", T.nnet.ultra_fast_sigmoid, ultra_fast, (WIDE,)),
    Case("softsign", T.nnet.softsign, lambda x: x / (1 + np.abs(x)), (A,)),
    Case("softplus", T.nnet.softplus, lambda x: np.logaddexp(0, x), (A,)),
]


test_value, test_gradient = make_tests(CASES)


@pytest.mark.parametrize(
    ("activation", "values", "slopes"),
    [
        (T.nnet.relu, [-0.0, 0.0], [0, 0]),
        (lambda x: T.nnet.relu(x, 0.25), [-1.0, 0.0, 1.0], [0.25, 0.625, 1]),
        (lambda x: T.nnet.elu(x, 0.25), [-1000.0, 0.0, 1000.0], [0, 0.25, 1]),
        (T.nnet.hard_sigmoid, [-2.6, -2.5, 0.0, 2.5, 2.6], [0, 0.2, 0.2, 0.2, 0]),
        (T.nnet.ultra_fast_sigmoid, [0.0, -7.0, 7.0], [0.375, 0, 0]),
        (T.nnet.softsign, [-1.0, 0.0, 1.0, -1e8, 1e150], [0.25, 1, 0.25, (1 + 1e8) ** -2, 1e-300]),
    ],
    ids=["relu", "leaky relu", "elu", "hard_sigmoid", "ultra_fast_sigmoid", "softsign"],
)
def test_slopes_at_kinks(
    device: str, activation: Callable[[Any], Any], values: list[float], slopes: list[float]
) -> None:
    x = T.dvector("x")
    gradient = T.grad(T.sum(activation(x)), x)
    np.testing.assert_allclose(evaluate(device, [x], gradient, values), slopes, rtol=1e-15)


@pytest.mark.parametrize(
    ("activation", "limits"),
    [
        (T.nnet.relu, (0, np.inf)),
        (lambda x: T.nnet.relu(x, 0.5), (-np.inf, np.inf)),
        (T.nnet.hard_sigmoid, (0, 1)),
        (T.nnet.ultra_fast_sigmoid, (0.002472623156635, 0.997527376843365)),
        (T.nnet.softsign, (-1, 1)),
    ],
    ids=["relu", "leaky relu", "hard_sigmoid", "ultra_fast_sigmoid", "softsign"],
)
def test_large_and_infinite_arguments(
    device: str, activation: Callable[[Any], Any], limits: tuple[float, float]
) -> None:
    """Infinities have their limits, NaN stays, and no slope is NaN but that of NaN."""
    x = T.dvector("x")
    y = activation(x)
    values = np.array([-np.inf, np.inf, -1e300, 1e300, np.nan])
    result, gradient = evaluate(device, [x], [y, T.grad(T.sum(y), x)], values)
    np.testing.assert_allclose(result[:2], limits, rtol=1e-12)
    assert np.isnan(result[4])
    assert np.isfinite(gradient[:4]).all()


def test_a_number_as_slope_takes_the_dtype_of_x() -> None:
    for dtype in ("float32", "float64"):
        assert T.nnet.relu(T.vector("x", dtype), 0.1).dtype == dtype
    assert T.nnet.relu(T.vector("x", "int8"), 0.1).dtype == theano.config.floatX
