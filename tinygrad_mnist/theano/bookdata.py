"""The book's data files, for programs that open it themselves."""

from __future__ import annotations

import gzip
import io
import os
from typing import Any

from tinygrad_mnist.datasets import (
    BOOK_PLACE,
    is_absent_expansion,
    load_mnist,
    write_book_pickle,
)

_open = gzip.open


def offer_book_data() -> None:
    """From now on, `gzip.open("../data/mnist.pkl.gz")` opens MNIST even if there is no such file:
    the data are searched for, and downloaded, as in `datasets.locate`. The same goes for
    `mnist_expanded.pkl.gz`, whose data are made of MNIST."""
    gzip.open = _open_book_data


def _open_book_data(filename: Any, mode: str = "rb", *args: Any, **options: Any) -> Any:
    """`gzip.open`; in place of a file of the book that doesn't exist, a file of the same data."""
    is_book = isinstance(filename, str | os.PathLike) and os.fspath(filename) == BOOK_PLACE
    is_absent = (is_book and not os.path.exists(filename)) or is_absent_expansion(filename)
    if mode not in ("r", "rb") or not is_absent:
        return _open(filename, mode, *args, **options)
    file = io.BytesIO()
    write_book_pickle(file, load_mnist(None if is_book else filename))
    file.seek(0)
    return file
