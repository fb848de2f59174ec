"""The file of a search: a line of JSON per finished run, on disk as soon as the run is."""

from __future__ import annotations

import errno
import json
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.files import open_regular

_FORMAT = "tinygrad_mnist search 1"
Row = dict[str, Any]


class Journal:
    """Rows that are appended to a file.

    path: the file; it is made if it isn't there. objective: its name, which the first line has.
    rows: those that the file had when it was opened. A last line without its end, as a process
    that was killed can leave, is dropped with a warning.

    Raises ArgumentError where the file is no search's, or that of another objective.
    """

    def __init__(self, path: str | os.PathLike[str], objective: str) -> None:
        self.path = Path(path)
        self.rows, length, is_cut = _read(self.path, objective)
        if is_cut:
            warnings.warn(f"{path}: the last line is not complete, and is dropped", stacklevel=4)
            os.truncate(self.path, length)
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        if not length:
            self.append({"format": _FORMAT, "objective": objective})

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


def rows_in(path: str | os.PathLike[str], objective: str) -> list[Row]:
    """The rows of a file, which stays as it is. Raises ArgumentError as `Journal` does."""
    return _read(Path(path), objective)[0]


def _read(path: Path, objective: str) -> tuple[list[Row], int, bool]:
    """The rows of a file, none if it isn't there; the bytes of its whole lines; and whether there
    is a last line without its end."""
    before = b""
    if path.exists():
        with open_regular(path) as file:
            before = file.read()
    whole, end, rest = before.rpartition(b"\n")
    if not end and before:
        _refuse(path, "it is no file of a search")
    rows = _rows(whole, path, objective) if whole else []
    return rows, len(whole) + len(end), bool(rest)


def _rows(text: bytes, path: Path, objective: str) -> list[Row]:
    try:
        head, *rows = [json.loads(line) for line in text.splitlines()]
    except ValueError as error:
        _refuse(path, f"it is no file of a search ({error})")
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        _refuse(path, "it is no file of a search")
    if head["objective"] != objective:
        _refuse(path, f"it has runs of {head['objective']}, not of {objective}")
    return rows


def _refuse(path: Path, why: str) -> NoReturn:
    raise ArgumentError(f"file {str(path)!r}: {why}; name another file")
