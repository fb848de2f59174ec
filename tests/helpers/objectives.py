"""Objectives of searches; worker processes import them."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import keras
from tinygrad_mnist.config import config


def product(x: float, k: int = 1) -> float:
    return x * k


def draws(x: float, k: int, seed: int) -> dict[str, float]:
    """Numbers that depend on every generator that is seeded."""
    return {
        "val_loss": float(np.random.rand()) + x,  # noqa: NPY002
        "python": random.random(),
        "own": float(np.random.default_rng(seed).random()) + k,
    }


def trained(units: int, rate: float) -> float:
    """The cost of a small net after some steps, by the engine."""
    x = np.random.normal(size=(64, 20)).astype("float32")  # noqa: NPY002
    w, v = (
        theano.shared(np.random.normal(size=shape).astype(config.floatX))  # noqa: NPY002
        for shape in ((20, units), (units, 3))
    )
    cost = T.mean(T.nnet.softmax(T.dot(T.tanh(T.dot(theano.shared(x), w)), v))[:, 0])
    updates = [(p, p - rate * theano.grad(cost, p)) for p in (w, v)]
    step = theano.function([], cost, updates=updates)
    return float([step() for _ in range(5)][-1])


def fitted(units: int, rate: float, batch_size: int) -> Any:
    """The History of a Keras model with dropout."""
    x = np.random.default_rng(3).random((60, 12), np.float32)
    y = np.arange(60) % 4
    layers = [keras.Input((12,)), keras.layers.Dense(units, activation="relu")]
    layers += [keras.layers.Dropout(0.3), keras.layers.Dense(4, activation="softmax")]
    model = keras.Sequential(layers)
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model.fit(x, y, batch_size, epochs=2, verbose=0, validation_split=0.2)


def fails_at_two(x: int) -> int:
    if x == 2:
        raise ValueError("two | is\ntoo much")
    return x


def exits(x: int) -> int:
    raise SystemExit(x)


def settings_of_the_process() -> dict[str, float]:
    return {"threads": float(config.threads or 0), "float64": float(config.floatX == "float64")}


def threads(x: int) -> dict[str, float]:
    return settings_of_the_process()


def killed_once(x: int, folder: str) -> int:
    """The process of the run 2 is killed the first time."""
    with Path(folder, f"runs{x}").open("a") as file:
        file.write("x")
    if x == 2 and not Path(folder, "mark").exists():
        Path(folder, "mark").touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def killed_always(x: int) -> int:
    if x == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return x


def returns(what: str) -> Any:
    return {
        "none": None,
        "text": "0.9",
        "flag": True,
        "empty": {},
        "part": {"loss": "small"},
        "list": [],
    }[what]


class Counter:
    """An object that can be called."""

    def __call__(self, x: int) -> int:
        return x


class History:
    """What `fit` returns, as far as a search needs it."""

    def __init__(self, **values: list[float]) -> None:
        self.history = values


def history(x: float) -> History:
    return History(loss=[9.0, x], val_loss=[8.0, 2 * x], accuracy=[0.1, 0.2])


def slow_after_three(x: int) -> int:
    if x > 3:
        time.sleep(60)
    return x
