"""Read images from tables in text (CSV): a row per image, its label and 784 pixels."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.arrays import Convention, image_bytes, labelled
from tinygrad_mnist.datasets.contents import (
    READABLE,
    delimiter,
    describe_file,
    foreign,
    open_unpacked,
    read_start,
    reading,
    refuse,
)
from tinygrad_mnist.datasets.splits import PIXELS, Bytes, DatasetError
from tinygrad_mnist.limits import limits

_LABEL_NAMES = ("label", "labels", "class", "digit", "target", "y")
_INDEX_NAMES = ("", "unnamed: 0", "index", "id")
_START = 4096 * 4
_ROWS = 4096  # that are read as floats at a time


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
        self.cells = len(cells)
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
    except DatasetError as error:
        return str(error).removeprefix(f"{path}: ")
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
    start = read_start(path, _START)
    with open_unpacked(path) as file, reading(path):
        mark = delimiter(start)
        if mark is None:
            refuse(path, "a CSV file")
        columns = _Columns(_first_line(start), mark)
        if columns.problem is not None:
            raise DatasetError(f"{path}: {columns.problem}; {READABLE}")
        if columns.label is None:
            raise DatasetError(
                f"{path}: {PIXELS} columns of pixels and no labels, as in the test.csv of a"
                " contest; name a file with labels, such as train.csv"
            )
        images, labels = _images_and_labels(file, mark, columns, path)
    return labelled((images, str(path)), (labels, str(path)), rules)


def _images_and_labels(
    file: BinaryIO, mark: str, columns: _Columns, path: Path
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The pixels (n, 28, 28) and labels (n,) of all rows. A block of rows at a time is read as
    floats, which take four times the memory."""
    lines = islice(_lines(file, path), columns.header, None)
    images: list[NDArray[np.uint8]] = []
    labels: list[NDArray[np.float32]] = []
    n = 0
    while block := list(islice(lines, _ROWS)):
        values = _numbers(block, mark, columns, path, n)
        images.append(image_bytes(values[:, 1:], str(path), first=n))
        labels.append(values[:, 0].copy())
        n += len(block)
        if n * PIXELS > limits.array_bytes:
            raise DatasetError(
                f"{path}: images of more than {limits.array_bytes:,} bytes, the limit `array_bytes`"
            )
    if not n:
        raise DatasetError(f"{path}: a CSV file without rows below its header, an empty set")
    return np.concatenate(images), np.concatenate(labels)


def _lines(file: BinaryIO, path: Path) -> Iterator[str]:
    """The lines that aren't blank."""
    text = io.TextIOWrapper(file, "utf-8-sig", errors="replace")
    while line := text.readline(limits.line_bytes + 1):
        if len(line) > limits.line_bytes:
            raise DatasetError(
                f"{path}: a line of more than {limits.line_bytes:,} characters, the limit"
                " `line_bytes`"
            )
        if line.strip():
            yield line.rstrip("\n")


def _numbers(
    lines: list[str], mark: str, columns: _Columns, path: Path, first: int
) -> NDArray[np.float32]:
    """The label and then the pixels of each row, (n, 785). first: the number of the first row."""
    used = [columns.label or 0, *columns.pixels]
    every = used == list(range(columns.cells))
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
        why = re.sub(r"(?<=\brow )\d+", lambda row: str(int(row[0]) + first), str(error))
        raise DatasetError(
            f"{path}: not a table of numbers ({why}; rows count from the first image)"
        ) from None
