"""What the plans of the tutorials' models have in them, and what not."""

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import keras
from tinygrad_mnist.keras import layers


def calls(model: keras.Sequential, training: bool) -> list[Any]:
    """The calls of a plan of a batch of 4: a step of SGD, or a prediction."""
    assert model.input_shape is not None
    x = np.random.default_rng(0).random((4, *model.input_shape[1:]))
    held = model.held_input(x)
    v = T.TensorType("float32", (False,) * held.ndim)()
    result = model.forward(v, training)
    if not training:
        f = theano.function([v], result.output)
        f(held)
        return list(f.plan.calls)
    labels = T.lvector()
    cost = T.mean(T.nnet.categorical_crossentropy(result.output, labels))
    weights = model.trainable_weights
    steps = [(w, w - 0.1 * g) for w, g in zip(weights, T.grad(cost, weights), strict=True)]
    f = theano.function([v, labels], cost, updates=[*steps, *result.updates])
    f(held, np.arange(4))
    return list(f.plan.calls)


def copies(plan: list[Any]) -> list[Any]:
    """Calls that only move elements."""
    return [
        c
        for c in plan
        if c.kernel in ("gather", "scatter_add", "scatter_set")
        or (c.kernel == "elementwise" and "copy" in str(c))
    ]


BETWEEN = {
    "nothing": [],
    "dropout": [lambda: layers.Dropout(0.5)],
    "bn": [lambda: layers.BatchNormalization()],
    "bn-relu-dropout": [
        lambda: layers.BatchNormalization(),
        lambda: layers.Activation("relu"),
        lambda: layers.Dropout(0.3),
    ],
}


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("between", BETWEEN)
@pytest.mark.parametrize("activation", ["relu", lambda x: T.nnet.relu(x)])
def test_a_conv_net_has_fused_pools_and_no_copies(
    between: str, training: bool, activation: Any
) -> None:
    model = keras.Sequential(
        [
            layers.Conv2D(4, 3, activation=activation, input_shape=(14, 14, 1)),
            layers.MaxPooling2D(),
            layers.Conv2D(6, (3, 3), padding="same", activation=activation),
            layers.MaxPooling2D(2, padding="same"),
            layers.Flatten(),
            *(make() for make in BETWEEN[between]),
            layers.Dense(10, activation="softmax"),
        ]
    )
    plan = calls(model, training)
    names = [c.kernel for c in plan]
    assert names.count("conv2d_bias_pool") == 2
    assert not {"conv2d", "pool2d", "pool2d_grad"} & set(names)
    assert copies(plan) == []


def test_separate_activations_and_pools_are_fused_too() -> None:
    model = keras.Sequential(
        [
            layers.Conv2D(4, 3, input_shape=(14, 14, 1)),
            layers.Activation("relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(4, 3),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    for training in (False, True):
        names = [c.kernel for c in calls(model, training)]
        assert names.count("conv2d_bias_pool") == 2


def test_reshaping_a_row_to_one_channel_copies_nothing() -> None:
    model = keras.Sequential(
        [
            layers.Reshape((28, 28, 1), input_shape=(784,)),
            layers.Conv2D(4, 5, strides=2, activation="relu"),
            layers.Reshape((-1,)),
            layers.Dense(10, activation="softmax"),
        ]
    )
    assert len(copies(calls(model, False))) <= 1  # Reshape is in Keras's order


@pytest.mark.parametrize("kernel", [6, 5])
def test_uneven_padding_copies_once(kernel: int) -> None:
    model = keras.Sequential(
        [
            layers.Conv2D(4, kernel, 2, "same", activation="relu", input_shape=(28, 28, 1)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    plan = calls(model, False)
    assert len(copies(plan)) == (1 if kernel == 5 else 0)


def test_layers_are_named_in_plans() -> None:
    model = keras.Sequential([layers.Dense(10, name="scores", input_shape=(6,))])
    v = T.matrix("v", dtype="float32")
    f = theano.function([v], model.forward(v, False).output)
    f(np.zeros((2, 6), "float32"))
    assert "from scores, " in str(f.plan)
    assert "test_plans.py:" in str(f.plan)
