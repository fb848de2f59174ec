"""Dropout, layers of a user's own, activations as functions and as layers, names."""

import copy
import json
import pickle
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import keras
from tinygrad_mnist.keras import layers
from tinygrad_mnist.keras.layers.naming import reset_names, snake_case


def images(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype("float32")


# --- Dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("shape", [(400,), (20, 10, 2)])
def test_dropout_is_inverted(rate: float, shape: Any) -> None:
    x = np.abs(images(50, *shape)) + 1
    y = layers.Dropout(rate, seed=3)(x, training=True)
    dropped = y == 0
    assert np.mean(dropped) == pytest.approx(rate, abs=0.02)
    np.testing.assert_allclose(y[~dropped], (x / np.float32(1 - rate))[~dropped], rtol=1e-5)
    np.testing.assert_array_equal(layers.Dropout(rate)(x), x)


def test_dropout_draws_anew_at_each_step_and_repeats_with_a_seed() -> None:
    v = T.matrix("v", dtype="float32")
    x = np.ones((10, 20), "float32")

    def draws(seed: int) -> list[Any]:
        model = keras.Sequential([layers.Dropout(0.5, seed=seed, input_shape=(20,))])
        f = theano.function([v], model.forward(v, True).output)
        return [f(x), f(x)]

    one, other = draws(1), draws(1)
    assert not np.array_equal(one[0], one[1])
    np.testing.assert_array_equal(one, other)
    assert not np.array_equal(one, draws(2))


def test_dropout_of_everything_and_of_nothing() -> None:
    x = images(3, 4)
    assert not layers.Dropout(1.0)(x, training=True).any()
    np.testing.assert_array_equal(layers.Dropout(0)(x, training=True), x)


def test_noise_shape_counts_axes_as_keras_does() -> None:
    x = np.ones((40, 5, 6, 3), "float32")
    y = layers.Dropout(0.5, noise_shape=(None, 1, 1, 3))(x, training=True)
    assert (y == y[:, :1, :1]).all()
    assert 0.3 < np.mean(y[:, 0, 0] == 0) < 0.7
    rows = layers.Dropout(0.5, noise_shape=(None, 5, 1, 1))(x, training=True)
    assert (rows == rows[:, :, :1, :1]).all()
    assert len(np.unique(rows[:, :, 0, 0], axis=0)) > 5
    with pytest.raises(ValueError, match="noise_shape has 2 lengths"):
        layers.Dropout(0.5, noise_shape=(None, 1))(x, training=True)


# --- a user's own layers --------------------------------------------------------------------------


class Scale(layers.Layer):
    def __init__(self, factor: float = 2.0, **options: Any) -> None:
        super().__init__(**options)
        self.factor = factor

    def build(self, input_shape: Any) -> None:
        self.shift = self.add_weight(input_shape[1:], "ones", name="shift")

    def call(self, inputs: Any) -> Any:
        return inputs * self.factor + self.shift

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "factor": self.factor}


class Halves(layers.Layer):
    """The first half of the last axis; a number is added in training."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        half = inputs[..., : inputs.shape[inputs.ndim - 1] // 2]
        return half + 1 if training else half


def test_a_layer_of_a_users_own() -> None:
    x = images(3, 4, 5, 2)
    model = keras.Sequential(
        [keras.Input(shape=(4, 5, 2)), Scale(3.0), Halves(), layers.Flatten(), layers.Dense(2)]
    )
    assert model.layers[1].output_shape == (None, 4, 5, 1)
    assert [w.shape for w in model.get_weights()] == [(4, 5, 2), (20, 2), (2,)]
    shift = images(4, 5, 2)
    model.layers[0].set_weights([shift])
    kernel = model.get_weights()[1]
    half = (x * 3 + shift)[..., :1].reshape(3, -1)
    np.testing.assert_allclose(model(x), half @ kernel, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model(x, training=True), (half + 1) @ kernel, rtol=1e-4, atol=1e-5)


class Residual(layers.Layer):
    """inputs + relu(bn(conv(inputs))), the layers in an attribute and in a list."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.conv = layers.Conv2D(2, 3, padding="same", kernel_regularizer="l2")
        self.behind = [layers.BatchNormalization(momentum=0.5), layers.ReLU()]

    def call(self, inputs: Any, training: bool = False) -> Any:
        y = self.conv(inputs)
        for layer in self.behind:
            y = layer(y, training=training)
        return inputs + y


def test_layers_inside_a_users_layer() -> None:
    model = keras.Sequential([Residual(input_shape=(5, 4, 2)), layers.Flatten(), layers.Dense(2)])
    inner = model.layers[0]
    assert inner.output_shape == (None, 5, 4, 2)
    assert inner.count_params() == 9 * 4 + 2 + 8
    assert len(model.trainable_weights) == 4 + 2
    assert len(model.penalties()) == 1
    assert model.named_weights()[0][0] == f"{inner.name}/{inner.conv.name}/kernel"
    x = images(3, 5, 4, 2)
    z = inner.conv(x)
    np.testing.assert_allclose(inner(x), x + np.maximum(z / np.sqrt(1.001), 0), rtol=1e-4)
    model(x, training=True)
    np.testing.assert_allclose(
        inner.behind[0].get_weights()[2], z.mean((0, 1, 2)) * 0.5, rtol=1e-4, atol=1e-6
    )
    inner.trainable = False
    assert len(model.trainable_weights) == 2
    assert model.penalties() == []


def test_output_shapes_of_layers_that_are_not_built() -> None:
    layer = layers.Dense(3)
    assert layer.compute_output_shape((None, 4)) == (None, 3)
    assert layer.compute_output_shape((None, 7, 5)) == (None, 7, 3)
    assert not layer.built
    assert layer.weights == []
    conv = layers.Conv2D(2, 3, padding="same", strides=2)
    assert conv.compute_output_shape((None, 7, 6, 1)) == (None, 4, 3, 2)
    stack = keras.Sequential([conv, layers.Flatten(), layer])
    assert stack.compute_output_shape((None, 7, 6, 1)) == (None, 3)
    assert not stack.built


def test_a_users_layer_comes_back_by_its_class() -> None:
    model = keras.Sequential([Scale(5.0, input_shape=(3,))])
    with pytest.raises(ValueError, match="there is no layer 'Scale'; custom_objects="):
        keras.Sequential.from_config(model.get_config())
    again = keras.Sequential.from_config(model.get_config(), {"Scale": Scale})
    assert again.layers[0].factor == 5.0


def test_a_layer_without_call() -> None:
    with pytest.raises(NotImplementedError, match=r"Empty has to define call\(inputs\)"):
        type("Empty", (layers.Layer,), {})()(images(2, 3))


# --- activations ----------------------------------------------------------------------------------


def centred(x: Any) -> Any:
    return x - T.mean(x, axis=-1, keepdims=True)


@pytest.mark.parametrize("shape", [(3, 4, 2), (6,)])
def test_any_function_is_an_activation(shape: Any) -> None:
    x = images(2, *shape)
    expected = x - x.mean(-1, keepdims=True)
    np.testing.assert_allclose(layers.Activation(centred)(x), expected, rtol=1e-5, atol=1e-6)


def test_a_function_sees_keras_order_behind_flatten() -> None:
    x = images(2, 3, 4, 2)

    def sums(v: Any) -> Any:
        return T.cumsum(v, axis=1)

    model = keras.Sequential([layers.Flatten(input_shape=(3, 4, 2)), layers.Activation(sums)])
    np.testing.assert_allclose(model(x), x.reshape(2, -1).cumsum(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "activation",
    [
        "relu",
        keras.activations.relu,
        T.nnet.relu,
        layers.ReLU(),
        layers.ReLU,
        lambda x: T.maximum(x, 0),
    ],
)
def test_kinds_of_activations(activation: Any) -> None:
    x = images(2, 5, 5, 3)
    layer = layers.Conv2D(2, 3, activation=activation, kernel_initializer="ones")
    plain = layers.Conv2D(2, 3, kernel_initializer="ones")
    np.testing.assert_array_equal(layer(x), np.maximum(plain(x), 0))


def test_an_activation_layer_comes_back() -> None:
    layer = layers.Dense(2, activation=layers.LeakyReLU(alpha=0.25), input_shape=(3,))
    again = layers.Dense.from_config(layer.get_config())
    assert isinstance(again.activation, layers.LeakyReLU)
    assert again.activation.negative_slope == 0.25


def doubled(x: Any) -> Any:
    return x * 2


class Halved(keras.initializers.Initializer):
    def values(self, shape: Any) -> Any:
        return np.full(shape, 0.5)


def test_a_users_own_functions_come_back_by_their_names() -> None:
    layer = layers.Dense(
        2, activation=doubled, kernel_initializer=Halved(), kernel_regularizer=doubled
    )
    config = json.loads(json.dumps(layer.get_config()))
    with pytest.raises(ValueError, match="there is no"):
        layers.Dense.from_config(config)
    again = layers.Dense.from_config(config, {"doubled": doubled, "Halved": Halved})
    assert again.activation is again.kernel_regularizer is doubled
    np.testing.assert_array_equal(again(np.ones((1, 3))), [[3.0, 3.0]])


def test_values_of_initializers_in_a_configuration() -> None:
    values = np.arange(6.0).reshape(3, 2)
    layer = layers.Dense(2, kernel_initializer=keras.initializers.Constant(values))
    again = layers.Dense.from_config(json.loads(json.dumps(layer.get_config())))
    np.testing.assert_array_equal(again(np.eye(3)), values)


# --- names and copies -----------------------------------------------------------------------------


def test_names_are_counted() -> None:
    reset_names()
    names = [make().name for make in (
        lambda: layers.Conv2D(1, 1), lambda: layers.Conv2D(1, 1), layers.MaxPooling2D,
        lambda: layers.Dense(1), layers.ReLU, layers.LeakyReLU, layers.GlobalAveragePooling2D,
        layers.BatchNormalization, layers.MaxPool2D, lambda: layers.Dense(1, name="x"),
        lambda: layers.Dense(1),
    )]  # fmt: skip
    assert names == [
        "conv2d", "conv2d_1", "max_pooling2d", "dense", "re_lu", "leaky_re_lu",
        "global_average_pooling2d", "batch_normalization", "max_pooling2d_1", "x", "dense_1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "expected"),
    [("ELU", "elu"), ("PReLU", "p_re_lu"), ("ZeroPadding2D", "zero_padding2d")],
)
def test_snake_case(name: str, expected: str) -> None:
    assert snake_case(name) == expected


@pytest.mark.parametrize("way", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_models_are_copied(way: Any) -> None:
    model = keras.Sequential(
        [
            layers.Conv2D(2, 2, activation="relu", input_shape=(4, 5, 2)),
            layers.Flatten(),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(3, activation="softmax"),
        ]
    )
    again, x = way(model), images(2, 4, 5, 2)
    np.testing.assert_array_equal(again(x), model(x))
    before = model.get_weights()
    again.set_weights([w + 1 for w in again.get_weights()])
    for now, then in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)
