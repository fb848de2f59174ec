"""Softmax and cross-entropy: values, gradients, numbers that overflow, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.ops.softmax import log_softmax

_rng = np.random.default_rng(6)
Z = _rng.normal(size=(3, 5)) * 2
WEIGHTS = _rng.uniform(size=(3, 5))
LABELS = np.array([4, 0, -2], "int32")


def softmax(z: Any) -> Any:
    power = np.exp(z - z.max(axis=-1, keepdims=True))
    return power / power.sum(axis=-1, keepdims=True)


def cross_entropy(z: Any, y: Any) -> Any:
    return -T.log(T.nnet.softmax(z))[T.arange(y.shape[0]), y]


CASES = [
    Case("softmax", T.nnet.softmax, softmax, (Z,)),
    Case("softmax of a vector", T.nnet.softmax, softmax, (Z[0],)),
    Case("softmax of one column", T.nnet.softmax, softmax, (Z[:, :1],)),
    Case("softmax of one row", T.nnet.softmax, softmax, (Z[:1],), (0,)),
    Case("log_softmax", log_softmax, lambda z: np.log(softmax(z)), (Z,)),
    Case("log of softmax", lambda z: T.log(T.nnet.softmax(z)), lambda z: np.log(softmax(z)), (Z,)),
    Case(
        "weighted log of softmax",
        lambda z, w: T.log(T.nnet.softmax(z)) * w,
        lambda z, w: np.log(softmax(z)) * w,
        (Z, WEIGHTS),
    ),
    Case(
        "log of softmax over rows",
        lambda z, w: T.log(T.nnet.softmax(z)) * w,
        lambda z, w: np.log(softmax(z)) * w,
        (Z, WEIGHTS[:, :1]),
        (1,),
    ),
    Case(
        "sum of log of softmax",
        lambda z: T.sum(T.log(T.nnet.softmax(z))),
        lambda z: np.log(softmax(z)).sum(),
        (Z,),
    ),
    Case("squared softmax", lambda z: T.nnet.softmax(z) ** 2, lambda z: softmax(z) ** 2, (Z,)),
    Case(
        "entropy",
        lambda z: T.sum(T.nnet.softmax(z) * T.log(T.nnet.softmax(z)), axis=1),
        lambda z: (softmax(z) * np.log(softmax(z))).sum(1),
        (Z,),
    ),
    Case("exp of log_softmax", lambda z: T.exp(log_softmax(z)), softmax, (Z,)),
    Case(
        "cross-entropy",
        cross_entropy,
        lambda z, y: -np.log(softmax(z))[np.arange(3), y],
        (Z, LABELS),
    ),
    Case(
        "mean cross-entropy",
        lambda z, y: T.mean(cross_entropy(z, y)),
        lambda z, y: -np.log(softmax(z))[np.arange(3), y].mean(),
        (Z, LABELS),
    ),
    Case(
        "cross-entropy and softmax",
        lambda z, y: T.sum(cross_entropy(z, y)) + T.nnet.softmax(z) ** 2,
        lambda z, y: -np.log(softmax(z))[np.arange(3), y].sum() + softmax(z) ** 2,
        (Z, LABELS),
    ),
    Case(
        "weighted cross-entropy",
        lambda z, y, w: cross_entropy(z, y) * w,
        lambda z, y, w: -np.log(softmax(z))[np.arange(3), y] * w,
        (Z, LABELS, WEIGHTS[:, 0]),
    ),
    Case(
        "scores in other rows",
        lambda z, y: T.log(T.nnet.softmax(z))[T.arange(3)[::-1], y],
        lambda z, y: np.log(softmax(z))[[2, 1, 0], y],
        (Z, LABELS),
    ),
    Case(
        "softmax of integers",
        lambda z, y: T.nnet.softmax(T.cast(y, "int8")),
        lambda z, y: softmax(y),
        (Z, LABELS),
        dtype="float32",
        gradient=False,
    ),
]


def softmax_along(z: Any, axis: Any) -> Any:
    power = np.exp(z - z.max(axis=axis, keepdims=True))
    return power / power.sum(axis=axis, keepdims=True)


IMAGES = _rng.normal(size=(2, 3, 1, 4)) * 2
AXES = [
    *((IMAGES, axis) for axis in (-1, 0, 1, 2, (1, 3), None)),
    *((IMAGES[0], axis) for axis in (-1, 0, -2)),
    *((Z, axis) for axis in (0, 1, None)),
    (Z[0], 0),
]
CASES += [
    Case(
        f"{name} of {z.ndim} dimensions, axis {axis}",
        lambda z, f=f, axis=axis: f(z, axis=axis),
        lambda z, g=g, axis=axis: g(softmax_along(z, axis)),
        (z,),
    )
    for z, axis in AXES
    for name, f, g in [
        ("softmax", T.nnet.softmax, lambda p: p),
        ("log_softmax", log_softmax, np.log),
        ("log of softmax", lambda z, axis: T.log(T.nnet.softmax(z, axis)), np.log),
    ]
]
CASES += [
    Case(
        f"gradient of softmax, axis {axis}",
        lambda z, axis=axis: T.grad(T.sum(T.nnet.softmax(z, axis) ** 2), z),
        lambda z, axis=axis: _gradient_of_squares(softmax_along(z, axis), axis),
        (IMAGES[0, :, 0],),
    )
    for axis in (0, -1)
]


def _gradient_of_squares(p: Any, axis: int) -> Any:
    return 2 * p * (p - (p * p).sum(axis=axis, keepdims=True))


test_value, test_gradient = make_tests(CASES)


def test_large_logits_stay_finite(device: str) -> None:
    z = T.dmatrix("z")
    values = np.array([[1000.0, 0.0, -1000.0], [-1e4, -1e4, -1e4]])
    result = evaluate(device, [z], T.nnet.softmax(z), values)
    np.testing.assert_allclose(result, [[1, 0, 0], [1 / 3] * 3], rtol=1e-12)


@pytest.mark.parametrize("fused", ["fused", "cpu"])
def test_a_confident_mistake_has_a_finite_cost_and_gradient(fused: str) -> None:
    z, y = T.dmatrix("z"), T.ivector("y")
    cost = T.mean(cross_entropy(z, y))
    outputs = [cost, T.grad(cost, z)]
    loss, gradient = evaluate(fused, [z, y], outputs, np.array([[2000.0, 0.0]]), np.int32([1]))
    assert loss == 2000
    np.testing.assert_array_equal(gradient, [[1, -1]])


@pytest.mark.parametrize("label", [5, -6, 127, -128])
def test_labels_out_of_range(device: str, label: int) -> None:
    z, y = T.dmatrix("z"), T.vector("y", "int8")
    function = theano.function([z, y], T.mean(cross_entropy(z, y)))
    with pytest.raises(IndexError, match=r"(?s)y has to lie between -5 and 4.*test_softmax.py"):
        function(Z, [0, label, 1])


@pytest.mark.parametrize("axis", [-1, 0, 1, (0, 2)])
def test_far_scores_along_any_axis_stay_finite(device: str, axis: Any) -> None:
    z = T.dtensor3("z")
    values = Z[:, :, None] * np.array([1000.0, -3000.0])
    outputs = [T.log(T.nnet.softmax(z, axis)), log_softmax(z, axis)]
    outputs += [T.grad(T.sum(y), z) for y in outputs]
    shifted = values - values.max(axis=axis, keepdims=True)
    exact = shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True))
    for number, result in enumerate(evaluate(device, [z], outputs, values)):
        assert np.isfinite(result).all()
        if number < 2:
            np.testing.assert_allclose(result, exact, rtol=1e-12, atol=1e-15)


def test_an_image_without_pixels(device: str) -> None:
    z = T.dtensor4("z")
    for axis in (-1, 1):
        assert evaluate(device, [z], T.nnet.softmax(z, axis), IMAGES[:0]).shape == (0, 3, 1, 4)


def test_axes_that_do_not_exist() -> None:
    with pytest.raises(TypeError, match="softmax needs at least one axis"):
        T.nnet.softmax(T.scalar())
    with pytest.raises(IndexError, match="axis 3 is out of range"):
        T.nnet.softmax(T.tensor3(), 3)
