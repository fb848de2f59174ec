"""Read .npz files: those of `save_splits`, Keras's mnist.npz, MedMNIST's, and KMNIST's arrays."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.arrays import Convention, labelled
from tinygrad_mnist.datasets.contents import array_names, opened, refuse, short_list
from tinygrad_mnist.datasets.splits import (
    Bytes,
    DatasetError,
    DatasetNotFoundError,
    Splits,
    check_some,
    divided,
)
from tinygrad_mnist.limits import limits

# The names of the arrays: images and labels of the training, validation and test part.
_MEDMNIST = ("{}_images", "{}_labels", ("train", "val", "test"))
_SPELLINGS = (
    ("{}_images", "{}_labels", ("training", "validation", "test")),
    ("x_{}", "y_{}", ("train", "val", "test")),
    _MEDMNIST,
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
    with _archive(path, "damaged, or not a data set that save_splits wrote") as archive:
        held = [name.removesuffix(".npy") for name in archive.namelist()]
        spelling = _spelling(held)
        if spelling is None:
            raise DatasetError(
                f"{path}: an .npz file that holds {short_list(held) or 'nothing'}; not a data set"
                " that save_splits wrote, nor one with x_train, y_train, x_test and y_test, as"
                " Keras's mnist.npz"
            )
        images, labels, names = spelling
        rules = Convention(in_columns=spelling == _MEDMNIST)
        for name in names:
            both = images.format(name), labels.format(name)
            if set(both) <= set(held):
                pair = [
                    (_member(archive, k, path), f"{path}, {k} of the {name} part") for k in both
                ]
                parts[name] = labelled(pair[0], pair[1], rules)
    training, validation, test = (parts.get(name) for name in names)
    assert training is not None
    check_some(training.labels, str(path))
    return divided(training, test, validation)


def read_array(path: Path) -> NDArray[Any]:
    """The only array of an .npz file, as KMNIST's have it.

    Raises DatasetError, naming the file, for other contents.
    """
    with _archive(path, "not an .npz file of one array") as archive:
        names = [name.removesuffix(".npy") for name in archive.namelist()]
        if len(names) != 1:
            raise DatasetError(
                f"{path}: an .npz file of the arrays {short_list(names)}, not of one"
            )
        return _member(archive, names[0], path)


@contextmanager
def _archive(path: Path, problem: str) -> Iterator[zipfile.ZipFile]:
    """The archive; what is raised for its contents becomes a DatasetError with the problem."""
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            yield archive
    except DatasetError:
        raise
    except MemoryError:
        raise DatasetError(f"{path}: its contents do not fit into memory") from None
    except Exception as error:  # a damaged archive can raise any exception
        raise DatasetError(f"{path}: {problem} ({error})") from None


def _member(archive: zipfile.ZipFile, name: str, path: Path) -> NDArray[Any]:
    """An array of the archive, after what its header promises is compared with its length."""
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if read_header is None:
            raise ValueError(f"{name} is of version {version} of the .npy format")
        shape, _, dtype = read_header(file)
        if dtype.hasobject:
            raise ValueError(f"{name} has objects, which need allow_pickle; they are not read")
        size = math.prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size != info.file_size - file.tell():
            raise ValueError(f"{name} has another length than its shape {shape}")
        if size > limits.array_bytes:
            raise DatasetError(
                f"{path}: {name} has {size:,} bytes; the limit `array_bytes` is"
                f" {limits.array_bytes:,}"
            )
    with archive.open(info) as file:
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array
