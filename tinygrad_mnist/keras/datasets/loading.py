"""Data sets of three parts in Keras's form: two pairs of bytes."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets import Splits, as_bytes, as_path, load_mnist

#: Images, uint8 of shape (n, 28, 28), and their labels, uint8 of shape (n,).
Pair = tuple[NDArray[np.uint8], NDArray[np.uint8]]
SIDE = 28


def keras_form(splits: Splits) -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)) of the three parts; validation is part of training.

    Raises DatasetError for pixels that are no bytes / 256.
    """
    training = [
        (as_bytes(pair.images, f"{name} part"), pair.labels)
        for name, pair in zip(splits._fields, splits, strict=True)
    ]
    test = training.pop()
    images, labels = (np.concatenate(parts) for parts in zip(*training, strict=True))
    return _pair(images, labels), _pair(*test)


def _pair(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Pair:
    return images.reshape(len(images), SIDE, SIDE), labels.astype(np.uint8)


def load(
    path: str | os.PathLike[str] | None, usual: str, name: str | None = None
) -> tuple[Pair, Pair]:
    """The data set at `path`, or else where `datasets.locate(name)` finds it.

    path: a file or folder, in the working folder or in Keras's folder ~/.keras/datasets. usual: the
        path that Keras uses itself; it need not exist.
    """
    wanted = as_path(usual if path is None else path)
    keras = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"
    for place in (wanted, keras / wanted):
        if place.exists():
            return keras_form(load_mnist(place))
    if wanted != Path(usual):
        warnings.warn(
            f"{wanted}: no such file or folder, here or in {keras}; the usual places are searched",
            stacklevel=3,
        )
    return keras_form(load_mnist(name))
