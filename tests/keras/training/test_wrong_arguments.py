"""Errors name what is wrong, before the first step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.small_sequential import classifier, samples

from tinygrad_mnist import keras

X, Y = samples(20)
ONE_HOT = np.eye(3)[Y]
NAN = np.where(np.arange(20) == 4, np.nan, Y)
SPARSE = "sparse_categorical_crossentropy"
CATEGORICAL = "categorical_crossentropy"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"y": Y[:19]}, r"x has 20 samples and y has 19; their shapes are \(20, 6\) and \(19,\)"),
        ({"y": None}, "x comes without y"),
        ({"x": X[:0], "y": Y[:0]}, r"x has no samples; its shape is \(0, 6\)"),
        ({"x": X[:, :5]}, r"x has the shape \(20, 5\); .* takes \(None, 6\)"),
        ({"x": X[0], "y": Y[:6]}, "one sample is a batch"),
        ({"x": np.array(["a"] * 20)}, "x is"),
        ({"x": None}, "x is None"),
        ({"x": 5}, "x is the single number 5"),
        ({"x": X.astype(complex)}, "x has the dtype complex128"),
        ({"y": np.array(["cat"] * 20)}, "y is"),
        (
            {"y": ONE_HOT},
            r"y is \(20, 3\), rows like one-hot ones; .* Use categorical_crossentropy",
        ),
        (
            {"y": np.zeros((20, 7))},
            r"y is \(20, 7\); sparse_categorical_crossentropy takes a class",
        ),
        ({"y": Y + 1}, r"y\[\d+\] is 3; the model has 3 outputs, so classes are the integers 0..2"),
        ({"y": Y - 1}, r"y\[\d+\] is -1; the model has 3 outputs"),
        ({"y": Y + 0.5}, r"y\[0\] is \d.5; the model has 3 outputs"),
        ({"y": NAN}, r"y\[4\] is nan; labels have to be finite"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"epochs": -1}, "epochs is -1"),
        ({"epochs": "3"}, "epochs is '3'"),
        ({"steps_per_epoch": 0}, "steps_per_epoch is 0"),
        ({"verbose": 3}, "verbose is 3; it can be 'auto', 0, 1 or 2"),
        ({"shuffle": "batches"}, "shuffle is 'batches'"),
        ({"validation_split": 1.5}, r"validation_split is 1.5; it must be in 0..1"),
        ({"validation_split": 0.99}, "of 20 samples, 0 are left to train and 20 to validate"),
        ({"validation_freq": 0}, "validation_freq is 0"),
        ({"validation_freq": [1, 0]}, "an epoch in validation_freq is 0"),
        ({"validation_freq": "2"}, "validation_freq is '2'"),
        ({"validation_data": 5}, "validation_data is 5; it is"),
        ({"validation_data": X}, "validation_data is .*; it is"),
        ({"validation_data": (X,)}, "validation_data"),
        ({"validation_data": (X, Y, Y, Y)}, "validation_data"),
        ({"validation_data": (X, Y[:5])}, "validation x has 20 samples and validation y has 5"),
        ({"validation_data": (X, Y + 3)}, r"validation y\[0\] is"),
        ({"sample_weight": np.ones(3)}, "x has 20 samples and sample_weight has 3"),
        ({"class_weight": {0: 1.0}, "sample_weight": np.ones(20)}, "at the same time"),
        ({"class_weight": [1, 2]}, "class_weight is"),
        ({"class_weight": {0: -1.0}}, "a class's weight"),
        ({"class_weight": {"a": 1.0}}, "a class in class_weight"),
        ({"callbacks": keras.callbacks.History}, "callbacks has the class History"),
        ({"nb_epoch": 3}, "fit has no argument 'nb_epoch'; in its place is epochs"),
        ({"workers": 3}, "fit has no argument 'workers'"),
        ({"nonsense": 3}, "fit has no argument 'nonsense'"),
    ],
)
def test_arguments_of_fit(given: dict[str, Any], message: str) -> None:
    model = classifier()
    before = model.get_weights()
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(**{"x": X, "y": Y, "verbose": 0, **given})
    assert all(map(np.array_equal, before, model.get_weights()))
    assert int(model.optimizer.iterations.get_value()) == 0


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (
            CATEGORICAL,
            Y,
            r"y is \(20,\), a class per sample; .* keras.utils.to_categorical\(y, 3\)",
        ),
        (CATEGORICAL, Y[:, None], r"y is \(20, 1\), a class per sample"),
        (CATEGORICAL, ONE_HOT[:, :2], r"y is \(20, 2\); the model's output is \(n, 3\)"),
        (CATEGORICAL, np.where(ONE_HOT, np.inf, 0), r"y\[0\] is inf"),
        ("mse", Y, r"y is \(20,\); mean_squared_error compares it with the output, \(n, 3\)"),
        ("mae", ONE_HOT[:, :1], r"y is \(20, 1\); mean_absolute_error compares"),
        ("binary_crossentropy", Y, r"y is \(20,\); binary_crossentropy compares"),
        (keras.losses.sparse_categorical_crossentropy, ONE_HOT, "rows like one-hot ones"),
        (keras.losses.CategoricalCrossentropy(), Y, "a class per sample"),
        (keras.losses.SparseCategoricalCrossentropy(reduction="none"), Y, "has to be a scalar"),
        (None, Y, r"there is no loss: compile\(loss=...\) names one"),
    ],
)
def test_labels_that_do_not_fit_the_loss(loss: Any, y: Any, message: str) -> None:
    model = classifier(loss=loss, metrics=None)
    with pytest.raises((TypeError, ValueError), match=message):
        model.fit(X, y, verbose=0)
    with pytest.raises((TypeError, ValueError), match=message):
        model.evaluate(X, y, verbose=0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"optimizer": "sdg"}, "there is no optimizer 'sdg'"),
        ({"loss": "crossentropi"}, "there is no loss 'crossentropi'"),
        ({"metrics": ["accurasy"]}, "there is no metric 'accurasy'"),
        ({"metrics": [["accuracy"], [3]]}, "3 is no metric"),
        ({"loss": ["mse", "mae"]}, "loss has 2 elements; the model has one output"),
        ({"loss_weights": [1, 2]}, "loss_weights has 2 elements"),
    ],
)
def test_arguments_of_compile(given: dict[str, Any], message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        classifier(**given)


def test_methods_that_need_compile() -> None:
    model = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    for method in ("fit", "evaluate", "train_on_batch", "test_on_batch"):
        with pytest.raises(ValueError, match=rf"You must call `compile\(\)` before `{method}\(\)`"):
            getattr(model, method)(X, Y)
    assert model.predict(X, verbose=0).shape == (20, 3)
    assert model.predict_on_batch(X).shape == (20, 3)
    assert model.metrics_names == []


@pytest.mark.parametrize("name", ["fit_generator", "predict_classes", "evaluate_generator"])
def test_methods_of_the_past(name: str) -> None:
    model = classifier()
    assert not hasattr(model, name)
    with pytest.raises(AttributeError, match=f"{name} isn't in Keras since 3; "):
        getattr(model, name)


def test_image_shapes() -> None:
    layers = keras.layers
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Flatten(), layers.Dense(3)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    with pytest.raises(ValueError, match=r"x has the shape \(20, 4, 4\); .* \(None, 4, 4, 3\)"):
        model.fit(np.zeros((20, 4, 4)), Y, verbose=0)
