"""Generated digits: 60,000 training and 10,000 test images, without a file or a network."""

from __future__ import annotations

from tinygrad_mnist.datasets import load_digits
from tinygrad_mnist.keras.datasets.loading import Pair, keras_form


def load_data(seed: int = 0) -> tuple[Pair, Pair]:
    """((x_train, y_train), (x_test, y_test)): images uint8 (n, 28, 28), labels uint8 (n,).

    seed: as in `tinygrad_mnist.datasets.load_digits`, whose images these are. They take some
        seconds.
    """
    return keras_form(load_digits(seed))


__all__ = ["load_data"]
