"""MNIST in the form of the book's first programs: its module `mnist_loader`.

Source: M. Nielsen, Neural Networks and Deep Learning (2015), chapter 1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.sources import load_mnist
from tinygrad_mnist.datasets.splits import Splits

Example = tuple[NDArray[Any], Any]


def load_data() -> Splits:
    """(training, validation, test): pairs of images (n, 784), float32 from 0 to 1, and labels
    (n,). The data are searched for, and downloaded, as in `datasets.locate`."""
    return load_mnist()


def load_data_wrapper() -> tuple[list[Example], list[Example], list[Example]]:
    """(training, validation, test): lists of pairs of an image, (784, 1), and its label; of
    training, the label as `vectorized_result`."""
    training, *others = load_data()
    validation, test = (
        list(zip(_columns(images), labels, strict=True)) for images, labels in others
    )
    vectors = map(vectorized_result, training[1])
    return list(zip(_columns(training[0]), vectors, strict=True)), validation, test


def vectorized_result(j: int) -> NDArray[np.float64]:
    """A column of ten zeros, but for a one at `j`."""
    column = np.zeros((10, 1))
    column[j] = 1.0
    return column


def _columns(images: NDArray[Any]) -> list[NDArray[Any]]:
    return [image.reshape(-1, 1) for image in images]


__all__ = ["load_data", "load_data_wrapper", "vectorized_result"]
