"""Losses, metrics, activations and layers of arrays give values, as Keras's do."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import keras, tf
from tinygrad_mnist.functions import function
from tinygrad_mnist.graph.variables import Variable

Y, P = np.array([0, 2]), np.array([[0.7, 0.2, 0.1], [0.1, 0.3, 0.6]], np.float32)
VALUES = [
    (keras.losses.sparse_categorical_crossentropy, (Y, P), -np.log([0.7, 0.6])),
    (keras.losses.SparseCategoricalCrossentropy(), (Y, P), -np.log([0.7, 0.6]).mean()),
    (keras.losses.CategoricalCrossentropy(), (np.eye(3)[Y], P), -np.log([0.7, 0.6]).mean()),
    (keras.losses.mse, ([[0.0, 1.0]], [[2.0, 1.0]]), [2.0]),
    (keras.losses.MeanAbsoluteError(), ([0.0, 1.0], [2.0, 1.0]), 1.0),
    (keras.metrics.SparseCategoricalAccuracy(), ([0, 1], P), 0.5),
    (keras.metrics.categorical_accuracy, (np.eye(3)[Y], P), [1, 1]),
    (keras.activations.relu, ([-1.0, 2.0],), [0, 2]),
    (keras.activations.softmax, ([[0.0, 0.0]],), [[0.5, 0.5]]),
    (keras.regularizers.l2(0.5), ([1.0, 3.0],), 5),
    (keras.layers.Dense(2, kernel_initializer="ones"), ([[1.0, 2.0]],), [[3, 3]]),
    (keras.layers.Rescaling(2.0), ([[1.0, 2.0]],), [[2, 4]]),
]


@pytest.mark.parametrize("i", range(len(VALUES)))
def test_what_is_called_with_arrays_gives_values(i: int) -> None:
    function, arguments, expected = VALUES[i]
    found = function(*arguments)
    assert isinstance(found, tf.Tensor)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6)


def test_a_loss_of_arrays_weighs_samples_and_one_of_variables_is_an_expression() -> None:
    loss = keras.losses.SparseCategoricalCrossentropy()
    found = loss(Y, P, sample_weight=np.array([1.0, 3.0])).numpy()
    assert found == pytest.approx((-np.log(0.7) - 3 * np.log(0.6)) / 2)
    z = keras.activations.softmax(T.matrix())
    assert isinstance(loss(Y, z), Variable)


@pytest.mark.parametrize("slope", [0.01, 0.2, 0.3])
def test_leaky_relu_has_the_lower_slope_at_0(slope: float) -> None:
    """As TensorFlow's, which black backgrounds without a bias reach."""
    x = T.vector("x")
    for f in (
        lambda v: keras.activations.leaky_relu(v, slope),
        lambda v: keras.activations.relu(v, slope),
    ):
        step = function([x], T.grad(f(x).sum(), x))
        found = step(np.array([-2, -0.0, 0, 1e-30, 7], "float32"))
        np.testing.assert_allclose(found, [slope] * 3 + [1, 1], rtol=1e-6)
