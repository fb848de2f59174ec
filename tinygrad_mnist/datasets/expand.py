"""Expanded training sets: the book's, which has every image and its four shifts by one pixel, and
larger ones with random distortions."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.datasets.augment import distorted
from tinygrad_mnist.datasets.distortions import Distortions
from tinygrad_mnist.datasets.splits import (
    SIDE,
    Images,
    Labels,
    Pair,
    checked_pair,
)
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import integer, shown

# (axis of the image, step): down, up, right, left.
SHIFTS = ((0, 1), (0, -1), (1, 1), (1, -1))


def shift_images(images: Images, axis: int, step: int) -> Images:
    """Images (n, 784) moved by one pixel along `axis` (0 down, 1 right; step 1 or -1).

    The row or column that the move vacates becomes zero; the one that leaves is lost.
    """
    if axis not in (0, 1) or step not in (-1, 1):
        raise ValueError(f"axis is {axis!r} and step {step!r}; axis is 0 or 1, step 1 or -1")
    if not isinstance(images, np.ndarray) or images.ndim != 2 or images.shape[1] != SIDE * SIDE:
        raise TypeError(f"images are {shown(images)}; they must be an array (n, {SIDE * SIDE})")
    grid = images.reshape(-1, SIDE, SIDE)
    moved = np.zeros_like(grid)
    kept, lost = slice(1, None), slice(None, -1)
    target, source = (kept, lost) if step > 0 else (lost, kept)
    if axis == 0:
        moved[:, target, :] = grid[:, source, :]
    else:
        moved[:, :, target] = grid[:, :, source]
    return moved.reshape(images.shape)


def expand_mnist(training: tuple[Images, Labels], seed: int = 0) -> Pair:
    """The training pair made five times as large, in an order shuffled once.

    The result has each image (float32, 784) and its shifts by one pixel down, up,
    right and left, all with the image's label. SGD never shuffles, so the pairs are
    shuffled here, by NumPy's PCG64 generator seeded with `seed`. 50,000 images
    become 250,000, which takes 784 MB.

    Source: Nielsen, Neural Networks and Deep Learning, chapter 6.
    """
    images, labels = checked_pair(training, "the training pair")
    count = len(images)
    order = np.random.default_rng(seed).permutation((len(SHIFTS) + 1) * count)
    order = order.reshape(len(SHIFTS) + 1, count)
    expanded = Pair(
        np.empty((order.size, images.shape[1]), np.float32), np.empty(order.size, np.int64)
    )
    expanded.images[order[0]] = images
    expanded.labels[order[0]] = labels
    for rows, (axis, step) in zip(order[1:], SHIFTS, strict=True):
        expanded.images[rows] = shift_images(images, axis, step)
        expanded.labels[rows] = labels
    return expanded


def expand_augmented(
    training: tuple[Images, Labels], count: int, seed: int = 0, **amounts: Any
) -> Pair:
    """The training pair made `count` images large, with distortions, in an order shuffled once.

    Each image is included as it is, then once more for every round of distortions, until there are
    `count`. amounts: `rotation`, `translation`, `skew`, `scale` and `elastic` of `augment`.
    Distorted pixels are rounded to multiples of 1/256, from 0 to 255/256, so that files of bytes
    hold them.

    Raises ValueError where there are more than `count` images already, or none.
    """
    images, labels = checked_pair(training, "the training pair")
    n = len(images)
    if not 0 < n <= (count := integer(count, "count", 1)):
        raise ArgumentError(f"count is {count}; there are {n} training images")
    distortions = Distortions(**amounts)
    order = np.random.default_rng(seed).permutation(count)
    expanded = Pair(np.empty((count, images.shape[1]), np.float32), np.empty(count, np.int64))
    for start in range(0, count, n):
        rows = order[start : start + n]
        part = images[: len(rows)]
        if start:
            part = distorted(part, distortions, seed, start)
            np.rint(part * 256, out=part)
            np.clip(part, 0, 255, out=part)
            part /= 256
        expanded.images[rows] = part
        expanded.labels[rows] = labels[: len(rows)]
    return expanded
