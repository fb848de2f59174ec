"""`Callback`: what `fit`, `evaluate` and `predict` call while they run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Logs = dict[str, Any]

BATCH_METHODS = {
    "train": ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end"),
    "test": ("on_test_batch_begin", "on_test_batch_end"),
    "predict": ("on_predict_batch_begin", "on_predict_batch_end"),
}
"""The methods that are called once per batch, by what the model does."""


class Callback:
    """The base of callbacks: every method does nothing; a subclass overrides those that it needs.

    model: the model that runs; its `stop_training`, set to True, ends `fit`. params: a dict of
    `fit`'s arguments, such as "epochs", "steps" and "verbose". Both are None before the first run.

    `logs` is a dict of floats: "loss", metrics by name, those of validation data with "val_" before
    the name. All callbacks of a call get the same dict, so each sees what those before it added.

    An epoch runs in one native call unless a callback overrides a method for batches, which takes a
    call per batch. A callback that only needs the values of the batches overrides
    `on_epoch_batches`: it gets all of them when the epoch ends.
    """

    model: Any = None
    params: Mapping[str, Any] | None = None

    def set_params(self, params: Mapping[str, Any]) -> None:
        self.params = params

    def set_model(self, model: Any) -> None:
        self.model = model

    def wants_batches_of(self, stage: str) -> bool:
        """Whether it must be called per batch: a method for batches is overridden.

        stage: "train", "test" or "predict".
        """
        return overrides(self, Callback, stage)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Called when `fit` begins."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Called when `fit` ends, with the logs of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Called before an epoch. Epochs are counted from 0."""

    def on_epoch_batches(self, epoch: int, values: Mapping[str, NDArray[np.float64]]) -> None:
        """Called before `on_epoch_end` with what each batch of the epoch gave by itself: the loss
        and the metrics by name, arrays of shape (batches,)."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Called after an epoch and its validation."""

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """The old name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """The old name of `on_train_batch_end`."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of `fit`. Batches are counted from 0 in every epoch."""
        self.on_batch_begin(batch, logs=logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of `fit`, with the means over the epoch's batches so far."""
        self.on_batch_end(batch, logs=logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Called when `evaluate` or the validation of an epoch begins."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Called when `evaluate` or the validation of an epoch ends."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of `evaluate` or of validation."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of `evaluate` or of validation."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Called when `predict` begins."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Called when `predict` ends."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Called before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Called after a batch of `predict`."""


def overrides(callback: Any, base: type[Callback], stage: str) -> bool:
    """Whether a callback has methods for batches of its own, other than those of `base`.

    A function that is kept in an attribute of the object counts, too.
    """
    return any(
        getattr(getattr(callback, name), "__func__", None) is not getattr(base, name)
        for name in BATCH_METHODS[stage]
    )
