"""The book's expanded training set: every image, and its four shifts by one pixel."""

from __future__ import annotations

import gzip
import os
import pickle

import numpy as np

from tinygrad_mnist.datasets.splits import (
    SIDE,
    DatasetError,
    Images,
    Labels,
    Pair,
    Splits,
    as_bytes,
    as_path,
    checked_pair,
)
from tinygrad_mnist.files import written_whole
from tinygrad_mnist.graph.values import shown

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


def save_splits(path: str | os.PathLike[str], splits: Splits) -> None:
    """Write a data set that `load_mnist` reads, as `.npz` or as `.pkl.gz`.

    `.npz` holds the pixels as bytes (pixel * 256, exact for MNIST), so it is written
    and read quickly; `.pkl.gz` has the layout of the book's files: three pairs of
    float32 images and int64 labels.
    The file appears only once it is complete.

    Raises DatasetError for another suffix, for labels that are not integers in 0..9,
    for pixels that are NaN or infinite, and for `.npz` when a pixel is no multiple of
    1/256 in 0..255/256.
    """
    target = as_path(path)
    if not isinstance(splits, list | tuple) or len(splits) != len(Splits._fields):
        raise DatasetError(f"{target}: the data must be three pairs, one per part")
    parts = Splits(
        *(
            checked_pair(pair, f"{target}, {name} part")
            for name, pair in zip(Splits._fields, splits, strict=True)
        )
    )
    if target.name.endswith(".npz"):
        arrays = {}
        for name, pair in zip(Splits._fields, parts, strict=True):
            arrays[f"{name}_images"] = as_bytes(pair.images, f"{target}, {name} part")
            arrays[f"{name}_labels"] = pair.labels.astype(np.uint8)
        with written_whole(target) as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
    elif target.name.endswith(".pkl.gz"):
        with written_whole(target) as file, gzip.open(file, "wb", compresslevel=1) as packed:
            pickle.dump(tuple(tuple(pair) for pair in parts), packed, protocol=4)
    else:
        raise DatasetError(f"{target}: the name must end in .npz or .pkl.gz")
