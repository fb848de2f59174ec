"""Read images from tables in text (CSV): a row per image, its label and 784 pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.arrays import Convention, labelled
from tinygrad_mnist.datasets.contents import (
    READABLE,
    delimiter,
    describe_file,
    foreign,
    read_bytes,
    read_start,
    refuse,
)
from tinygrad_mnist.datasets.splits import PIXELS, Bytes, DatasetError

_LABEL_NAMES = ("label", "labels", "class", "digit", "target", "y")
_INDEX_NAMES = ("", "unnamed: 0", "index", "id")
_START = 4096 * 4


def _cells(line: str, mark: str) -> list[str]:
    return [cell.strip().strip("\"'").strip() for cell in line.split(mark)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _is_header(cells: list[str]) -> bool:
    """Whether a row has the names of columns: a label's, mostly words, or a count from 0 or 1.

    One word among numbers is a damaged cell.
    """
    numbers = [cell for cell in cells if _is_number(cell)]
    counts = [[str(k + start) for k in range(len(numbers))] for start in (0, 1)]
    has_label = any(cell.lower() in _LABEL_NAMES for cell in cells)
    return has_label or 2 * len(numbers) < len(cells) or numbers in counts


class _Columns:
    """Where a table has its label and pixels, by its first row.

    header: the rows before the first image. label: None if there are only pixels.
    problem: why the table is none of images, or None.
    """

    def __init__(self, first: str, mark: str) -> None:
        cells = _cells(first, mark)
        self.header = int(_is_header(cells))
        names = [cell.lower() for cell in cells] if self.header else []
        self.label = next((names.index(n) for n in _LABEL_NAMES if n in names), None)
        columns = [k for k in range(len(cells)) if not names or names[k] not in _INDEX_NAMES]
        if self.label is None and len(columns) == PIXELS + 1:
            self.label = columns[0]
        self.pixels = [k for k in columns if k != self.label]
        self.problem = None
        if len(self.pixels) != PIXELS:
            shown = ", ".join(cells[:5]) + (", …" if len(cells) > 5 else "")
            self.problem = (
                f"a CSV file of something else: {len(cells)} columns ({shown}), not a label and"
                f" {PIXELS} pixels"
            )


def _first_line(data: bytes) -> str:
    return data.decode("utf-8-sig", errors="replace").lstrip().partition("\n")[0].rstrip("\r")


def table_problem(path: Path) -> str | None:
    """Why the file is no table of images, by its first row; None if it is one."""
    try:
        start = read_start(path, _START)
    except OSError as error:
        return f"can't be read ({error.strerror})"
    mark = None if foreign(start) else delimiter(start)
    return describe_file(path) if mark is None else _Columns(_first_line(start), mark).problem


def has_labels(path: Path) -> bool:
    """Whether the first row of a table of images has a label."""
    start = read_start(path, _START)
    return _Columns(_first_line(start), delimiter(start) or ",").label is not None


def read_table(path: Path, rules: Convention) -> Bytes:
    """The images and labels in a CSV file, packed or not, with or without a header.

    The label is the column of that name (also class, digit, target or y), else the first one. A
    column of row numbers with a known name is left out. The rest are 784 pixels from 0 to 255, row
    by row.

    Raises DatasetError, naming the file and the row, for anything else.
    """
    data = read_bytes(path)
    mark = delimiter(data[:_START])
    if mark is None:
        refuse(path, "a CSV file")
    columns = _Columns(_first_line(data), mark)
    if columns.problem is not None:
        raise DatasetError(f"{path}: {columns.problem}; {READABLE}")
    if columns.label is None:
        raise DatasetError(
            f"{path}: {PIXELS} columns of pixels and no labels, as in the test.csv of a contest;"
            " name a file with labels, such as train.csv"
        )
    values = _numbers(data, mark, columns, path)
    images, labels = values[:, 1:], values[:, 0]
    return labelled((images, str(path)), (labels, str(path)), rules)


def _numbers(data: bytes, mark: str, columns: _Columns, path: Path) -> NDArray[Any]:
    """The label and then the pixels of each row, (n, 785) float32."""
    lines = data.decode("utf-8-sig", errors="replace").splitlines()
    lines = [line for line in lines if line.strip()][columns.header :]
    if not lines:
        raise DatasetError(f"{path}: a CSV file without rows below its header")
    used = [columns.label or 0, *columns.pixels]
    every = used == list(range(lines[0].count(mark) + 1))
    try:
        return np.loadtxt(
            lines,
            np.float32,
            comments=None,
            delimiter=mark,
            usecols=None if every else used,
            quotechar='"',
            ndmin=2,
        )
    except (ValueError, IndexError) as error:
        raise DatasetError(
            f"{path}: not a table of numbers ({error}; rows count from the first image)"
        ) from None
