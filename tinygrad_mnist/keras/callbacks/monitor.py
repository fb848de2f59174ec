"""`MonitorCallback`: whether a value in the logs has become better."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import number, shown
from tinygrad_mnist.keras import losses, metrics
from tinygrad_mnist.keras.callbacks.callback import Callback, Logs

_MODES = ("auto", "min", "max")
_RISING = (
    metrics.accuracy,
    metrics.binary_accuracy,
    metrics.categorical_accuracy,
    metrics.sparse_categorical_accuracy,
    metrics.top_k_categorical_accuracy,
    metrics.sparse_top_k_categorical_accuracy,
)
_FALLING = (
    losses.mean_squared_error,
    losses.mean_absolute_error,
    losses.categorical_crossentropy,
    losses.sparse_categorical_crossentropy,
    losses.binary_crossentropy,
)


class MonitorCallback(Callback):
    """The base of callbacks that watch a value in the logs.

    monitor: its name. mode: "min" or "max", what is better; "auto" is "min" for the loss, "max" for
    accuracies, and "min" for losses that are used as metrics. baseline: the value that the first
    one has to be better than, or None. min_delta: how much better a value has to be.

    best: the best value so far, or None.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        baseline: float | None = None,
        min_delta: float = 0.0,
    ) -> None:
        if not isinstance(monitor, str):
            raise GraphTypeError(f"monitor is {shown(monitor)}; it must be a name in the logs")
        if mode not in _MODES:
            warnings.warn(
                f"{type(self).__name__}: mode is {shown(mode)}; it can be {', '.join(_MODES)}. "
                "'auto' is used",
                stacklevel=3,
            )
            mode = "auto"
        self.monitor = monitor
        self.mode = mode
        self.best = None if baseline is None else number(baseline, "baseline")
        self.min_delta = abs(number(min_delta, "min_delta"))

    def monitored(self, logs: Logs | None) -> Any:
        """The watched value; None, with a warning that lists what there is, if it is missing."""
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(
                f"{type(self).__name__} watches {self.monitor!r}, which isn't in the logs; they "
                f"have {', '.join(logs or {}) or 'nothing'}",
                stacklevel=2,
            )
        return value

    def is_better(self, value: float, reference: float | None) -> bool:
        """Whether a value is better than another by more than `min_delta`; None is the worst.

        The values are compared in floatX, as Keras compares them: in float64, 0.7 + 0.1 < 0.8.

        Raises ArgumentError if the mode is "auto" and the name doesn't show what is better.
        """
        if reference is None:
            return True
        real = np.dtype(config.floatX).type
        if self._rises():
            return bool(real(value - self.min_delta) > real(reference))
        return bool(real(value + self.min_delta) < real(reference))

    def _rises(self) -> bool:
        """Whether a greater value is better."""
        if self.mode != "auto":
            return self.mode == "max"
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return False
        for metric in (*getattr(self.model, "metrics", ()), *_by_name(name)):
            if getattr(metric, "name", None) == name:
                fn = getattr(metric, "fn", None)
                if fn in _RISING or fn in _FALLING:
                    return fn in _RISING
        raise ArgumentError(
            f"{type(self).__name__} can't tell whether a greater {self.monitor!r} is better; "
            "give mode='max' or mode='min'"
        )


def _by_name(name: str) -> list[metrics.Metric]:
    try:
        return [metrics.get(name)]
    except ArgumentError:
        return []
