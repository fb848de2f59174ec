"""Records of training runs, read as curves."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tinygrad_mnist.errors import ArgumentError, GraphTypeError, printable
from tinygrad_mnist.files import open_regular
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.limits import limits
from tinygrad_mnist.training.history import History as BookHistory

Values = NDArray[np.float64]
TRAINING, VALIDATION, TEST = "training", "validation", "test"


@dataclass(frozen=True)
class Curve:
    """Values of one quantity. what: "loss", "accuracy" and the like. part: of which data.

    x: in epochs, counted so that the end of the first epoch is 1. values: of the same shape, NaN
    where there is none. is_noisy: a value per batch.
    """

    what: str
    part: str
    x: Values
    values: Values
    is_noisy: bool = False


def curves_of(record: Any, separator: str = ",") -> list[Curve]:
    """The curves of a run, the loss first.

    record: the `History` of `keras` or of `network3`; a dict of lists, a value per epoch; or the
    path of a CSV file as `keras.callbacks.CSVLogger` writes it.

    Raises GraphTypeError for something else, ArgumentError for a record without values, OSError.
    """
    if isinstance(record, BookHistory):
        curves = _of_the_book(record)
    else:
        if isinstance(record, str | os.PathLike):
            columns, epochs = _read_csv(record, separator)
        else:
            columns, epochs = _columns(record)
        curves = [
            Curve(what, part, 1 + _epochs_of(values, epochs), values)
            for name, values in columns.items()
            if len(values)
            for what, part in [_what_and_part(name)]
        ]
    curves = [curve for curve in curves if np.isfinite(curve.values).any()]
    if not curves:
        raise ArgumentError(f"{shown(record)} has no values to draw")
    first = [curve.what for curve in curves]
    order = {"loss": -2, "cost": -2, "accuracy": -1}
    return sorted(
        curves, key=lambda c: (order.get(c.what, first.index(c.what)), c.part != TRAINING)
    )


def _what_and_part(name: str) -> tuple[str, str]:
    what = name.removeprefix("val_")
    return ("accuracy" if what == "acc" else what), TRAINING if what == name else VALIDATION


def _columns(record: Any) -> tuple[dict[str, Values], Values]:
    history = record if isinstance(record, Mapping) else getattr(record, "history", None)
    if not isinstance(history, Mapping):
        raise GraphTypeError(
            f"{shown(record)} is no record of a run; it can be a History, a dict of lists or the "
            "path of a CSV file"
        )
    columns = {str(name): _floats(values) for name, values in history.items()}
    longest = max(map(len, columns.values()), default=0)
    epochs = getattr(record, "epoch", None)
    if epochs is None or len(epochs) != longest:
        epochs = np.arange(longest)
    return columns, np.asarray(epochs, np.float64)


def _epochs_of(values: Values, epochs: Values) -> Values:
    """The epochs that values are of: of a shorter list, every second or third, as of a validation
    that is left out between."""
    every = max(len(epochs) // len(values), 1)
    return epochs[every - 1 :: every][: len(values)]


def _read_csv(path: str | os.PathLike[str], separator: str) -> tuple[dict[str, Values], Values]:
    name = os.fspath(path)
    try:
        with io.TextIOWrapper(open_regular(path), encoding="utf-8", newline="") as file:
            found = csv.reader(_lines(file), delimiter=separator)
            header, *rows = [row for row in found if row] or [[]]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ArgumentError(printable(f"{name}: no CSV file of a run ({error})")) from None
    if header[:1] != ["epoch"]:
        raise ArgumentError(f"{name}: its first column isn't 'epoch'")
    columns = {
        name: np.array([_float(row[i]) if i < len(row) else np.nan for row in rows])
        for i, name in enumerate(header)
    }
    return columns, columns.pop("epoch")


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(limits.line_bytes + 1):
        if len(line) > limits.line_bytes:
            raise csv.Error(f"a line has more than {limits.line_bytes:,} characters")
        yield line


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _floats(values: ArrayLike) -> Values:
    array = np.asarray(values)
    if array.ndim == 1 and array.dtype.kind in "bifu":
        return array.astype(np.float64)
    return np.empty(0)


def _of_the_book(history: BookHistory) -> list[Curve]:
    """The costs of all mini-batches, and the accuracies after every epoch."""
    epochs = np.arange(1.0, history.epochs + 1)
    costs = history.costs
    steps = len(costs)  # of an epoch; a run that was interrupted has some more costs
    if history.epochs and history.best_iteration is not None:
        accuracies = np.array(history.validation_accuracies)
        best_epoch = np.flatnonzero(accuracies == history.best_validation_accuracy)[-1]
        steps = (history.best_iteration + 1) // (int(best_epoch) + 1)
    at = (1 + np.arange(len(costs))) / max(steps, 1)
    return [
        Curve("cost", TRAINING, at, costs, is_noisy=True),
        Curve("accuracy", VALIDATION, epochs, np.array(history.validation_accuracies, np.float64)),
        Curve("accuracy", TEST, epochs, np.array(history.test_accuracies, np.float64)),
    ]
