"""Read the book's mnist.pkl.gz and mnist_expanded.pkl.gz without trusting them: `unpickling` reads
the pickle, and what is here checks that it has images and labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_mnist.datasets.contents import delimiter, foreign, read_start, refuse
from tinygrad_mnist.datasets.splits import (
    PIXELS,
    DatasetError,
    DatasetNotFoundError,
    Images,
    Labels,
    Pair,
    Splits,
    as_path,
    check_labels,
    check_pixels,
    check_some,
)
from tinygrad_mnist.datasets.stand_ins import PickledArray
from tinygrad_mnist.datasets.unpickling import unpickle
from tinygrad_mnist.graph.values import is_integer
from tinygrad_mnist.limits import limits


def _value(item: object, what: str) -> Any:
    if isinstance(item, PickledArray):
        if item.value is None:
            raise DatasetError(f"{what}: an array without contents")
        return item.value
    return item


def _is_float_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _describe(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    return f"a {type(value).__name__}"


def _images(item: object, what: str) -> Images:
    """Rows of 784 float32 from an array (n, 784) or from a list of n arrays."""
    value = _value(item, what)
    if isinstance(value, list | tuple):
        if len(value) * PIXELS * 4 > limits.array_bytes:
            raise DatasetError(
                f"{what}: {len(value):,} images; the limit `array_bytes` is {limits.array_bytes:,}"
            )
        rows = np.empty((len(value), PIXELS), np.float32)
        for k, row in enumerate(value):
            pixels = _value(row, what)
            if not _is_float_array(pixels) or pixels.size != PIXELS:
                raise DatasetError(f"{what}: image {k} is not {PIXELS} floating-point pixels")
            rows[k] = pixels.reshape(PIXELS)
        return rows
    if not _is_float_array(value) or value.ndim != 2 or value.shape[1] != PIXELS:
        raise DatasetError(
            f"{what}: images are {_describe(value)},"
            f" not a floating-point array of shape (n, {PIXELS})"
        )
    return np.array(value, np.float32, order="C")


def _labels(item: object, what: str) -> Labels:
    """int64 labels from an array (n,) or from a list of integers."""
    value = _value(item, what)
    if isinstance(value, list | tuple):
        wrong = next((v for v in value if not is_integer(v)), None)
        if wrong is not None:
            raise DatasetError(f"{what}: a label is {type(wrong).__name__}, not an integer")
        try:
            value = np.array(value, np.int64)
        except OverflowError:
            raise DatasetError(f"{what}: a label is too large for 64 bits") from None
    if not isinstance(value, np.ndarray) or value.ndim != 1 or value.dtype.kind not in "iu":
        raise DatasetError(f"{what}: labels are {_describe(value)}, not integers of shape (n,)")
    return value.astype(np.int64)


def _pair(item: object, what: str) -> Pair:
    if not isinstance(item, list | tuple) or len(item) != 2:
        raise DatasetError(f"{what}: not a pair of images and labels")
    pair = Pair(_images(item[0], what), _labels(item[1], what))
    if len(pair.images) != len(pair.labels):
        raise DatasetError(f"{what}: {len(pair.images)} images, but {len(pair.labels)} labels")
    check_labels(pair.labels, what)
    check_pixels(pair.images, what)
    return pair


def read_pickle(path: Path) -> Splits:
    """The data set in a file such as the book's mnist.pkl.gz or mnist_expanded.pkl.gz.

    Three pairs (images, labels); images are an array (n, 784) or a list of n
    arrays, labels an array (n,) or a list of integers.

    Raises DatasetNotFoundError when there is no such file, DatasetError when it
    can't be trusted; each message names the file.
    """
    path = as_path(path)
    if not path.is_file():
        raise DatasetNotFoundError(f"{path}: no such file")
    start = read_start(path)
    if foreign(start) or delimiter(start):
        refuse(path, "a pickle of a data set")
    contents = unpickle(path)
    if not isinstance(contents, list | tuple) or len(contents) != 3:
        raise DatasetError(f"{path}: not three pairs (training, validation, test)")
    splits = Splits(
        *(
            _pair(part, f"{path}, {name} part")
            for part, name in zip(contents, Splits._fields, strict=True)
        )
    )
    check_some(splits.training.labels, str(path))
    return splits
