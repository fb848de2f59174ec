"""Whatever a file says of its model, it loads or the error is a SavedFileError that names it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tinygrad_mnist import keras
from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.saving import Saved, load_arrays, save_arrays

layers = keras.layers
VALUES: tuple[Any, ...] = (
    *(None, True, 0, -1, 3, 2.5, float("nan"), 1e300, "", "x", "relu", "Sequential"),
    *([], [1], [None, 2], [[1]], {}, {"a": 1}, {"class_name": "Dense"}, {"function": "f"}),
    {"class_name": "L2", "config": {"l2": "a"}},
    {"class_name": [], "config": 3},
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    model = keras.Sequential(
        [
            layers.Input((6, 6, 2)),
            layers.Conv2D(2, 3, padding="same", activation="relu", kernel_regularizer="l2"),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dropout(0.25),
            layers.Dense(3, activation="softmax"),
        ]
    )
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, 3, 0.9)
    loss = keras.losses.SparseCategoricalCrossentropy()
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    path = tmp_path_factory.mktemp("saved") / "model"
    model.save(path)
    return load_arrays(path)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every entry of JSON data."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield (*path, key)
            yield from places(value[key], (*path, key))


@pytest.mark.parametrize("seed", range(2))
def test_an_entry_that_is_another_or_missing(tmp_path: Path, saved: Saved, seed: int) -> None:
    random, path = Random(seed), tmp_path / "model"
    loaded = 0
    for *outer, key in places(saved.description):
        description = copy.deepcopy(saved.description)
        entry = description
        for step in outer:
            entry = entry[step]
        if isinstance(entry, dict) and random.random() < 0.2:
            del entry[key]
        else:
            entry[key] = random.choice(VALUES)
        save_arrays(path, saved.arrays, description)
        try:
            keras.models.load_model(path)
            loaded += 1
        except SavedFileError as error:
            text = str(error)
            assert text.startswith(str(path))
    assert loaded  # names and the like may be anything
