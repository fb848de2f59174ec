"""`ModelCheckpoint`: the model is saved while it trains."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import flag, integer, shown
from tinygrad_mnist.keras.callbacks.callback import Logs, overrides
from tinygrad_mnist.keras.callbacks.monitor import MonitorCallback


class ModelCheckpoint(MonitorCallback):
    """Saves the model after every epoch, or after a number of batches.

    filepath: may have fields as of `str.format`: `{epoch:02d}`, counted from 1, `{batch}`, and
    the names in the logs, such as `{val_loss:.2f}`. Its folder is made if there is none; any ending
    will do. monitor, mode: as of `MonitorCallback`. verbose: 1 prints a line per file.
    save_best_only: only where the watched value is better than before. save_weights_only: calls
    `model.save_weights` and not `model.save`. save_freq: "epoch", or a number of batches, which
    makes `fit` call per batch. initial_value_threshold: the value that the first file's has to be
    better than.

    Raises GraphTypeError and ArgumentError for a save_freq that is neither; when it saves,
    ArgumentError for a field that isn't in the logs, and IsADirectoryError.
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        if not isinstance(filepath, str | os.PathLike):
            raise GraphTypeError(f"filepath is {shown(filepath)}; it must be a path")
        self.filepath = os.fspath(filepath)
        self.verbose = verbose
        self.save_best_only = flag(save_best_only, "save_best_only")
        self.save_weights_only = flag(save_weights_only, "save_weights_only")
        if isinstance(save_freq, str) and save_freq != "epoch":
            raise ArgumentError(f"save_freq is {save_freq!r}; it can be 'epoch' or a number")
        self.save_freq = save_freq if save_freq == "epoch" else integer(save_freq, "save_freq", 1)
        self._epoch = 0
        self._batches = 0  # since a file was last due
        self._last_batch = -1

    def wants_batches_of(self, stage: str) -> bool:
        own = stage == "train" and self.save_freq != "epoch"
        return own or overrides(self, ModelCheckpoint, stage)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        self._last_batch = -1

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        super().on_train_batch_end(batch, logs)
        if isinstance(self.save_freq, int):
            self._batches += batch - self._last_batch
            self._last_batch = batch
            if self._batches >= self.save_freq:
                self._batches = 0
                self._save({"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self._epoch = epoch
        if self.save_freq == "epoch":
            self._save(logs or {})

    def _save(self, logs: Logs) -> None:
        path = self._path(logs)
        if not self._is_due(logs, path):
            return
        if os.path.isdir(path):
            raise IsADirectoryError(f"ModelCheckpoint's filepath {path!r} is a folder")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        if self.save_weights_only:
            self.model.save_weights(path)
        else:
            self.model.save(path)
        self._say(f"finished saving model to {path}")

    def _path(self, logs: Logs) -> str:
        fields = {**logs, "epoch": self._epoch + 1}
        try:
            return self.filepath.format(**fields)
        except (KeyError, IndexError) as error:
            raise ArgumentError(
                f"filepath {self.filepath!r} has the field {error}; there are {', '.join(fields)}"
            ) from None

    def _is_due(self, logs: Logs, path: str) -> bool:
        """Whether the model is to be saved; where only the best is, it notes a better value."""
        if not self.save_best_only:
            self._say(f"saving model to {path}")
            return True
        value: Any = self.monitored(logs)
        if value is None:  # a file too many is better than none
            return True
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self.is_better(value, self.best):
            self._say(f"{self.monitor} did not improve from {best}")
            return False
        self._say(f"{self.monitor} improved from {best} to {value:.5f}, saving model to {path}")
        self.best = value
        return True

    def _say(self, text: str) -> None:
        if self.verbose:
            print(f"\nEpoch {self._epoch + 1}: {text}", flush=True)
