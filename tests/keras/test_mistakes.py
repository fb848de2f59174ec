"""A beginner's mistakes, and names that aren't here: the messages say what to write."""

from __future__ import annotations

import numpy as np
import pytest

from tinygrad_mnist import keras, tf

X = np.random.default_rng(0).random((70, 8, 8, 2)).astype("float32")


def test_errors_say_what_is_in_the_place_of_what_is_missing() -> None:
    with pytest.raises(NotImplementedError, match=r"datasets\.augment"):
        keras.preprocessing.image.ImageDataGenerator(rotation_range=10)
    with pytest.raises(NotImplementedError, match=r"model\.summary"):
        keras.utils.plot_model(keras.Sequential(), to_file="model.png")
    with pytest.raises(TypeError, match="'border_mode'; in its place is padding"):
        keras.layers.Conv2D(3, 3, border_mode="same")
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
    with pytest.raises(AttributeError, match=r"use predict\(x\)\.argmax"):
        model.predict_classes(X)
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(TypeError, match="did you mean 'epochs'"):
        model.fit(X, np.zeros(70), epoch=3)


def test_a_missing_flatten_is_named() -> None:
    model = keras.Sequential([keras.layers.Dense(10, activation="softmax")])
    for loss in ("sparse_categorical_crossentropy", "categorical_crossentropy", "mse"):
        model.compile("sgd", loss)
        y = np.zeros(70, int) if loss.startswith("sparse") else np.zeros((70, 10))
        with pytest.raises(ValueError, match="is a Flatten missing"):
            model.fit(X[..., 0], y)


def test_lists_of_inputs_and_texts_are_named() -> None:
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match=r"x is a list of 2.*give the array of all samples"):
        model.fit([X, X], np.zeros(70))
    with pytest.raises(TypeError, match=r"x is 'train\.csv'"):
        model.fit("train.csv", "label")
    with pytest.raises(TypeError, match=r"batch\(32\) makes"):
        model.fit(tf.data.Dataset.from_tensor_slices((X, np.zeros(70))))
