"""`History`: the logs of all epochs."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.keras.callbacks.callback import Callback, Logs


class History(Callback):
    """Keeps the logs of every epoch; `fit` returns one.

    epoch: the numbers of the epochs. history: a list per name in the logs, a value per epoch.
    """

    def __init__(self) -> None:
        self.epoch: list[int] = []
        self.history: dict[str, list[Any]] = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.epoch = []

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
        if self.model is not None:
            self.model.history = self

    def __repr__(self) -> str:
        last = [
            f"{name} {values[-1]:.4g}" if isinstance(values[-1], float) else name
            for name, values in self.history.items()
        ]
        epochs = f"{len(self.epoch)} epoch{'' if len(self.epoch) == 1 else 's'}"
        return f"<History of {', '.join([epochs, *last])}>"
