"""Fashion-MNIST: 60,000 training and 10,000 test images of clothing in ten classes.

Source: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747 (2017).
"""

from __future__ import annotations

import os

from tinygrad_mnist.datasets import FASHION
from tinygrad_mnist.keras.datasets.loading import Pair, load


def load_data(path: str | os.PathLike[str] = FASHION) -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): images uint8 (n, 28, 28), labels uint8 (n,).

    path: as in `mnist.load_data`. Keras's own is the folder fashion-mnist.

    Raises DatasetNotFoundError when there are none, DatasetError when a file can't be trusted.
    """
    return load(path, FASHION, FASHION)


__all__ = ["load_data"]
