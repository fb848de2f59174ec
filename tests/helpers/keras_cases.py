"""Settings and data of which Keras's results are kept in tests/keras/golden/rules.json.

The script beside that file runs Keras on them; the tests run this package's functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
STEPS = 20
KEPT = (1, 2, STEPS)  # steps after which parameters are compared

_COMMON: list[dict[str, Any]] = [
    {},
    {"clipnorm": 0.7},
    {"clipvalue": 0.3},
    {"global_clipnorm": 0.9},
    {"weight_decay": 0.02},
]
# Classes with arguments; each also with the defaults and with every argument of all.
_OWN: dict[str, list[dict[str, Any]]] = {
    "SGD": [
        {"learning_rate": 0.1, "momentum": 0.9},
        {"momentum": 0.8, "nesterov": True},
        {"momentum": 1.0},
    ],
    "RMSprop": [
        {"rho": 0.5, "epsilon": 0.01},
        {"centered": True},
        {"momentum": 0.9},
        {"centered": True, "momentum": 0.5, "learning_rate": 0.05},
    ],
    "Adagrad": [{"initial_accumulator_value": 0.0, "epsilon": 0.5}, {"learning_rate": 0.3}],
    "Adadelta": [{"learning_rate": 1.0}, {"rho": 0.5, "epsilon": 0.1}],
    "Adam": [
        {"beta_1": 0.5, "beta_2": 0.7},
        {"epsilon": 1.0},
        {"amsgrad": True, "beta_2": 0.3},
    ],
    "AdamW": [{"weight_decay": 0.1, "learning_rate": 0.05}, {"amsgrad": True}],
    "Adamax": [{"beta_1": 0.5, "beta_2": 0.3}, {"epsilon": 0.1}],
    "Nadam": [{"beta_1": 0.5, "beta_2": 0.7}, {"epsilon": 0.1, "learning_rate": 0.1}],
}
OPTIMIZERS = [(name, options) for name, own in _OWN.items() for options in [*_COMMON, *own]]

SCHEDULES: list[tuple[str, dict[str, Any]]] = [
    (name, {"initial_learning_rate": 0.3, "decay_steps": 4, "decay_rate": 0.6, "staircase": s})
    for name in ("ExponentialDecay", "InverseTimeDecay")
    for s in (False, True)
]
SCHEDULES += [
    ("PolynomialDecay", {"initial_learning_rate": 0.3, "decay_steps": 5, **more})
    for more in (
        {},
        {"end_learning_rate": 0.1, "power": 0.5},
        {"end_learning_rate": 0.1, "power": 2.0, "cycle": True},
    )
]
SCHEDULES += [
    ("CosineDecay", {"initial_learning_rate": 0.3, "decay_steps": 5, **more})
    for more in ({}, {"alpha": 0.2}, {"alpha": 0.1, "warmup_target": 0.9, "warmup_steps": 3})
]
SCHEDULES += [("PiecewiseConstantDecay", {"boundaries": [2, 7], "values": [0.5, 0.25, 0.125]})]
SCHEDULE_STEPS = (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 11, 100)


def parameters() -> list[Array]:
    """A matrix and a vector."""
    rng = np.random.default_rng(11)
    return [rng.normal(size=(3, 2)), rng.normal(size=2)]


def gradients() -> list[list[Array]]:
    """The gradients of every step, of many sizes; some elements are 0."""
    rng = np.random.default_rng(12)
    steps = []
    for i in range(STEPS):
        scale = 10.0 ** rng.uniform(-3, 1)
        both = [scale * rng.normal(size=(3, 2)), scale * rng.normal(size=2)]
        both[0][0, 0] = 0.0  # in every step
        if i % 3 == 0:
            both[1][...] = 0.0
        steps.append(both)
    return steps


def predictions() -> dict[str, Array]:
    """Classes, one-hot rows, logits, probabilities and weights of six samples."""
    rng = np.random.default_rng(13)
    logits = rng.normal(size=(6, 4)) * 3
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    classes = np.array([0, 3, 1, 1, 2, 0])
    rows = rng.uniform(size=(6, 4))
    rows[0] = [1, 0, 0, 0]  # a certain prediction that is right, and one that is wrong
    rows[1] = [0, 5, 0, 0]
    return {
        "logits": logits,
        "softmax": exponentials / exponentials.sum(axis=1, keepdims=True),
        "sigmoid": 1 / (1 + np.exp(-logits)),
        "rows": rows,
        "clipped": np.clip(rows, 0, 1),
        "classes": classes,
        "one_hot": np.eye(4)[classes],
        "binary": np.eye(4)[classes][::-1].copy(),
        "weights": rng.uniform(size=6),
    }


# Losses: class, arguments, names of y_true and y_pred in `predictions`.
_SMOOTH = {"label_smoothing": 0.2}
LOSSES: list[tuple[str, dict[str, Any], str, str]] = [
    ("CategoricalCrossentropy", {}, "one_hot", "softmax"),
    ("CategoricalCrossentropy", {}, "one_hot", "rows"),
    ("CategoricalCrossentropy", {"from_logits": True}, "one_hot", "logits"),
    ("CategoricalCrossentropy", _SMOOTH, "one_hot", "softmax"),
    ("CategoricalCrossentropy", {**_SMOOTH, "from_logits": True}, "one_hot", "logits"),
    ("SparseCategoricalCrossentropy", {}, "classes", "softmax"),
    ("SparseCategoricalCrossentropy", {}, "classes", "rows"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "classes", "logits"),
    ("BinaryCrossentropy", {}, "binary", "sigmoid"),
    ("BinaryCrossentropy", {}, "binary", "clipped"),
    ("BinaryCrossentropy", {"from_logits": True}, "binary", "logits"),
    ("BinaryCrossentropy", _SMOOTH, "binary", "sigmoid"),
    ("MeanSquaredError", {}, "one_hot", "rows"),
    ("MeanAbsoluteError", {}, "one_hot", "rows"),
]
REDUCTIONS = ("sum_over_batch_size", "sum", "none")

METRICS: list[tuple[str, dict[str, Any], str, str]] = [
    ("Accuracy", {}, "one_hot", "binary"),
    ("BinaryAccuracy", {}, "binary", "sigmoid"),
    ("BinaryAccuracy", {"threshold": 0.9}, "binary", "sigmoid"),
    ("CategoricalAccuracy", {}, "one_hot", "rows"),
    ("SparseCategoricalAccuracy", {}, "classes", "rows"),
    *(("TopKCategoricalAccuracy", {"k": k}, "one_hot", "logits") for k in (1, 2, 3, 4, 9)),
    *(("SparseTopKCategoricalAccuracy", {"k": k}, "classes", "logits") for k in (1, 2, 3)),
]

# Initializers whose numbers are scaled by the shape; of these, what Keras asks its generator for.
SCALED = ["GlorotUniform", "GlorotNormal", "HeUniform", "HeNormal", "LecunUniform", "LecunNormal"]
SHAPES = [(7,), (784, 100), (3, 3, 1, 32), (5, 5, 32, 64), (3, 8, 16)]

REGULARIZERS: list[tuple[str, dict[str, float]]] = [
    ("L1", {}),
    ("L2", {}),
    ("L1L2", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {"l2": 0.2}),
    ("L1L2", {"l1": 0.1, "l2": 0.2}),
]
