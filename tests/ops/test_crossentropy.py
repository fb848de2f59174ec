"""Cross-entropies: values, gradients, saturation, the fused form, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(9)
Z = _rng.normal(size=(3, 5)) * 2
P = _rng.uniform(0.1, 0.9, size=(3, 5))
Q = P / P.sum(axis=1, keepdims=True)
TARGETS = _rng.uniform(size=(3, 5))
LABELS = np.array([4, 0, -2], "int32")


def binary(p: Any, t: Any) -> Any:
    return -(t * np.log(p) + (1 - t) * np.log(1 - p))


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def softmax(z: Any) -> Any:
    return np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)


CASES = [
    Case("binary", T.nnet.binary_crossentropy, binary, (P, TARGETS)),
    Case(
        "binary of a sigmoid",
        lambda z, t: T.nnet.binary_crossentropy(T.nnet.sigmoid(z), t),
        lambda z, t: binary(sigmoid(z), t),
        (Z, TARGETS),
    ),
    Case(
        "binary with integer targets",
        lambda z, t: T.nnet.binary_crossentropy(T.nnet.sigmoid(z[:, 0]), T.cast(t < 0, "int8")),
        lambda z, t: binary(sigmoid(z[:, 0]), t < 0),
        (Z, LABELS),
    ),
    Case(
        "sigmoid and binary",
        T.nnet.sigmoid_binary_crossentropy,
        lambda z, t: binary(sigmoid(z), t),
        (Z, TARGETS),
    ),
    Case(
        "categorical with classes",
        T.nnet.categorical_crossentropy,
        lambda q, y: -np.log(q)[np.arange(3), y],
        (Q, LABELS),
    ),
    Case(
        "categorical with distributions",
        T.nnet.categorical_crossentropy,
        lambda q, t: -(t * np.log(q)).sum(axis=1),
        (Q, TARGETS),
    ),
    Case(
        "categorical with distributions in a tensor",
        lambda q, t: T.nnet.categorical_crossentropy(q.reshape((1, 3, 5)), t.reshape((1, 3, 5))),
        lambda q, t: -(t * np.log(q)).sum(axis=1)[None],
        (Q, TARGETS),
    ),
    Case(
        "of a softmax with classes",
        lambda z, y: T.mean(T.nnet.categorical_crossentropy(T.nnet.softmax(z), y)),
        lambda z, y: -np.log(softmax(z))[np.arange(3), y].mean(),
        (Z, LABELS),
    ),
    Case(
        "of a softmax with distributions",
        lambda z, t: T.nnet.categorical_crossentropy(T.nnet.softmax(z), t),
        lambda z, t: -(t * np.log(softmax(z))).sum(axis=1),
        (Z, TARGETS),
    ),
]


test_value, test_gradient = make_tests(CASES)


FAR = np.array([[1000.0, 0.0, -1000.0], [0.0, 104.0, 3.0]])
LOG_FAR = np.array([[0.0, -1000.0, -2000.0], [-104.0, 0.0, -101.0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_confident_mistake_stays_finite(device: str, dtype: str) -> None:
    z = T.matrix("z", dtype)
    onehot = np.eye(3)[[1, 0]]
    for targets in ([1, 0], onehot.astype(dtype)):
        cost = T.sum(T.nnet.categorical_crossentropy(T.nnet.softmax(z), targets))
        value, gradient = evaluate(device, [z], [cost, T.grad(cost, z)], FAR.astype(dtype))
        np.testing.assert_allclose(value, 1104, rtol=1e-6)
        np.testing.assert_allclose(gradient, np.exp(LOG_FAR) - onehot, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_saturated_sigmoid_stays_finite(device: str, dtype: str) -> None:
    z, t = T.vector("z", dtype), T.vector("t", dtype)
    values = np.array([-1000, -89, -18, 0, 18, 89, 1000.0] * 2, dtype)
    targets = np.repeat([0.0, 1.0], 7).astype(dtype)
    signed = np.where(targets == 1, -values, values).astype("float64")
    for symbolic in (
        lambda z, t: T.nnet.binary_crossentropy(T.nnet.sigmoid(z), t),
        T.nnet.sigmoid_binary_crossentropy,
    ):
        losses = symbolic(z, t)
        outputs = [losses, T.grad(T.sum(losses), z)]
        result, gradient = evaluate(device, [z, t], outputs, values, targets)
        tolerance = 1e-5 if dtype == "float32" else 1e-12
        np.testing.assert_allclose(result, np.logaddexp(0, signed), rtol=tolerance, atol=1e-37)
        slopes = np.exp(-np.logaddexp(0, -signed)) * np.where(targets == 1, -1, 1)
        np.testing.assert_allclose(gradient, slopes, rtol=tolerance, atol=1e-37)


def test_classes_take_the_fused_form() -> None:
    """The plan equals that of the book's own expression."""
    z, y = T.dmatrix("z"), T.ivector("y")
    p = T.nnet.softmax(z)
    costs = [
        T.mean(T.nnet.categorical_crossentropy(p, y)),
        -T.mean(T.log(p)[T.arange(y.shape[0]), y]),
    ]
    plans = []
    for cost in costs:
        function = theano.function([z, y], [cost, T.grad(cost, z)])
        function(Z, LABELS)
        plans.append([call.kernel for call in function.plan.calls])
    assert plans[0] == plans[1]
    assert {"softmax_xent", "softmax_xent_grad"} <= set(plans[0])


ERRORS: list[Callable[[], Any]] = [
    lambda: T.nnet.categorical_crossentropy(T.matrix(), T.scalar()),
    lambda: T.nnet.categorical_crossentropy(T.tensor3(), T.imatrix()),
    lambda: T.nnet.categorical_crossentropy(T.vector(), T.matrix()),
    lambda: T.nnet.categorical_crossentropy(T.scalar(), T.scalar()),
]


@pytest.mark.parametrize("make", ERRORS)
def test_distributions_that_do_not_fit(make: Callable[[], Any]) -> None:
    with pytest.raises(TypeError, match="takes a matrix with a vector of classes, or two arrays"):
        make()


def test_classes_are_integers() -> None:
    with pytest.raises(TypeError, match="must hold integers"):
        T.nnet.categorical_crossentropy(T.matrix(), T.vector())
