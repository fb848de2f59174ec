"""Runs of callbacks, of Keras and of this package, by recorded logs: what they do and print."""

from __future__ import annotations

import contextlib
import io
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np


class Model:
    """What callbacks see of a model. Its weights are the number of epochs that it trained."""

    def __init__(self, optimizer: Any) -> None:
        self.optimizer = optimizer
        self.stop_training = False
        self.weights: list[Any] = [-1]
        self.saved: list[str] = []

    def get_weights(self) -> list[Any]:
        return list(self.weights)

    def set_weights(self, weights: list[Any]) -> None:
        self.weights = list(weights)

    def save(self, path: str, overwrite: bool = True) -> None:
        self.saved.append(path)

    def save_weights(self, path: str, overwrite: bool = True) -> None:
        self.saved.append(f"weights of {path}")


def sequences() -> list[list[float | None]]:
    """Values of a loss per epoch, of float32: random walks on grids of several widths, so there are
    ties and differences of just `min_delta`; with NaN, infinities, and epochs without a value.
    """
    rng = np.random.default_rng(0)
    found: list[list[float | None]] = []
    for width in (0.1, 0.05, 0.01, 0.003):
        for _ in range(2):
            walk = np.cumsum(rng.integers(-2, 3, 14)) * width + 0.7
            found.append(np.round(walk, 3).astype(np.float32).astype(float).tolist())
    found.append([0.5] * 8)
    found.append(np.linspace(0.8, 0.1, 8).astype(np.float32).astype(float).tolist())
    found.append([0.5, float("nan"), 0.25, float("inf"), 0.5, 0.125, 0.25, 0.25, 0.25])
    found.append([float("nan"), 0.5, 0.25, 0.25, 0.25])
    found.append([0.5, None, 0.25, None, None, 0.5, 0.5])
    return found


Options = dict[str, Any]
_STOPS: list[Options] = [
    {"verbose": 1},
    {"restore_best_weights": True, "verbose": 1},
    {"baseline": 0.6, "restore_best_weights": True},
    {"start_from_epoch": 3},
]
EARLY: list[Options] = [
    {"patience": patience, "mode": mode, "min_delta": delta, **more}
    for (patience, delta), mode, more in product(
        [(0, 0), (1, 0.1), (2, 0), (3, -0.05)], ["max", "auto"], _STOPS
    )
]
_REDUCTIONS: list[Options] = [
    {},
    {"factor": 0.5, "min_delta": 0.05},
    {"factor": 0.5, "cooldown": 2, "min_delta": 0},
    {"factor": 0.2, "min_lr": 0.003, "verbose": 1},
    {"factor": 0.1, "min_lr": 0.1},
]
PLATEAU: list[Options] = [
    {"patience": patience, "mode": mode, **more}
    for patience, mode, more in product([0, 1, 2], ["max", "auto"], _REDUCTIONS)
]
CHECKPOINT: list[Options] = [
    {"filepath": "{epoch:02d}-{val_loss:.2f}.keras", "monitor": "loss"},
    {"filepath": "best.keras", "save_best_only": True, "verbose": 1},
    {"filepath": "best.keras", "save_best_only": True, "mode": "max"},
    {"filepath": "{epoch}.keras", "save_best_only": True, "initial_value_threshold": 0.6},
    {"filepath": "w.weights.h5", "save_weights_only": True},
    {"filepath": "{epoch}-{batch:03d}.keras", "save_freq": 7, "verbose": 1},
    {"filepath": "{epoch}-{batch}.weights.h5", "save_freq": 5, "save_weights_only": True},
]
OPTIONS = {"EarlyStopping": EARLY, "ReduceLROnPlateau": PLATEAU, "ModelCheckpoint": CHECKPOINT}
BATCHES = 3


def run(library: Any, name: str, options: Options, values: list[float | None]) -> Any:
    """What a callback does for the values of "val_loss": the last epoch, the weights that are left,
    what is saved, the new rates by epoch, what is printed, and the number of warnings.

    library: a module with `callbacks` and `optimizers`.
    """
    model = Model(library.optimizers.SGD(0.1))
    callback = getattr(library.callbacks, name)(**options)
    callback.set_model(model)
    callback.set_params({"epochs": len(values), "steps": BATCHES, "verbose": 0})
    rates, epoch, printed = [], -1, io.StringIO()
    with warnings.catch_warnings(record=True) as caught, contextlib.redirect_stdout(printed):
        warnings.simplefilter("always")
        callback.on_train_begin()
        for epoch, value in enumerate(values):
            callback.on_epoch_begin(epoch)
            for batch in range(BATCHES):
                callback.on_train_batch_begin(batch)
                callback.on_train_batch_end(batch, {"loss": 0.25})
            model.weights = [epoch]
            logs = {"loss": 0.25} if value is None else {"loss": 0.25, "val_loss": value}
            with contextlib.suppress(KeyError, ValueError):  # a field that isn't in the logs
                callback.on_epoch_end(epoch, logs)
            rates.append(float(np.float32(float(model.optimizer.learning_rate))))
            if model.stop_training:
                break
        callback.on_train_end()
    own = [warning for warning in caught if warning.category is UserWarning]
    changes = {
        str(at): f"{rate:.6g}"
        for at, rate in enumerate(rates)
        if rate != (rates[at - 1] if at else rate)
    }
    found = {"weights": model.weights[0], "saved": model.saved, "rates": changes}
    found |= {"printed": printed.getvalue(), "warnings": len(own)}
    return {"last": epoch, **{name: value for name, value in found.items() if value}}


ROWS: list[Options] = [
    {"loss": 0.5, "accuracy": 0.25},
    {"val_loss": 0.5, "loss": 0.25, "val_accuracy": 0.5, "learning_rate": 1e-05},
    {"loss": 0.125, "rows": np.array([1, 2]), "accuracy": np.float32(0.1), "name": "a,b"},
]
CSV: list[tuple[Options, list[int]]] = [
    ({}, [0, 1, 2]),
    ({}, [1, 0]),
    ({"separator": ";"}, [2, 0]),
    ({"append": True}, [0, 0]),
]


def csv_text(library: Any, options: Options, rows: list[int], folder: Path) -> str:
    """The file that two runs of `CSVLogger` leave."""
    path = folder / "log.csv"
    path.unlink(missing_ok=True)
    for _ in range(2):
        logger = library.callbacks.CSVLogger(path, **options)
        logger.on_train_begin()
        for epoch, row in enumerate(rows):
            logger.on_epoch_end(epoch, dict(ROWS[row]))
        logger.on_train_end()
    return path.read_bytes().decode()
