"""`tf.random`: random arrays, drawn from `numpy.random`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.keras.tensors import Tensor, dtype_of, tensor
from tinygrad_mnist.keras.utils import set_random_seed
from tinygrad_mnist.tf.stack import needs_elements

_STATE = np.random.mtrand._rand


def set_seed(seed: int) -> None:
    """Seeds what has no seed of its own, as `keras.utils.set_random_seed` does."""
    set_random_seed(seed)


def _generator(seed: int | None) -> Any:
    needs_elements()  # within `map`, each element has numbers of its own
    return np.random.RandomState(seed) if seed is not None else _STATE


def uniform(
    shape: Any,
    minval: Any = 0,
    maxval: Any = None,
    dtype: Any = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Numbers between minval and maxval (1), which is left out; integers need maxval."""
    generator, kind = _generator(seed), dtype_of(dtype)
    size = tuple(int(n) for n in shape)
    if kind.kind in "iu":
        if maxval is None:
            raise ArgumentError("integers need maxval")
        return tensor(generator.randint(minval, maxval, size, kind))
    high = 1 if maxval is None else maxval
    return tensor(np.asarray(generator.uniform(minval, high, size), kind))


def normal(
    shape: Any,
    mean: Any = 0.0,
    stddev: Any = 1.0,
    dtype: Any = "float32",
    seed: int | None = None,
    name: str | None = None,
) -> Tensor:
    """Numbers of a normal distribution."""
    size = tuple(int(n) for n in shape)
    return tensor(np.asarray(_generator(seed).normal(mean, stddev, size), dtype_of(dtype)))


__all__ = [
    "normal",
    "set_seed",
    "uniform",
]
