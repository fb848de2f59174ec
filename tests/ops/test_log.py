"""`T.log` of what underflows: value and gradient stay finite, however the expression is written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import Variable

LOGITS = np.array([[1000.0, 0.0, -1000.0], [0.0, 104.0, 3.0]])
LABELS = np.array([1, 0])
LOG_P = np.array([[0.0, -1000.0, -2000.0], [-104.0, 0.0, -101.0]])
ONEHOT = np.eye(3)[LABELS]
P = np.exp(LOG_P)


def p(z: Variable) -> Variable:
    return T.nnet.softmax(z)


CROSS_ENTROPIES: dict[str, Callable[[Variable], Variable]] = {
    "book": lambda z: -T.mean(T.log(p(z))[T.arange(2), LABELS]),
    "log outside": lambda z: -T.mean(T.log(p(z)[T.arange(2), LABELS])),
    "sliced": lambda z: -T.mean(T.log(p(z))[0:2][T.arange(2), LABELS]),
    "transposed": lambda z: -T.mean(T.log(p(z).T)[LABELS, T.arange(2)]),
    "reshaped": lambda z: -T.mean(T.log(p(z).reshape((6,)))[LABELS + np.array([0, 3])]),
}


@pytest.mark.parametrize("name", CROSS_ENTROPIES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cross_entropy_of_a_confident_mistake(device: str, name: str, dtype: str) -> None:
    z = T.matrix("z", dtype=dtype)
    cost = CROSS_ENTROPIES[name](z)
    value, gradient = theano.function([z], [cost, T.grad(cost, z)])(LOGITS.astype(dtype))
    np.testing.assert_allclose(value, (1000 + 104) / 2, rtol=1e-6)
    np.testing.assert_allclose(gradient, (P - ONEHOT) / 2, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_binary_cross_entropy_at_saturation(device: str, dtype: str) -> None:
    x, t = T.vector("x", dtype=dtype), T.vector("t", dtype=dtype)
    q = T.nnet.sigmoid(x)
    cost = -T.sum(t * T.log(q) + (1 - t) * T.log(1 - q))
    values = np.array([-1000, -89, -18, 0, 18, 89, 1000.0] * 2)
    targets = np.repeat([0.0, 1.0], 7)
    step = theano.function([x, t], [cost, T.grad(cost, x)])
    value, gradient = step(values.astype(dtype), targets.astype(dtype))
    expected = np.logaddexp(0, values) - targets * values
    np.testing.assert_allclose(value, expected.sum(), rtol=1e-6)
    sigmoid = np.exp(-np.logaddexp(0, -values))
    np.testing.assert_allclose(gradient, sigmoid - targets, rtol=1e-6, atol=1e-7)


def test_softplus_written_out(device: str) -> None:
    x = T.dvector("x")
    cost = T.sum(T.log(1 + T.exp(x)))
    values = np.array([-1000.0, 0.0, 1000.0])
    value, gradient = theano.function([x], [cost, T.grad(cost, x)])(values)
    np.testing.assert_allclose(value, np.log(2) + 1000)
    np.testing.assert_allclose(gradient, [0, 0.5, 1])


def test_log_of_a_softmax_of_a_vector_and_of_one_row(device: str) -> None:
    v, z = T.dvector("v"), T.dmatrix("z")
    np.testing.assert_array_equal(theano.function([v], T.log(p(v)))(LOGITS[0]), LOG_P[0])
    np.testing.assert_array_equal(theano.function([z], T.log(p(z))[0])(LOGITS), LOG_P[0])


def test_other_logarithms_stay_as_they_are(device: str) -> None:
    x = T.dvector("x")
    f = theano.function([x], [T.log(x), T.log(2 - T.nnet.sigmoid(x)), T.log(2 + T.exp(x))])
    values = np.array([0.5, 1.0, 3.0])
    expected = [np.log(values), np.log(2 - 1 / (1 + np.exp(-values))), np.log(2 + np.exp(values))]
    np.testing.assert_allclose(f(values), expected, rtol=1e-14)
