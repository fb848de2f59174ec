"""Read .npz files: those of `save_splits`, Keras's mnist.npz, MedMNIST's, and KMNIST's arrays."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.arrays import Convention, labelled
from tinygrad_mnist.datasets.contents import array_names, refuse
from tinygrad_mnist.datasets.splits import (
    Bytes,
    DatasetError,
    DatasetNotFoundError,
    Splits,
    divided,
)

# The names of the arrays: images and labels of the training, validation and test part.
_SPELLINGS = (
    ("{}_images", "{}_labels", ("training", "validation", "test")),
    ("x_{}", "y_{}", ("train", "val", "test")),
    ("{}_images", "{}_labels", ("train", "val", "test")),
)


def _spelling(names: list[str]) -> tuple[str, str, tuple[str, str, str]] | None:
    """The spelling whose training and test parts are among the arrays' names, or None."""
    for images, labels, parts in _SPELLINGS:
        needed = {form.format(part) for form in (images, labels) for part in (parts[0], parts[2])}
        if needed <= set(names):
            return images, labels, parts
    return None


def is_data_set(path: Path) -> bool:
    """Whether `path` is an .npz file with the arrays of a data set."""
    return _spelling(array_names(path) or []) is not None


def read_npz(path: Path) -> Splits:
    """The data set in an `.npz` file: one that `save_splits` wrote, Keras's mnist.npz, or one with
    MedMNIST's names train_images, val_images, test_images and so on.

    Raises DatasetNotFoundError when there is no such file, DatasetError for other
    contents; each message names the file.
    """
    if not path.is_file():
        raise DatasetNotFoundError(f"{path}: no such file")
    if array_names(path) is None:
        refuse(path, "a data set that save_splits wrote, nor Keras's mnist.npz")
    parts: dict[str, Bytes] = {}
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            spelling = _spelling(arrays.files)
            if spelling is None:
                held = ", ".join(arrays.files) or "nothing"
                raise DatasetError(
                    f"{path}: an .npz file that holds {held}; not a data set that save_splits"
                    " wrote, nor one with x_train, y_train, x_test and y_test, as Keras's mnist.npz"
                )
            images, labels, names = spelling
            for name in names:
                both = images.format(name), labels.format(name)
                if set(both) <= set(arrays.files):
                    pair = [(arrays[key], f"{path}, {key} of the {name} part") for key in both]
                    parts[name] = labelled(pair[0], pair[1], Convention())
    except DatasetError:
        raise
    except Exception as error:  # a damaged archive can raise any exception
        raise DatasetError(
            f"{path}: damaged, or not a data set that save_splits wrote ({error})"
        ) from None
    training, validation, test = (parts.get(name) for name in names)
    assert training is not None
    return divided(training, test, validation)


def parse_array(data: bytes, path: Path) -> NDArray[Any]:
    """The only array of an .npz file with contents `data`, as KMNIST's have it.

    Raises DatasetError, naming the file, for other contents.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            names = arrays.files
            if len(names) == 1:
                array: NDArray[Any] = arrays[names[0]]
                return array
    except Exception as error:  # as above
        raise DatasetError(f"{path}: not an .npz file of one array ({error})") from None
    raise DatasetError(f"{path}: an .npz file of the arrays {', '.join(names)}, not of one")
