"""The seed of everything that is drawn without a seed of its own."""

from __future__ import annotations

import random
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import integer


def set_random_seed(seed: Any) -> None:
    """Seeds Python's `random` and `numpy.random`, from which layers, initializers, `fit` and
    `tf.data` draw where they are given no seed.

    seed: an integer in 0..2**32-1; ArgumentError for others.
    """
    number = integer(seed, "seed", 0)
    if number >= 2**32:
        raise ArgumentError(f"seed is {number}; the largest is {2**32 - 1}")
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
