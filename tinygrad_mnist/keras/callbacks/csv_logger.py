"""`CSVLogger`: the logs of all epochs in a file."""

from __future__ import annotations

import csv
import io
import os
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.files import append_whole, write_whole
from tinygrad_mnist.graph.values import flag, shown
from tinygrad_mnist.keras.callbacks.callback import Callback, Logs


class CSVLogger(Callback):
    """Writes a row per epoch: its number, and the logs in the order of their names.

    filename: the file; its folder must exist. separator: what is between two columns. append: adds
    rows to a file that exists, by the columns that it has. Without it the file is written anew.

    Columns come from the first epoch's logs; if they have nothing of validation data, they also
    have a column with "val_" before each name. What a row lacks is "NA". The file is closed between
    two rows.

    Raises ArgumentError for a separator that isn't one character; OSError.
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise ArgumentError(f"separator is {shown(separator)}; it must be one character")
        self.filename = os.fspath(filename)
        self.sep = separator
        self.append = flag(append, "append")
        self.keys: list[str] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        self.keys = None
        if self.append:
            self.keys = self._columns_of_file()
        else:
            write_whole(self.filename, b"")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        logs = logs or {}
        rows: list[list[Any]] = []
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
            rows.append(["epoch", *self.keys])
        rows.append([epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)])
        text = io.StringIO(newline="")
        csv.writer(text, delimiter=self.sep).writerows(rows)
        append_whole(self.filename, text.getvalue().encode())

    def _columns_of_file(self) -> list[str] | None:
        """The names in the first row of the file, without the epoch's; None without a file."""
        try:
            with open(self.filename, newline="", encoding="utf-8") as file:
                header = next(csv.reader(file, delimiter=self.sep), None)
        except FileNotFoundError:
            return None
        return None if header is None else header[1:]


def _cell(value: Any) -> Any:
    if isinstance(value, str) or np.ndim(value) == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'
