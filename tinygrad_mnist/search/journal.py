"""The file of a search: a line of JSON per finished run, on disk as soon as the run is."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.files import open_regular

_FORMAT = "tinygrad_mnist search 1"


class Journal:
    """Rows that are appended to a file.

    path: the file; it is made if it isn't there. objective: its name, which the first line has.
    rows: those that the file had when it was opened. A last line without its end, as a process
    that was killed can leave, is dropped with a warning.

    Raises ArgumentError where the file is no search's, or that of another objective.
    """

    def __init__(self, path: str | os.PathLike[str], objective: str) -> None:
        self.path = Path(path)
        self.rows: list[dict[str, Any]] = []
        before = b""
        if self.path.exists():
            with open_regular(self.path) as file:
                before = file.read()
        whole, end, rest = before.rpartition(b"\n")
        if not end and before:
            self._refuse("it is no file of a search")
        if whole:
            self._read(whole, objective)
        if rest:
            warnings.warn(f"{path}: the last line is not complete, and is dropped", stacklevel=4)
            os.truncate(self.path, len(whole) + len(end))
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        if not before:
            self.append({"format": _FORMAT, "objective": objective})

    def _read(self, text: bytes, objective: str) -> None:
        try:
            head, *self.rows = [json.loads(line) for line in text.splitlines()]
        except ValueError as error:
            self._refuse(f"it is no file of a search ({error})")
        if not isinstance(head, dict) or head.get("format") != _FORMAT:
            self._refuse("it is no file of a search")
        if head["objective"] != objective:
            self._refuse(f"it has runs of {head['objective']}, not of {objective}")

    def _refuse(self, why: str) -> None:
        raise ArgumentError(f"file {str(self.path)!r}: {why}; name another file")

    def append(self, row: Mapping[str, Any]) -> None:
        """Adds a line in one write, and waits until it is on disk. Raises OSError, naming the file;
        then no part of the line is left."""
        line = json.dumps(row).encode() + b"\n"
        before = os.fstat(self._file).st_size
        try:
            if os.write(self._file, line) < len(line):  # as much as there was space for
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file)
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._file, before)
            raise OSError(error.errno, error.strerror, str(self.path)) from None

    def close(self) -> None:
        os.close(self._file)
