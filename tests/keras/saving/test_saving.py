"""Models come back from files, and their training goes on bit for bit."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import keras
from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.saving import load_arrays, save_arrays

layers = keras.layers
RNG = np.random.default_rng(0)
X = RNG.random((22, 6, 6, 2)).astype("float32")
Y = RNG.integers(0, 3, 22)


def images(**compiled: Any) -> Any:
    """A model with every kind of weight: rearranged kernels, moving averages, random streams."""
    model = keras.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Conv2D(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(momentum=0.9),
            layers.MaxPooling2D(),
            layers.PReLU(),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(3, activation="softmax", kernel_regularizer="l2"),
        ]
    )
    if compiled:
        model.compile(**compiled)
    return model


def trained(optimizer: Any = "adam", loss: Any = "sparse_categorical_crossentropy") -> Any:
    model = images(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    fit(model)
    return model


def fit(model: Any) -> list[dict[str, Any]]:
    np.random.seed(3)  # noqa: NPY002
    return [model.fit(X, Y, batch_size=5, epochs=1, verbose=0).history]


def check_alike(a: Any, b: Any) -> None:
    """Both have the same bits in all that they keep."""
    for x, y in zip(a.get_weights(), b.get_weights(), strict=True):
        assert x.tobytes() == y.tobytes()
    kept = [[v.get_value() for v in m.optimizer.variables] for m in (a, b)]
    for x, y in zip(*kept, strict=True):
        assert x.tobytes() == y.tobytes()


OPTIMIZERS: dict[str, Callable[[], Any]] = {
    **{name: lambda name=name: name for name in ("adagrad", "adadelta", "adamax", "nadam")},
    "momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True, clipnorm=1.0),
    "centred": lambda: keras.optimizers.RMSprop(0.002, momentum=0.5, centered=True),
    "amsgrad": lambda: keras.optimizers.Adam(amsgrad=True, decay=0.1, weight_decay=0.01),
    "schedule": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.9)
    ),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_bit_for_bit(tmp_path: Path, name: str) -> None:
    model = trained(OPTIMIZERS[name]())
    model.save(tmp_path / "model")
    loaded = keras.models.load_model(tmp_path / "model")
    check_alike(model, loaded)
    assert fit(model) == fit(loaded)
    check_alike(model, loaded)


def test_training_goes_on_after_several_compilations_and_another_rate(tmp_path: Path) -> None:
    """What a draw or a step gives doesn't depend on how often the model was compiled before."""
    model = trained()
    model.compile("sgd", "sparse_categorical_crossentropy")
    fit(model)
    model.train_on_batch(X[:4], Y[:4], sample_weight=np.ones(4))
    model.optimizer.learning_rate = 0.125
    model.save(tmp_path / "model")
    loaded = keras.models.load_model(tmp_path / "model")
    assert float(loaded.optimizer.learning_rate) == 0.125
    assert fit(model) == fit(loaded)
    check_alike(model, loaded)


def test_a_model_that_was_never_trained(tmp_path: Path) -> None:
    model = images(optimizer="adam", loss="sparse_categorical_crossentropy")
    model.save(tmp_path / "model")
    loaded = keras.models.load_model(tmp_path / "model")
    assert fit(model) == fit(loaded)
    check_alike(model, loaded)


def test_frozen_layers_stay_frozen(tmp_path: Path) -> None:
    model = images()
    model.layers[0].trainable = False
    model.compile("adam", "sparse_categorical_crossentropy")
    fit(model)
    model.save(tmp_path / "model")
    loaded = keras.models.load_model(tmp_path / "model")
    assert not loaded.layers[0].trainable
    assert fit(model) == fit(loaded)
    check_alike(model, loaded)


@pytest.mark.parametrize(
    ("loss", "metrics"),
    [
        (keras.losses.SparseCategoricalCrossentropy(), [keras.metrics.SparseCategoricalAccuracy()]),
        (keras.losses.SparseCategoricalCrossentropy, ["acc", "sparse_categorical_accuracy"]),
        (keras.losses.sparse_categorical_crossentropy, [["accuracy"]]),
        (["sparse_categorical_crossentropy"], keras.metrics.SparseTopKCategoricalAccuracy(2)),
    ],
)
def test_losses_and_metrics_by_object_class_or_function(
    tmp_path: Path, loss: Any, metrics: Any
) -> None:
    model = images(optimizer="sgd", loss=loss, metrics=metrics)
    fit(model)
    model.save(tmp_path / "model")
    loaded = keras.models.load_model(tmp_path / "model")
    assert loaded.metrics_names == model.metrics_names
    assert loaded.evaluate(X, Y, verbose=0) == model.evaluate(X, Y, verbose=0)


# --- the user's own classes and functions ---------------------------------------------------------


class Scaled(layers.Layer):
    """A layer of the user's own, with a weight and an argument."""

    def __init__(self, start: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        self.start = start

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight((input_shape[-1],), "ones", name="scale")

    def call(self, x: Any) -> Any:
        return x * self.scale * self.start

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "start": self.start}

    @classmethod
    def from_config(cls, config: Any) -> Any:  # type: ignore[override]
        return cls(**config)


class Halved(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, step: Any) -> Any:
        return self.rate / (1 + step)


def cubed(y_true: Any, y_pred: Any) -> Any:
    return T.mean(abs(y_true - y_pred) ** 3, axis=-1)


def furthest(y_true: Any, y_pred: Any) -> Any:
    return T.max(abs(y_true - y_pred), axis=-1)


def bent(x: Any) -> Any:
    return x + T.sin(x)


def halves(shape: Any, dtype: Any = None) -> Any:
    return np.full(shape, 0.5, dtype)


OWN = {made.__name__: made for made in (bent, halves, Scaled, Halved, cubed, furthest)}


def own_model() -> Any:
    dense = layers.Dense(3, activation=bent, kernel_initializer=halves)
    model = keras.Sequential([layers.Input((4,)), dense, Scaled(2.0), layers.Dense(1)])
    model.compile(keras.optimizers.SGD(Halved(0.01)), cubed, metrics=[furthest])
    return model


def test_custom_objects(tmp_path: Path) -> None:
    model = own_model()
    x, y = X.reshape(22, -1)[:, :4], Y.astype("float32")
    model.fit(x, y, verbose=0)
    model.save(tmp_path / "model")
    loaded = keras.models.load_model(tmp_path / "model", custom_objects=OWN)
    assert loaded.layers[1].start == 2.0
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    again = [m.fit(x, y, shuffle=False, verbose=0).history for m in (model, loaded)]
    assert again[0] == again[1]


@pytest.mark.parametrize("name", OWN)
def test_what_is_not_known_is_named(tmp_path: Path, name: str) -> None:
    own_model().save(tmp_path / "model")
    others = {k: v for k, v in OWN.items() if k != name}
    with pytest.raises(SavedFileError, match=rf"model: .*'{name}'.*custom_objects"):
        keras.models.load_model(tmp_path / "model", custom_objects=others)


def test_without_compile_only_layers_must_be_known(tmp_path: Path) -> None:
    own_model().save(tmp_path / "model")
    of_layers = {name: OWN[name] for name in ("Scaled", "bent", "halves")}
    loaded = keras.models.load_model(tmp_path / "model", of_layers, compile=False)
    assert not loaded.compiled


# --- weights --------------------------------------------------------------------------------------


def test_weights_have_names_and_keras_shapes(tmp_path: Path) -> None:
    keras.layers.naming.reset_names()
    model = images()
    model.save_weights(tmp_path / "w.safetensors")
    arrays = load_arrays(tmp_path / "w.safetensors").arrays
    assert arrays["conv2d/kernel"].shape == (3, 3, 2, 4)
    assert arrays["batch_normalization/gamma"].shape == (4,)
    assert arrays["batch_normalization/moving_variance"].shape == (4,)
    assert arrays["dense/bias"].shape == (3,)
    named = dict(zip([p for p, _ in model.named_weights()], model.get_weights(), strict=True))
    assert arrays.keys() == named.keys()
    for name, value in named.items():
        assert arrays[name].tobytes() == value.tobytes()


@pytest.mark.parametrize("method", ["save", "save_weights"])
def test_weights_of_a_second_model_of_the_same_lines(tmp_path: Path, method: str) -> None:
    """Its layers have other names: conv2d_2 for conv2d."""
    model, other = trained(), images()
    getattr(model, method)(tmp_path / "f")
    assert model.layers[0].name != other.layers[0].name
    other.load_weights(tmp_path / "f")
    np.testing.assert_array_equal(other.predict(X, verbose=0), model.predict(X, verbose=0))


def test_arrays_by_another_program(tmp_path: Path) -> None:
    model = keras.Sequential([layers.Input((2,)), layers.Dense(1, name="d")])
    arrays = {"d/kernel": np.array([[1.0], [2.0]]), "d/bias": np.array([0.5], np.float16)}
    save_arrays(tmp_path / "f", arrays)
    model.load_weights(tmp_path / "f")
    assert model.predict(np.ones((1, 2)), verbose=0).item() == 3.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"d/kernel": None}, "it lacks d/kernel"),
        ({"e/kernel": np.zeros(1)}, "the model has no e/kernel"),
        (
            {"d/kernel": np.zeros((1, 2))},
            r"d/kernel has the shape \(1, 2\); the model's has \(",
        ),
        ({"d/bias": np.zeros(1, int)}, "d/bias has the dtype int64; the model's has float32"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    model = keras.Sequential([layers.Input((2,)), layers.Dense(1, name="d")])
    before = model.get_weights()
    arrays = {"d/bias": np.ones(1), "d/kernel": np.ones((2, 1)), **changes}
    save_arrays(tmp_path / "f", {k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(SavedFileError, match=rf"/f: .*{message}"):
        model.load_weights(tmp_path / "f")
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [".keras", ".h5", ".safetensors", ".weights.h5", ""])
def test_any_ending(tmp_path: Path, ending: str) -> None:
    model = images()
    model.save(str(tmp_path / f"model{ending}"))
    loaded = keras.models.load_model(str(tmp_path / f"model{ending}"))
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_overwrite(tmp_path: Path) -> None:
    model = images()
    keras.models.save_model(model, tmp_path / "f")
    for save in (model.save, model.save_weights):
        with pytest.raises(FileExistsError, match="f is there already"):
            save(tmp_path / "f", overwrite=False)


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: Any) -> None:
    model = images()
    model.save(tmp_path / "f")
    before = (tmp_path / "f").read_bytes()

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: .*f'"):
        model.save(tmp_path / "f")
    assert (tmp_path / "f").read_bytes() == before
    assert os.listdir(tmp_path) == ["f"]


def test_a_model_without_weights_yet(tmp_path: Path) -> None:
    model = keras.Sequential([layers.Dense(2)])
    for method in (model.save, model.save_weights, model.load_weights, model.export):
        with pytest.raises(ValueError, match="its input's shape is not known"):
            method(tmp_path / "f")
    assert not os.listdir(tmp_path)


DESCRIPTIONS = {
    "no description": (None, "it says nothing of a model"),
    "another format": ({"format": "other"}, "it says nothing of a model"),
    "a list": ([1], "it says nothing of a model"),
    "a newer version": (
        {"format": "tinygrad_mnist.keras", "version": 9, "weights": []},
        "version 9 of the format; this release reads version 1",
    ),
    "no weights": ({"format": "tinygrad_mnist.keras", "version": 1}, "no list of the weights"),
    "weights alone": (
        {"format": "tinygrad_mnist.keras", "version": 1, "weights": []},
        "has weights alone; model.load_weights reads them",
    ),
}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_a_file_that_is_no_model(tmp_path: Path, name: str) -> None:
    description, message = DESCRIPTIONS[name]
    save_arrays(tmp_path / "f", {"x": np.zeros(2)}, description)
    with pytest.raises(SavedFileError, match=rf"f.*{message}"):
        keras.models.load_model(tmp_path / "f")


def nested(depth: int) -> Any:
    value: Any = []
    for _ in range(depth):
        value = [value]
    return value


def stacked(depth: int) -> Any:
    """A model in a model in a model."""
    model: Any = {"class_name": "Sequential", "config": {"layers": []}}
    for _ in range(depth):
        model = {"class_name": "Sequential", "config": {"layers": [model]}}
    return model


@pytest.mark.parametrize(
    "model",
    [
        None,
        "Sequential",
        {"class_name": "Sequential"},
        {"class_name": "Sequential", "config": 3},
        {"class_name": "Sequential", "config": {"layers": 3}},
        {"class_name": "Sequential", "config": {"layers": [3]}},
        {"class_name": "Sequential", "config": {"layers": [{"class_name": "Dense"}]}},
        {"class_name": "Sequential", "config": {"build_input_shape": [None, -1]}},
        {"class_name": "Sequential", "config": {"build_input_shape": "x"}},
        {"class_name": "Dense", "config": {"units": 2}},
        {"class_name": "Functional", "config": {}},
        {"class_name": "Sequential", "config": {"layers": [nested(400)]}},
        stacked(200),
    ],
)
def test_a_description_that_makes_no_model(tmp_path: Path, model: Any) -> None:
    """Whatever a file says, the error names it, and no other kind of error comes out."""
    description = {"format": "tinygrad_mnist.keras", "version": 1, "weights": [], "model": model}
    save_arrays(tmp_path / "f", {"x": np.zeros(2)}, description)
    with pytest.raises(SavedFileError, match=r"/f"):
        keras.models.load_model(tmp_path / "f")


# --- JSON -----------------------------------------------------------------------------------------


def test_layers_as_json() -> None:
    model = images()
    text = model.to_json(indent=1)
    again = keras.models.model_from_json(text)
    assert again.to_json() == model.to_json() == json.dumps(json.loads(text))
    assert [w.shape for w in again.get_weights()] == [w.shape for w in model.get_weights()]


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"class_name": "Nothing"}', "[" * 100_000])
def test_json_that_is_no_model(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        keras.models.model_from_json(text)
