"""Small networks, data for them, and the same networks in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from helpers.book_numpy import Conv, Dense, NumpyNet

from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    SoftmaxLayer,
)


def arrays(
    sizes: Sequence[int], pixels: int = 12, classes: int = 5, seed: int = 0, noise: float = 0.7
) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Images around one pattern per class, and the classes; one pair per size."""
    rng = np.random.default_rng(seed)
    patterns = rng.normal(0, 1, (classes, pixels))
    pairs = []
    for n in sizes:
        y = rng.integers(0, classes, n)
        pairs.append((patterns[y] + rng.normal(0, noise, (n, pixels)), y))
    return pairs


def small_fc(batch: int = 4, **options: Any) -> Network:
    return Network([FullyConnectedLayer(12, 7, **options), SoftmaxLayer(7, 5)], batch)


def numpy_twin(net: Network, acts: Sequence[str]) -> NumpyNet:
    """The NumPy network with the current weights of `net`; the last activation is linear."""
    twins: list[Conv | Dense] = []
    for layer, act in zip(net.layers, acts, strict=True):
        w, b = layer.w.get_value().astype(float), layer.b.get_value().astype(float)
        if isinstance(layer, ConvPoolLayer):
            ph, pw = layer.poolsize
            _, *image = layer.image_shape
            twins.append(Conv(w, b, (ph, pw), act, (image[0], image[1], image[2])))
        else:
            twins.append(Dense(w, b, act))
    return NumpyNet(twins)
