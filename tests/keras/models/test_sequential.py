"""Sequential: how it is built, its layers, its weights and its configuration."""

import json
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import keras
from tinygrad_mnist.keras import layers


def small() -> list[layers.Layer]:
    return [layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(3)]


def block(filters: int, **first: Any) -> list[layers.Layer]:
    def conv(**options: Any) -> layers.Layer:
        return layers.Conv2D(filters, (3, 3), padding="same", activation="relu", **options)

    return [conv(**first), conv(), layers.MaxPooling2D(2, 2), layers.Dropout(0.25)]


def test_parameters_of_the_deep_net() -> None:
    model = keras.Sequential()
    for filters in (64, 128, 256):
        for layer in block(filters, **({} if model.layers else {"input_shape": (28, 28, 1)})):
            model.add(layer)
    model.add(layers.Flatten())
    for units in (768, 256):
        model.add(layers.Dense(units, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    assert model.count_params() == 3_113_930
    assert model.output_shape == (None, 10)


def test_parameters_of_the_fashion_net() -> None:
    model = keras.models.Sequential(
        [
            layers.Conv2D(64, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            layers.MaxPooling2D(2, 2),
            layers.Conv2D(64, (3, 3), activation="relu"),
            layers.MaxPooling2D(2, 2),
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    assert model.count_params() == 243_786


# --- how it is built ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.Sequential([keras.Input(shape=(5, 5, 1)), *small()]),
        lambda: keras.Sequential([layers.InputLayer(input_shape=(5, 5, 1)), *small()]),
        lambda: keras.Sequential([layers.InputLayer((5, 5, 1)), *small()]),
        lambda: keras.Sequential([keras.Input(batch_shape=(None, 5, 5, 1)), *small()]),
        lambda: keras.Sequential([layers.Conv2D(2, 3, input_shape=(5, 5, 1)), *small()[1:]]),
        lambda: keras.Sequential(
            [layers.Conv2D(2, 3, batch_input_shape=(None, 5, 5, 1)), *small()[1:]]
        ),
        lambda: keras.Sequential([keras.Sequential([keras.Input((5, 5, 1)), *small()])]),
    ],
)
def test_the_input_shape_is_given(make: Any) -> None:
    model = make()
    assert model.built
    assert (model.input_shape, model.output_shape) == ((None, 5, 5, 1), (None, 3))
    assert model.count_params() == 20 + 18 * 3 + 3


def test_built_by_build_by_data_and_by_a_call() -> None:
    x = np.zeros((2, 5, 5, 1), "uint8")
    by_build, by_data, by_call = (keras.Sequential(small()) for _ in range(3))
    assert not by_build.built
    assert by_build.weights == []
    by_build.build((None, 5, 5, 1))
    assert by_data.held_input(x).shape == (2, 1, 5, 5)
    assert by_call(x).shape == (2, 3)
    for model in (by_build, by_data, by_call):
        assert model.built
        assert len(model.weights) == 4


def test_add_and_pop() -> None:
    model = keras.Sequential([layers.Dense(4, input_shape=(3,))])
    model.add(layers.Dense(2))
    assert model.output_shape == (None, 2)
    last = model.pop()
    assert last.name not in [layer.name for layer in model.layers]
    assert model.output_shape == (None, 4)
    model.add(layers.Dense(5))
    assert model.count_params() == 16 + 25


def test_a_layer_that_does_not_fit_is_not_added() -> None:
    model = keras.Sequential()
    with pytest.raises(ValueError, match="its kernel of 9x9 is larger"):
        model.add(layers.Conv2D(2, 9, input_shape=(8, 8, 1)))
    assert model.layers == []
    model.add(layers.Conv2D(2, 9, input_shape=(10, 10, 1)))
    with pytest.raises(ValueError, match="its window of 3x3 is larger than images of 2x2"):
        model.add(layers.MaxPooling2D(3))
    assert model.output_shape == (None, 2, 2, 2)


def test_a_model_among_the_layers() -> None:
    inner = keras.Sequential([layers.BatchNormalization(), layers.Dense(3)], name="inner")
    model = keras.Sequential([layers.Flatten(input_shape=(2, 3, 2)), inner, layers.Dense(2)])
    names = ("gamma", "beta", "moving_mean")
    paths = [path for path, _ in model.named_weights()]
    assert paths[:3] == [f"inner/{inner.layers[0].name}/{name}" for name in names]
    x = np.random.default_rng(0).random((4, 2, 3, 2)).astype("float32")
    model.set_weights([np.random.default_rng(1).random(w.shape) for w in model.get_weights()])
    gamma, beta, mean, variance, kernel, bias, kernel2, bias2 = model.get_weights()
    y = (x.reshape(4, -1) - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    expected = (y @ kernel + bias) @ kernel2 + bias2
    np.testing.assert_allclose(model(x), expected, rtol=1e-4)
    model(x, training=True)
    assert not np.array_equal(inner.get_weights()[2], mean)
    v = T.tensor4("v", dtype="float32")
    assert len(model.forward(v, True).updates) == 2
    model.trainable = False
    assert model.trainable_weights == []
    assert model.forward(v, True).updates == []
    again = keras.Sequential.from_config(json.loads(json.dumps(model.get_config())))
    again.set_weights(model.get_weights())
    np.testing.assert_array_equal(again(x), model(x))


def test_get_layer() -> None:
    model = keras.Sequential([layers.Dense(2, name="a", input_shape=(3,)), layers.Dense(3)])
    assert model.get_layer("a") is model.layers[0]
    assert model.get_layer(index=-1) is model.layers[1]
    with pytest.raises(ValueError, match=r"there is no layer 'b'; model .* has a, "):
        model.get_layer("b")
    with pytest.raises(ValueError, match="index is 2"):
        model.get_layer(index=2)
    with pytest.raises(ValueError, match="a name or an index"):
        model.get_layer()


# --- inputs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((3, 784), r"takes \(None, 28, 28, 1\); x.reshape\(\(-1, 28, 28, 1\)\) has it"),
        ((28, 28, 1), r"one sample is a batch, too: x\[None\]"),
        ((3, 32, 32, 3), r"x has the shape \(3, 32, 32, 3\)"),
    ],
)
def test_samples_of_another_shape(shape: Any, message: str) -> None:
    model = keras.Sequential([layers.Flatten(input_shape=(28, 28, 1))])
    with pytest.raises(ValueError, match=message):
        model.held_input(np.zeros(shape))


def test_images_without_the_axis_of_channels_get_it() -> None:
    model = keras.Sequential([layers.Conv2D(2, 3, input_shape=(5, 6, 1))])
    assert model.held_input(np.zeros((3, 5, 6))).shape == (3, 1, 5, 6)
    held = model.held_input(np.arange(60, dtype="uint8").reshape(2, 5, 6, 1))
    assert held.dtype == theano.config.floatX
    assert held.flags.c_contiguous


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda m: m.forward(T.matrix(), False), "its input's shape is not known"),
        (lambda m: m.count_params(), "its input's shape is not known"),
        (lambda m: m.build(), "can't be built: its input's shape is not known"),
        (lambda m: m.add(3), "got 3, which is no layer"),
        (lambda m: m.add(layers.Dense), r"Dense is a class, and Dense\(...\) makes a layer"),
        (lambda m: m.add(m), "can't be a layer of itself"),
        (lambda m: m.add(m.layers[0]), "already; names are unique"),
        (lambda m: m.add(keras.Input((3,))), "an Input comes first"),
        (lambda m: m.set_weights([1]), "has 0 weights, as it is not built"),
        (lambda m: m.build((None, None)), "only the batch's length can be None"),
        (lambda m: keras.Model(1, 2), "inputs=model.input and outputs=layer.output"),
        (lambda m: layers.Dense(3)(keras.Input((3,))), "models are stacks of layers here"),
        (lambda m: keras.Sequential(3), "Sequential: layers is 3"),
        (lambda m: keras.Sequential().pop(), "has no layers"),
        (lambda m: keras.Sequential().build((None, 3)), "has no layers"),
        (lambda m: keras.Sequential([layers.Dense(1, input_dim=2)]).build((None, 3)), "not"),
    ],
)
def test_errors(use: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message) as caught:
        use(keras.Sequential([layers.Dense(2)]))
    assert "test_sequential.py:" in str(caught.value)
