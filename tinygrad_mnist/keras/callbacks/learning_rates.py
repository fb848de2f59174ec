"""Callbacks that set the learning rate between epochs."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import integer, number, plain, shown
from tinygrad_mnist.keras.callbacks.callback import Callback, Logs
from tinygrad_mnist.keras.callbacks.monitor import MonitorCallback
from tinygrad_mnist.optimizers.base import not_negative


class LearningRateScheduler(Callback):
    """Sets the learning rate before every epoch, and adds it to the logs as "learning_rate".

    schedule: a function of the epoch, counted from 0, or of the epoch and the present rate; it
    returns the rate. verbose: 1 prints a line per epoch.

    Raises GraphTypeError for a schedule that can't be called, or that returns no number.
    """

    def __init__(self, schedule: Callable[..., Any], verbose: int = 0) -> None:
        if not callable(schedule):
            raise GraphTypeError(
                f"schedule is {shown(schedule)}; it must be a function of the epoch"
            )
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        optimizer = self.model.optimizer
        given = (float(optimizer.learning_rate),) if self._takes_rate else ()
        rate = self.schedule(epoch, *given)
        number(plain(rate), f"the learning rate that the schedule returned for epoch {epoch}")
        optimizer.learning_rate = rate
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.",
                flush=True,
            )

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


class ReduceLROnPlateau(MonitorCallback):
    """Reduces the learning rate when a value in the logs hasn't become better for some epochs, and
    adds the rate to the logs as "learning_rate".

    monitor, mode, min_delta: as of `MonitorCallback`; `epsilon` is the old name of min_delta.
    factor: what the rate is multiplied by. patience: the number of epochs without a better value
    after which the rate is reduced. verbose: 1 prints a line when it is. cooldown: the number of
    epochs after this that don't count. min_lr: the least rate.

    Raises ArgumentError for a factor of 1 or more.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
        *,
        epsilon: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta if epsilon is None else epsilon)
        self.factor = not_negative(factor, "factor")
        if self.factor >= 1:
            raise ArgumentError(f"factor is {factor}; it must be below 1, to reduce the rate")
        self.patience = integer(patience, "patience")
        self.verbose = verbose
        self.cooldown = integer(cooldown, "cooldown")
        self.min_lr = not_negative(min_lr, "min_lr")
        self._reset()

    def _reset(self) -> None:
        self.best = None
        self.cooldown_counter = self.wait = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self._reset()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        rate = float(self.model.optimizer.learning_rate)
        if logs is not None:
            logs["learning_rate"] = rate
        value = self.monitored(logs)
        if value is None:
            return
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.wait = 0
        if self.is_better(value, self.best):
            self.best = value
            self.wait = 0
        elif self.cooldown_counter <= 0:
            self.wait += 1
            # The rate is kept in floatX, so the least rate is compared as it would be kept.
            least = np.dtype(config.floatX).type(self.min_lr)
            if self.wait >= self.patience and rate > least:
                self._reduce(epoch, max(rate * self.factor, self.min_lr))

    def _reduce(self, epoch: int, rate: float) -> None:
        self.model.optimizer.learning_rate = rate
        self.cooldown_counter = self.cooldown
        self.wait = 0
        if self.verbose:
            print(
                f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {rate}.",
                flush=True,
            )


def _takes_two(schedule: Callable[..., Any]) -> bool:
    """Whether a function can be called with an epoch and a rate."""
    try:
        signature = inspect.signature(schedule)
    except (TypeError, ValueError):  # of a function without a signature
        return True
    try:
        signature.bind(0, 0.0)
    except TypeError:
        return False
    return True
