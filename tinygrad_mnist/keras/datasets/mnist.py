"""MNIST: 60,000 training and 10,000 test images of handwritten digits."""

from __future__ import annotations

import os

from tinygrad_mnist.keras.datasets.loading import Pair, load


def load_data(path: str | os.PathLike[str] = "mnist.npz") -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): images uint8 (n, 28, 28), labels uint8 (n,).

    path: a file or folder in any layout that docs/data.md lists, looked for in the working folder
        and in ~/.keras/datasets. Where there is none, the data are searched for, and downloaded, as
        in `tinygrad_mnist.datasets.locate`, with a warning if the path is not Keras's own.

    Raises DatasetNotFoundError when there are none, DatasetError when a file can't be trusted.
    """
    return load(path, "mnist.npz")


__all__ = ["load_data"]
