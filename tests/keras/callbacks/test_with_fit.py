"""The callbacks in `fit` of a real model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tinygrad_mnist import keras
from tinygrad_mnist.keras import callbacks as cb

RNG = np.random.default_rng(0)
X, Y = RNG.random((40, 6), np.float32), RNG.integers(0, 3, 40)


@pytest.fixture
def model() -> keras.Sequential:
    made = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, activation="softmax")])
    made.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return made


def fit(model: Any, *callbacks: Any, epochs: int = 3, **options: Any) -> Any:
    options = {"validation_data": (X, Y), "verbose": 0, "batch_size": 10, **options}
    return model.fit(X, Y, epochs=epochs, callbacks=list(callbacks), **options)


def test_a_schedule_sets_the_rate_of_each_epoch(model: Any) -> None:
    history = fit(model, cb.LearningRateScheduler(lambda epoch: 0.1 / (epoch + 1)))
    rates = [0.1, 0.05, 0.1 / 3]
    np.testing.assert_allclose(history.history["learning_rate"], rates, rtol=1e-6)
    model.set_weights([np.zeros_like(w) for w in model.get_weights()])
    before = model.get_weights()
    fit(model, cb.LearningRateScheduler(lambda epoch: 0.0))
    assert all(map(np.array_equal, before, model.get_weights()))


def test_the_best_weights_come_back(model: Any) -> None:
    kept: list[Any] = []

    class Keep(cb.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            kept.append(self.model.get_weights())
            logs["score"] = [0.5, 0.75, 0.6, 0.7, 0.9][epoch]

    stopping = cb.EarlyStopping("score", mode="max", patience=2, restore_best_weights=True)
    history = fit(model, Keep(), stopping, epochs=5)
    assert history.epoch == [0, 1, 2, 3]
    assert stopping.stopped_epoch == 3
    assert all(map(np.array_equal, kept[1], model.get_weights()))
    assert not np.array_equal(kept[1][0], kept[3][0])


def test_the_direction_comes_from_the_models_metrics(model: Any) -> None:
    stopping = cb.EarlyStopping("val_accuracy", patience=50)
    history = fit(model, stopping, epochs=2)
    assert stopping.best == max(history.history["val_accuracy"])


def test_a_plateau_reduces_the_rate(model: Any) -> None:
    reduce = cb.ReduceLROnPlateau(factor=0.5, patience=1, min_delta=100.0)
    history = fit(model, reduce, epochs=4)
    np.testing.assert_allclose(
        history.history["learning_rate"], [0.01, 0.01, 0.005, 0.0025], rtol=1e-6
    )


def test_logs_reach_a_file(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    history = fit(model, cb.CSVLogger(path), epochs=2)
    head, *rows = [row.split(",") for row in path.read_text().split()]
    assert head == ["epoch", "accuracy", "loss", "val_accuracy", "val_loss"]
    for name, *values in zip(head, *rows, strict=True):
        expected = [0, 1] if name == "epoch" else history.history[name]
        assert [float(value) for value in values] == expected


@pytest.mark.parametrize("per_batch", [True, False])
def test_a_loss_that_is_no_number_ends_training(model: Any, per_batch: bool, capsys: Any) -> None:
    bad = X.copy()
    bad[25] = np.nan
    calls: list[int] = []
    more = [cb.LambdaCallback(on_batch_end=lambda batch, logs: calls.append(batch))]
    history = model.fit(
        bad,
        Y,
        batch_size=10,
        epochs=3,
        shuffle=False,
        verbose=0,
        callbacks=[cb.TerminateOnNaN(), *(more if per_batch else [])],
    )
    assert capsys.readouterr().out == "Batch 2: Invalid loss, terminating training\n"
    assert history.epoch == [0]
    assert calls == ([0, 1, 2] if per_batch else [])
