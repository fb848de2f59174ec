"""Models whose images have a constant background, so that pools find many equal maxima: for
golden/make_ties.py and its test."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.keras_layers import LAST, Array, Layers

IMAGES = (11, 12, 1)
STEPS = 10


def _conv(filters: int, **options: Any) -> tuple[str, dict[str, Any]]:
    return ("Conv2D", {"filters": filters, "kernel_size": 3, "activation": "relu", **options})


def _pool(**options: Any) -> tuple[str, dict[str, Any]]:
    return ("MaxPooling2D", options)


FLAT: tuple[str, dict[str, Any]] = ("Flatten", {})
MODELS: dict[str, Layers] = {
    "two pools": [_conv(6), _pool(), _conv(5), _pool(), FLAT, *LAST],
    "no ReLU": [_conv(6, activation="linear"), _pool(), FLAT, *LAST],
    "tanh": [_conv(6, activation="tanh"), _pool(pool_size=3), FLAT, *LAST],
    "images": [_pool(), _conv(4), FLAT, *LAST],
    "overlapping": [_conv(4), _pool(pool_size=3, strides=2, padding="same"), FLAT, *LAST],
    "odd windows": [_conv(4), _pool(pool_size=(3, 2), strides=(1, 2)), _conv(3), FLAT, *LAST],
    "cut": [_conv(4), _pool(pool_size=(4, 5), padding="same"), FLAT, *LAST],
    "many positions": [_conv(4), _pool(pool_size=(5, 7), strides=(2, 3)), FLAT, *LAST],
    "after a batch norm": [
        _conv(4, activation=None),
        ("BatchNormalization", {}),
        ("Activation", {"activation": "relu"}),
        _pool(),
        FLAT,
        *LAST,
    ],
    "whole images": [_conv(6, padding="same"), ("GlobalMaxPooling2D", {}), *LAST],
}
RULES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {"learning_rate": 0.05}),
    ("Adam", {"learning_rate": 0.01}),
]


def training_data() -> tuple[Array, Array]:
    """Images and labels of all steps: (STEPS, 16, *IMAGES), (STEPS, 16). Around a few grey pixels
    and white ones, all are black."""
    rng = np.random.default_rng(4)
    images = np.zeros((STEPS, 16, *IMAGES), "float32")
    images[:, :, 3:8, 4:9] = rng.choice([0, 0.5, 1, 1, 1], (STEPS, 16, 5, 5, 1))
    return images, rng.integers(0, 10, (STEPS, 16))
