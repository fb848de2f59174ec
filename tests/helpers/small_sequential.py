"""A small classifier and data for it, to train in tests."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist import keras

FEATURES, CLASSES = 6, 3


def samples(n: int, seed: int = 0) -> tuple[Any, Any]:
    """n samples that a linear model can tell apart, float32, and their classes."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, FEATURES), np.float32)
    return x, x[:, :CLASSES].argmax(axis=1)


def classifier(*layers: Any, **compiled: Any) -> keras.Sequential:
    """Softmax regression behind further layers; the same weights each time."""
    settings: dict[str, Any] = {
        "optimizer": keras.optimizers.SGD(0.5),
        "loss": "sparse_categorical_crossentropy",
        "metrics": ["accuracy"],
        **compiled,
    }
    head = keras.layers.Dense(CLASSES, activation="softmax")
    model = keras.Sequential([keras.Input((FEATURES,)), *layers, head])
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(size=w.shape) / 4 for w in model.get_weights()])
    model.compile(**settings)
    return model


def weights_equal(a: Any, b: Any) -> bool:
    """Whether two models have the same weights, bit for bit."""
    return all(map(np.array_equal, a.get_weights(), b.get_weights()))
