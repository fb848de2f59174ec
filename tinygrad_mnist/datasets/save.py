"""Writes data sets as files that `load_mnist` reads."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.book_pickle import write_book_pickle
from tinygrad_mnist.datasets.layouts import ROLES, VALIDATION_ROLES
from tinygrad_mnist.datasets.splits import (
    SIDE,
    DatasetError,
    Splits,
    as_bytes,
    as_path,
    checked_pair,
)
from tinygrad_mnist.files import written_whole

_GZIP_LEVEL = 1  # the highest level makes files a fifth smaller, and takes ten times as long


def save_splits(path: str | os.PathLike[str], splits: Splits) -> None:
    """Write a data set that `load_mnist` reads, as `.npz` or as `.pkl.gz`.

    `.npz` holds the pixels as bytes (pixel * 256, exact for MNIST), so it is written
    and read quickly; `.pkl.gz` has the layout of the book's files, for Python 2 and 3: three pairs
    of float32 images and int64 labels.
    The file appears only once it is complete.

    Raises DatasetError for another suffix, for labels that are not integers in 0..9,
    for pixels that are NaN or infinite, and for `.npz` when a pixel is no multiple of
    1/256 in 0..255/256.
    """
    target = as_path(path)
    parts = _checked(splits, target)
    if target.name.endswith(".npz"):
        arrays: dict[str, NDArray[Any]] = {}
        for name, pair in zip(Splits._fields, parts, strict=True):
            arrays[f"{name}_images"] = as_bytes(pair.images, f"{target}, {name} part")
            arrays[f"{name}_labels"] = pair.labels.astype(np.uint8)
        with written_whole(target) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    elif target.name.endswith(".pkl.gz"):
        with written_whole(target) as file, gzip.open(file, "wb", _GZIP_LEVEL) as packed:
            write_book_pickle(packed, parts)
    else:
        raise DatasetError(f"{target}: the name must end in .npz or .pkl.gz")


def save_idx(folder: str | os.PathLike[str], splits: Splits) -> None:
    """Write a data set as a folder of gzipped IDX files: MNIST's four, and two for the validation
    part, `validation-images-idx3-ubyte.gz` and `validation-labels-idx1-ubyte.gz`.

    The folder appears only once it is complete; it may exist if it is empty.

    Raises DatasetError for a folder with files in it, and as `save_splits` does for `.npz`.
    """
    target = as_path(folder)
    parts = _checked(splits, target)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise DatasetError(f"{target} exists, and is no empty folder")
    contents = []
    for name in ("training", "test", "validation"):
        pair = getattr(parts, name)
        pixels = as_bytes(pair.images, f"{target}, {name} part")
        contents += [pixels.reshape(-1, SIDE, SIDE), pair.labels.astype(np.uint8)]
    part = target.with_name(f".{target.name[:40]}.{os.urandom(4).hex()}.part")
    try:
        part.mkdir(parents=True)
        for name, values in zip(
            (*ROLES.values(), *VALIDATION_ROLES.values()), contents, strict=True
        ):
            _write_idx(part / f"{name}.gz", values)
        part.replace(target)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(target)) from None
        raise


def _write_idx(path: Path, values: NDArray[np.uint8]) -> None:
    header = struct.pack(f">4B{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    with written_whole(path) as file, gzip.open(file, "wb", _GZIP_LEVEL) as packed:
        packed.write(header)
        packed.write(np.ascontiguousarray(values).data)


def _checked(splits: Splits, target: Path) -> Splits:
    if not isinstance(splits, list | tuple) or len(splits) != len(Splits._fields):
        raise DatasetError(f"{target}: the data must be three pairs, one per part")
    pairs = (
        checked_pair(pair, f"{target}, {name} part")
        for name, pair in zip(Splits._fields, splits, strict=True)
    )
    return Splits(*pairs)
