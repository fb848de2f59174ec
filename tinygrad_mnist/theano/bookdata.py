"""The book's data file, for programs that open it themselves."""

from __future__ import annotations

import gzip
import io
import os
import pickle
from typing import Any

from tinygrad_mnist.datasets import BOOK_PLACE, load_mnist

_open = gzip.open


def offer_book_data() -> None:
    """From now on, `gzip.open("../data/mnist.pkl.gz")` opens MNIST even if there is no such file:
    the data are searched for, and downloaded, as in `datasets.locate`."""
    gzip.open = _open_book_data


def _open_book_data(filename: Any, mode: str = "rb", *args: Any, **options: Any) -> Any:
    """`gzip.open`; in place of the book's file, if that doesn't exist, a file of the same data."""
    is_book = isinstance(filename, str | os.PathLike) and os.fspath(filename) == BOOK_PLACE
    if not is_book or mode not in ("r", "rb") or os.path.exists(filename):
        return _open(filename, mode, *args, **options)
    return io.BytesIO(pickle.dumps(tuple(load_mnist()), protocol=2))
