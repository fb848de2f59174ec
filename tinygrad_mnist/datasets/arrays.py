"""Images and labels of any file, checked and brought into one form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.splits import (
    CLASSES,
    PIXELS,
    SIDE,
    Bytes,
    DatasetError,
    Labels,
    check_labels,
)

_QMNIST_COLUMNS = 8  # the class, and seven facts about the writer


@dataclass(frozen=True)
class Convention:
    """How a family of data sets differs from MNIST.

    transposed: whether files hold each image with rows and columns exchanged.
    first: the label of the first class, which becomes 0. in_columns: whether labels are (n, 1).
    """

    transposed: bool = False
    classes: int = CLASSES
    first: int = 0
    in_columns: bool = False


_EMNIST_CLASSES = {"balanced": 47, "bymerge": 47, "byclass": 62, "letters": 26}


def convention(family: str) -> Convention:
    """The convention of a family, which is the beginning of its files' names: 'emnist-letters'."""
    name = family.lower().replace("_", "-")
    if "emnist" in name:
        split = name.rpartition("-")[2]
        return Convention(True, _EMNIST_CLASSES.get(split, CLASSES), int(split == "letters"))
    if "k49" in name:
        return Convention(classes=49)
    return Convention()


def image_bytes(
    values: NDArray[Any], source: str, transposed: bool = False, first: int = 0
) -> NDArray[np.uint8]:
    """Images as uint8 (n, 28, 28), from (n, 28, 28), (n, 784), (n, 28, 28, 1) or (n, 1, 28, 28).

    values: whole numbers from 0 to 255 of any dtype. transposed: rows and columns are exchanged.
    first: the number of the first image, for errors.

    Raises DatasetError, beginning with `source`, for images of another size and other pixels.
    """
    shape = values.shape[1:]
    if values.dtype.kind not in "buif" or not shape:
        raise DatasetError(f"{source}: images are {values.dtype} of shape {values.shape}")
    sizes = tuple(n for n in shape if n != 1)
    if sizes not in ((SIDE, SIDE), (PIXELS,)):
        size = " x ".join(map(str, shape))
        raise DatasetError(f"{source}: images of {size} pixels, not {SIDE} x {SIDE}")
    if values.dtype != np.uint8:
        _check_whole(values.reshape(len(values), PIXELS), source, first)
    images: NDArray[np.uint8] = values.reshape(len(values), SIDE, SIDE).astype(np.uint8, copy=False)
    return np.ascontiguousarray(images.transpose(0, 2, 1)) if transposed else images


def _check_whole(rows: NDArray[Any], source: str, first: int) -> None:
    """Raises DatasetError for the first pixel that is not a whole number from 0 to 255."""
    with np.errstate(invalid="ignore"):
        right = (rows >= 0) & (rows <= 255) & (rows == np.floor(rows))
    if right.all():
        return
    image, pixel = np.argwhere(~right)[0]
    scaled = np.isfinite(rows).all() and rows.min() >= 0 and rows.max() <= 1
    hint = "; the images seem to be scaled already" if scaled else ""
    raise DatasetError(
        f"{source}: images are not bytes: image {first + image} has a pixel that is"
        f" {rows[image, pixel]:g}, not a whole number from 0 to 255{hint}"
    )


def label_numbers(values: NDArray[Any], source: str, rules: Convention) -> Labels:
    """Labels as int64 (n,) from 0, from (n,), QMNIST's (n, 8), or (n, 1) by the convention.

    Raises DatasetError, beginning with `source`, for other shapes, for labels that are no integers,
    and for labels outside the convention's classes.
    """
    widths = (1, _QMNIST_COLUMNS) if rules.in_columns else (_QMNIST_COLUMNS,)
    if values.ndim == 2 and values.shape[1] in widths and values.dtype.kind in "iu":
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "buif":
        one_hot = values.ndim == 2 and values.shape[1] == rules.classes
        hint = " (one column per class; np.argmax(labels, axis=1) gives integers)"
        raise DatasetError(
            f"{source}: labels are not integers (n,), but {values.dtype} of shape"
            f" {values.shape}{hint if one_hot else ''}"
        )
    if rules.first and values.size:
        wrong = np.flatnonzero((values < rules.first) | (values >= rules.first + rules.classes))
        if wrong.size:
            raise DatasetError(
                f"{source}: label {values[wrong[0]]} at index {wrong[0]} is not in"
                f" {rules.first}..{rules.first + rules.classes - 1}"
            )
        values = values.astype(np.int64) - rules.first
    check_labels(values, source, rules.classes)
    return values.astype(np.int64)


def labelled(
    images: tuple[NDArray[Any], str], labels: tuple[NDArray[Any], str], rules: Convention
) -> Bytes:
    """Images and their labels, each with the name of its source, checked as by the two above.

    Raises DatasetError also where their numbers differ.
    """
    pixels = image_bytes(*images, rules.transposed)
    numbers = label_numbers(*labels, rules)
    if len(pixels) != len(numbers):
        raise DatasetError(
            f"{images[1]} holds {len(pixels)} images, but {labels[1]} holds {len(numbers)} labels"
        )
    return Bytes(pixels, numbers)
