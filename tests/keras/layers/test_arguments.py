"""Wrong arguments and inputs: the message names the layer, the argument and the user's line."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import keras
from tinygrad_mnist.errors import GraphError
from tinygrad_mnist.keras import layers

ARGUMENTS: list[tuple[Callable[[], Any], str]] = [
    (lambda: layers.Conv2D(0, 3), "Conv2D: filters is 0; it must be at least 1"),
    (lambda: layers.Conv2D("a", 3), "Conv2D: filters is 'a'"),
    (lambda: layers.Conv2D(3, 0), "Conv2D: kernel_size is 0"),
    (lambda: layers.Conv2D(3, (1, 2, 3)), r"Conv2D: kernel_size is \(1, 2, 3\)"),
    (lambda: layers.Conv2D(3, 3, strides=-1), "Conv2D: strides is -1"),
    (lambda: layers.Conv2D(3, 3, padding="full"), "Conv2D: padding is 'full'; it can be 'valid'"),
    (lambda: layers.Conv2D(3, 3, strides=2, dilation_rate=2), "strides is 2 and dilation_rate"),
    (lambda: layers.Conv2D(3, 3, groups=2), "Conv2D: 3 filters can't be divided into 2 groups"),
    (lambda: layers.Conv2D(3, 3, activation="rleu"), "Conv2D: there is no activation 'rleu'"),
    (lambda: layers.Conv2D(3, 3, data_format="channels_first"), "Conv2D: data_format is"),
    (lambda: layers.Conv2D(3, 3, activity_regularizer="l2"), "activity_regularizer is 'l2'"),
    (lambda: layers.Conv2D(3, 3, kernel_constraint=3), "Conv2D: kernel_constraint is 3"),
    (lambda: layers.Conv2D(3, 3, fliters=3), "Conv2D: there is no argument 'fliters'"),
    (lambda: layers.Dense(1.5), "Dense: units is 1.5; it must be an integer"),
    (lambda: layers.Dense(3, use_bias="no"), "Dense: use_bias is 'no'"),
    (lambda: layers.Dense(3, dtype="float16"), "Dense: dtype is 'float16'"),
    (lambda: layers.Dense(3, kernel_initializer="x"), "Dense: there is no initializer 'x'"),
    (lambda: layers.Dense(3, kernel_regularizer="x"), "Dense: there is no regularizer 'x'"),
    (lambda: layers.Dense(3, activation=layers.PReLU()), "can't be an activation"),
    (lambda: layers.Dense(3, input_shape=(None, 3)), r"Dense: input_shape is \(None, 3\)"),
    (lambda: layers.Dense(3, input_shape=(3,), input_dim=3), "input_shape, batch_input_shape and"),
    (lambda: layers.Dense(3, name=3), "Dense: name is 3"),
    (lambda: layers.Dense(3, trainable="x"), "Dense: trainable is 'x'"),
    (lambda: layers.Dropout(1.5), "Dropout: rate is 1.5; it must be between 0 and 1"),
    (lambda: layers.Dropout(0.5, noise_shape=3), "Dropout: noise_shape is 3"),
    (lambda: layers.MaxPooling2D("a"), "MaxPooling2D: pool_size is 'a'"),
    (lambda: layers.AveragePooling2D(2, padding="SAMEE"), "AveragePooling2D: padding is 'samee'"),
    (lambda: layers.GlobalMaxPooling2D(keepdims=3), "GlobalMaxPooling2D: keepdims is 3"),
    (lambda: layers.ZeroPadding2D(((1, 2), 3, 4)), "ZeroPadding2D: padding is"),
    (lambda: layers.Flatten("channels_first"), "Flatten: data_format is"),
    (lambda: layers.Reshape((0, 3)), r"Reshape: target_shape is \(0, 3\)"),
    (lambda: layers.Reshape((-1, -1)), "has -1 twice"),
    (lambda: layers.BatchNormalization(momentum=2), "BatchNormalization: momentum is 2"),
    (lambda: layers.BatchNormalization(epsilon=0), "BatchNormalization: epsilon is 0"),
    (lambda: layers.BatchNormalization(axis="a"), "BatchNormalization: axis is 'a'"),
    (lambda: layers.ReLU(max_value=-1), "ReLU: max_value is -1"),
    (lambda: layers.LeakyReLU(0.1, alpha=0.2), "LeakyReLU: negative_slope and alpha are one"),
    (lambda: layers.Softmax("a"), "Softmax: axis is 'a'"),
    (lambda: layers.InputLayer(), "InputLayer: a model's input needs a shape"),
]
INPUTS: list[tuple[Any, Any, str]] = [
    (layers.Conv2D(2, 3), (28, 28), r"needs images \(height, width, channels\): Reshape\(\(28,"),
    (layers.MaxPooling2D(), (784,), "needs images"),
    (layers.Conv2D(2, (3, 9)), (8, 8, 1), "its kernel of 3x9 is larger than images of 8x8"),
    (layers.Conv2D(2, 3, dilation_rate=4), (8, 8, 1), "its kernel of 9x9 is larger"),
    (layers.AveragePooling2D((9, 1)), (8, 8, 1), "its window of 9x1 is larger"),
    (layers.Conv2D(2, 3, groups=2), (8, 8, 3), "channels can't be divided into 2 groups"),
    (layers.Reshape((5, 2)), (8,), r"8 elements can't have the shape \(5, 2\)"),
    (layers.Reshape((5, -1)), (8,), "8 elements can't"),
    (layers.Softmax(axis=3), (8,), "axis 3 is out of range"),
    (layers.BatchNormalization(axis=3), (8,), "axis 3 is out of range"),
]


@pytest.mark.parametrize(("make", "message"), ARGUMENTS)
def test_arguments(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(GraphError, match=message) as caught:
        make()
    assert isinstance(caught.value, TypeError | ValueError)
    assert "test_arguments.py:" in str(caught.value)


@pytest.mark.parametrize(("layer", "shape", "message"), INPUTS)
def test_inputs(layer: layers.Layer, shape: Any, message: str) -> None:
    with pytest.raises((GraphError, ValueError), match=message) as caught:
        keras.Sequential([keras.Input(shape=shape), layer])
    assert repr(layer.name) in str(caught.value)
    assert "test_arguments.py:" in str(caught.value)


def test_a_layer_built_for_other_features() -> None:
    dense = layers.Dense(2)
    dense(np.zeros((1, 3), "float32"))
    with pytest.raises(ValueError, match=r"samples of shape \(4,\); it was built for \(3,\)"):
        dense(np.zeros((1, 4), "float32"))
    conv = layers.Conv2D(2, 3)
    conv(np.zeros((1, 5, 5, 1), "float32"))
    assert conv(np.zeros((1, 8, 6, 1), "float32")).shape == (1, 6, 4, 2)
    with pytest.raises(ValueError, match="it was built for"):
        conv(np.zeros((1, 5, 5, 2), "float32"))


def test_arguments_that_change_nothing_are_accepted() -> None:
    layers.Conv2D(2, 3, data_format="channels_last", activity_regularizer=None, dtype="float32")
    layers.Dense(2, kernel_constraint=None, batch_size=3, input_shape=(2,))
    assert layers.Dense(2, batch_input_shape=(None, 5)).given_shape == (5,)
    assert layers.Dense(2, input_dim=5).given_shape == (5,)
    assert layers.MaxPooling2D(2, padding="SAME").padding == "same"
