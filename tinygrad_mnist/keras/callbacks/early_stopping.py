"""`EarlyStopping`: an end to training that no longer helps."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.graph.values import flag, integer, number
from tinygrad_mnist.keras.callbacks.callback import Logs
from tinygrad_mnist.keras.callbacks.monitor import MonitorCallback


class EarlyStopping(MonitorCallback):
    """Ends `fit` when a value in the logs hasn't become better for some epochs.

    monitor, min_delta, mode: as of `MonitorCallback`. patience: the number of epochs without a
    better value after which training ends. verbose: 1 prints a line when it ends. baseline: an
    epoch only counts as better if it beats this, too. restore_best_weights: at the end, the model
    gets the weights of its best epoch back. start_from_epoch: earlier epochs don't count.

    stopped_epoch: the epoch that was the last, 0 if training wasn't ended. best_epoch: the best.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = integer(patience, "patience")
        self.verbose = verbose
        self.baseline = None if baseline is None else number(baseline, "baseline")
        self.restore_best_weights = flag(restore_best_weights, "restore_best_weights")
        self.start_from_epoch = integer(start_from_epoch, "start_from_epoch")
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.best_epoch = self.stopped_epoch = self.wait = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        value = self.monitored(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        better = self.is_better(value, self.best)
        if better:
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
        self.wait += 1
        if better and (self.baseline is None or self.is_better(value, self.baseline)):
            self.wait = 0
        # Like Keras, it never stops in an epoch that is better than all before, nor in the first.
        if not better and self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        if self.stopped_epoch > 0 and self.verbose:
            print(f"Epoch {self.stopped_epoch + 1}: early stopping", flush=True)
        if self.best_weights is None:
            return
        if self.verbose:
            print(
                f"Restoring model weights from the end of the best epoch: {self.best_epoch + 1}.",
                flush=True,
            )
        self.model.set_weights(self.best_weights)
