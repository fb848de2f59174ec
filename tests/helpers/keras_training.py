"""Training runs of which Keras's results are kept in tests/keras/golden/training.json.

Each function takes the module `keras`: that of Keras, or this package's. So both run the same code.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
N, CLASSES = 107, 10  # samples: the last batch of an epoch is short
SIZE = 10  # of a batch
_FITTED = {"batch_size": SIZE, "epochs": 2, "shuffle": False, "verbose": 0}


def data() -> dict[str, Array]:
    """Images with classes that depend on them, and other labels."""
    rng = np.random.default_rng(5)
    images = rng.uniform(size=(N + 40, 8, 8, 1)).astype("float32")
    classes = (images[:, :5, :2].reshape(len(images), -1)).argmax(axis=1)
    return {
        "x": images,
        "classes": classes.astype("uint8"),
        "one_hot": np.eye(CLASSES, dtype="float32")[classes],
        "binary": (images.mean(axis=(1, 2, 3)) > 0.5).astype("int8"),
        "real": images.sum(axis=(1, 2, 3))[:, None] / 32,
        "weights": rng.uniform(size=len(images)),
    }


@dataclass(frozen=True)
class Case:
    """layers, compiled: of a module `keras`: the model's layers and the arguments of `compile`.
    y: the name of the labels. fit: arguments of `fit`; arrays are given by name."""

    layers: Callable[[Any], list[Any]]
    compiled: Callable[[Any], dict[str, Any]]
    y: str = "classes"
    fit: dict[str, Any] = field(default_factory=dict)


def _dense(keras: Any) -> list[Any]:
    layers = keras.layers
    return [layers.Flatten(), layers.Dense(16, activation="relu"), _softmax(keras)]


def _softmax(keras: Any) -> Any:
    return keras.layers.Dense(CLASSES, activation="softmax")


def _conv(keras: Any) -> list[Any]:
    layers = keras.layers
    return [
        layers.Conv2D(4, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(6, 3, padding="same", activation="relu"),
        layers.Dropout(0.0),
        layers.Flatten(),
        layers.Dense(12, activation="relu"),
        _softmax(keras),
    ]


def _normalized(keras: Any) -> list[Any]:
    layers = keras.layers
    return [
        layers.Conv2D(6, 3, strides=2, padding="same", use_bias=False),
        layers.BatchNormalization(scale=False, center=True),
        layers.Activation("relu"),
        layers.Flatten(),
        layers.Dense(12, use_bias=False),
        layers.BatchNormalization(momentum=0.8),
        layers.Activation("relu"),
        _softmax(keras),
    ]


def _regularized(keras: Any) -> list[Any]:
    layers, regularizers = keras.layers, keras.regularizers
    return [
        layers.Conv2D(4, 3, activation="relu", kernel_regularizer=regularizers.L2(0.01)),
        layers.Flatten(),
        layers.Dense(
            CLASSES,
            activation="softmax",
            kernel_regularizer="l1",
            bias_regularizer=regularizers.L2(0.02),
        ),
    ]


def _one(activation: str | None) -> Callable[[Any], list[Any]]:
    def layers_of(keras: Any) -> list[Any]:
        layers = keras.layers
        return [
            layers.Flatten(),
            layers.Dense(8, activation="tanh"),
            layers.Dense(1, activation=activation),
        ]

    return layers_of


def _logits(keras: Any) -> list[Any]:
    return [keras.layers.Flatten(), keras.layers.Dense(CLASSES)]


def _named(optimizer: Any, loss: Any, metrics: Any = ("accuracy",), **more: Any) -> Any:
    return lambda keras: {"optimizer": optimizer, "loss": loss, "metrics": [*metrics], **more}


def squared(y_true: Any, y_pred: Any) -> Any:
    """A loss of the user's."""
    return (y_true - y_pred) ** 2


def offset(y_true: Any, y_pred: Any) -> Any:
    """A metric of the user's."""
    return y_pred - y_true


_SPARSE = "sparse_categorical_crossentropy"
_VALIDATED = {"validation_data": ("val_x", "val_y")}
CASES: dict[str, Case] = {
    "dense, SGD": Case(_dense, _named("sgd", _SPARSE)),
    "dense, Adam, one-hot": Case(
        _dense,
        _named("adam", "categorical_crossentropy", ["accuracy", "mse"]),
        "one_hot",
        _VALIDATED,
    ),
    "logits, RMSprop, validation_split": Case(
        _logits,
        lambda keras: {
            "optimizer": keras.optimizers.RMSprop(0.01),
            "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            "metrics": ["acc", "sparse_categorical_crossentropy"],
        },
        fit={"validation_split": 0.2},
    ),
    "smooth, sum": Case(
        _dense,
        lambda keras: {
            "optimizer": keras.optimizers.SGD(0.01, momentum=0.9, nesterov=True),
            "loss": keras.losses.CategoricalCrossentropy(label_smoothing=0.1, reduction="sum"),
            "metrics": {"dense": ["accuracy", keras.metrics.TopKCategoricalAccuracy(k=3)]},
        },
        "one_hot",
    ),
    "conv, Adam": Case(_conv, _named("adam", _SPARSE), fit=_VALIDATED),
    "conv, SGD": Case(_conv, _named("sgd", _SPARSE), fit=_VALIDATED),
    "conv, RMSprop": Case(_conv, _named("rmsprop", _SPARSE), fit=_VALIDATED),
    "normalized, Adam": Case(
        _normalized, _named("adam", _SPARSE), fit={**_VALIDATED, "validation_batch_size": 16}
    ),
    "normalized, SGD": Case(_normalized, _named("sgd", _SPARSE), fit=_VALIDATED),
    "regularized": Case(_regularized, _named("sgd", _SPARSE), fit=_VALIDATED),
    "class weights": Case(
        _dense,
        _named("sgd", _SPARSE, weighted_metrics=["accuracy"]),
        fit={"class_weight": {0: 5.0, 3: 0.0, 7: 0.5}, **_VALIDATED},
    ),
    "class weights, one-hot": Case(
        _dense,
        _named("sgd", "categorical_crossentropy"),
        "one_hot",
        {"class_weight": {0: 5.0, 3: 0.0, 7: 0.5}},
    ),
    "sample weights": Case(
        _conv,
        _named("adam", _SPARSE, ["accuracy"], weighted_metrics=["accuracy", _SPARSE]),
        fit={"sample_weight": "weights", "validation_data": ("val_x", "val_y", "val_weights")},
    ),
    "binary": Case(_one("sigmoid"), _named("adam", "binary_crossentropy"), "binary", _VALIDATED),
    "regression": Case(_one(None), _named("sgd", "mse", ["mae", offset]), "real", _VALIDATED),
    "own loss": Case(_one(None), _named("rmsprop", squared, [squared]), "real", _VALIDATED),
    "steps": Case(
        _dense, _named("sgd", _SPARSE), fit={"steps_per_epoch": 4, "epochs": 5, **_VALIDATED}
    ),
    "steps, no batch size": Case(
        _dense,
        _named("sgd", _SPARSE),
        fit={"steps_per_epoch": 7, "batch_size": None, "epochs": 2},
    ),
    "validation now and then": Case(
        _dense,
        _named("adam", _SPARSE),
        fit={"epochs": 5, "initial_epoch": 1, "validation_freq": [2, 5], **_VALIDATED},
    ),
    "validation steps": Case(
        _dense, _named("adam", _SPARSE), fit={**_VALIDATED, "validation_steps": 2}
    ),
}


def model(keras: Any, case: Case) -> Any:
    """The compiled model, with weights that don't depend on the initializers."""
    made = keras.Sequential([keras.Input(shape=(8, 8, 1)), *case.layers(keras)])
    rng = np.random.default_rng(6)
    made.set_weights(
        [
            w if w.ndim == 1 else rng.normal(size=w.shape) / np.sqrt(w[..., 0].size)
            for w in made.get_weights()
        ]
    )
    made.compile(**case.compiled(keras))
    return made


def arguments(case: Case) -> dict[str, Any]:
    """Those of `fit`, with x and y."""
    every = data()
    every["y"] = every[case.y]
    arrays = {name: array[:N] for name, array in every.items()}
    arrays |= {f"val_{name}": array[N:] for name, array in every.items()}
    found: dict[str, Any] = {"x": arrays["x"], "y": arrays["y"], **_FITTED}
    for name, value in case.fit.items():
        if isinstance(value, tuple):
            found[name] = tuple(arrays[v] for v in value)
        else:
            found[name] = arrays[value] if isinstance(value, str) else value
    return found


def results(keras: Any, case: Case, keeps_batches: bool = True) -> dict[str, Any]:
    """What a run gives: the logs of the first ten batches, the history, an evaluation, weights."""
    kept: list[dict[str, float]] = []

    class Keep(keras.callbacks.Callback):  # type: ignore[misc]
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            kept.append({name: float(value) for name, value in logs.items()})

    made, given = model(keras, case), arguments(case)
    history = made.fit(**given, callbacks=[Keep()] if keeps_batches else None)
    x, y = data()["x"][N:], data()[case.y][N:]
    evaluated = made.evaluate(x, y, batch_size=16, verbose=0, return_dict=True)
    return {
        "batches": kept[:10],
        "history": history.history,
        "evaluated": {name: float(value) for name, value in evaluated.items()},
        "predicted": np.asarray(made.predict(x[:3], verbose=0), "float64").ravel().tolist(),
        "on_batch": {
            name: float(value)
            for name, value in made.train_on_batch(x[:7], y[:7], return_dict=True).items()
        },
        "sums": [float(np.abs(w).sum(dtype="float64")) for w in made.get_weights()],
    }
