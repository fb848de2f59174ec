"""Weights in Keras's shapes and orders, whatever the engine holds."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import keras
from tinygrad_mnist.keras import layers
from tinygrad_mnist.keras.layers.signal import Arrangement, Signal, held, shown

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))


def random_like(arrays: list[Any]) -> list[Any]:
    rng = np.random.default_rng(0)
    return [rng.random(a.shape).astype("float32") for a in arrays]


@given(SHAPES, st.lists(st.sampled_from(["dropout", "bn", "prelu", "relu"]), max_size=3))
@settings(max_examples=30, deadline=None)
def test_round_trip_and_order_behind_flatten(shape: Any, between: list[str]) -> None:
    makers = {
        "dropout": lambda: layers.Dropout(0.5),
        "bn": lambda: layers.BatchNormalization(),
        "prelu": lambda: layers.PReLU(),
        "relu": lambda: layers.Activation("relu"),
    }
    behind = [makers[name]() for name in between]
    model = keras.Sequential([layers.Flatten(input_shape=shape), *behind, layers.Dense(3)])
    weights = random_like(model.get_weights())
    model.set_weights(weights)
    for now, then in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(now, then)
    # The same layers without a Flatten see Keras's order.
    plain = keras.Sequential([keras.Input(shape=(int(np.prod(shape)),))])
    for name in between:
        plain.add(makers[name]())
    plain.add(layers.Dense(3))
    plain.set_weights(weights)
    x = np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")
    np.testing.assert_allclose(model(x), plain(x.reshape(2, -1)), rtol=1e-4, atol=1e-5)


@given(SHAPES)
def test_held_and_shown_are_inverse(shape: Any) -> None:
    x = np.random.default_rng(0).random((2, *shape)).astype("float32")
    assert held(x, shape).flags.c_contiguous
    np.testing.assert_array_equal(shown(held(x, shape), shape), x)


@pytest.mark.parametrize("axes", [None, (3, 2, 0, 1)])
@pytest.mark.parametrize("permuted", [False, True])
def test_arrangement(axes: Any, permuted: bool) -> None:
    value = np.arange(2 * 3 * 4 * 5.0).reshape(2, 3, 4, 5)
    n = value.shape[0] if axes is None else value.shape[axes[0]]
    arrangement = Arrangement(axes, np.roll(np.arange(n), 1) if permuted else None)
    kept = arrangement.held(value)
    np.testing.assert_array_equal(arrangement.shown(kept), value)
    v = T.tensor4("v", dtype="float64")
    np.testing.assert_array_equal(theano.function([v], arrangement.variable(v))(kept), value)


def test_a_layer_in_two_models_keeps_its_weights_order() -> None:
    dense = layers.Dense(2)
    one = keras.Sequential([layers.Flatten(input_shape=(2, 3, 4)), dense])
    other = keras.Sequential([layers.Reshape((24,), input_shape=(2, 3, 4)), dense])
    x = np.random.default_rng(0).random((3, 2, 3, 4)).astype("float32")
    np.testing.assert_allclose(one(x), other(x), rtol=1e-6)
    kernel = dense.get_weights()[0]
    np.testing.assert_allclose(one(x), x.reshape(3, -1) @ kernel, rtol=1e-5)


def test_order_of_weights_and_what_is_trained() -> None:
    layer = layers.BatchNormalization()
    layer.build((None, 3))
    names = [v.name.rpartition("/")[2] for v in layer.weights]
    assert names == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert layer.trainable_weights == layer.weights[:2]
    assert layer.non_trainable_weights == layer.weights[2:]
    layer.trainable = False
    assert layer.trainable_weights == []
    assert layer.non_trainable_weights == layer.weights
    assert layer.count_params() == 12


def test_set_weights_changes_all_or_none() -> None:
    model = keras.Sequential([layers.Dense(2, input_shape=(3,)), layers.Dense(4)])
    before = model.get_weights()
    wrong = [np.zeros((3, 2)), np.zeros(2), np.zeros((2, 4)), np.zeros(5)]
    with pytest.raises(ValueError, match=r"dense.*/bias has the shape \(4,\), not \(5,\)"):
        model.set_weights(wrong)
    with pytest.raises(ValueError, match="has 4 weights; set_weights got 3 arrays"):
        model.set_weights(wrong[:3])
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def test_initializers_see_keras_shapes() -> None:
    seen = []

    def initializer(shape: Any, dtype: Any = None) -> Any:
        seen.append(tuple(shape))
        return np.zeros(shape, dtype)

    keras.Sequential(
        [
            layers.Conv2D(4, (2, 3), kernel_initializer=initializer, input_shape=(5, 6, 2)),
            layers.Flatten(),
            layers.Dense(7, kernel_initializer=initializer),
        ]
    )
    assert seen == [(2, 3, 2, 4), (4 * 4 * 4, 7)]


def test_regularizers_see_keras_shapes_and_are_added() -> None:
    model = keras.Sequential(
        [
            layers.Conv2D(2, 2, kernel_regularizer="l2", input_shape=(3, 4, 2)),
            layers.Flatten(),
            layers.Dense(2, kernel_regularizer=lambda w: T.sum(w[0] * 3), bias_regularizer="l1"),
        ]
    )
    weights = random_like(model.get_weights())
    model.set_weights(weights)
    found = [float(theano.function([], term)()) for term in model.penalties()]
    expected = [0.01 * (weights[0] ** 2).sum(), 3 * weights[2][0].sum(), 0.01 * weights[3].sum()]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    model.layers[0].trainable = False
    assert len(model.penalties()) == 2


def test_a_signal_in_keras_order() -> None:
    x = np.random.default_rng(0).random((2, 3, 4, 5)).astype("float32")
    signal = Signal.input((3, 4, 5))
    flat = signal.flat()
    outputs = [signal.in_keras_order(), flat.in_keras_order(), flat.in_order(None).variable]
    f = theano.function([signal.variable], outputs)
    whole, row, again = f(held(x, (3, 4, 5)))
    np.testing.assert_array_equal(whole, x)
    np.testing.assert_array_equal(row, x.reshape(2, -1))
    np.testing.assert_array_equal(again, row)
