"""The types of a loaded data set, and the errors of loading."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import FileAccessError, printable
from tinygrad_mnist.graph.values import plain_array, shown
from tinygrad_mnist.imagedata import wrong_label, wrong_pixel

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

SIDE = 28
PIXELS = SIDE * SIDE
CLASSES = 10


@dataclass(frozen=True)
class Attempt:
    """A place that was searched for data, and why they could not be used.

    fault: whether something is wrong there, such as a file that can't be trusted or a name without
        a file. If false, the place is only empty or unreachable.
    """

    place: str
    problem: str
    fault: bool = False


class DatasetError(ValueError):
    """A data file can't be read or can't be trusted; the message names the file.

    `attempts` holds each place that was tried, where there was a search.
    """

    def __init__(self, message: str, attempts: Iterable[Attempt] = ()) -> None:
        super().__init__(printable(message))
        self.attempts = tuple(attempts)


class DatasetAccessError(DatasetError, FileAccessError):
    """A data file can't be opened or read."""


class DatasetNotFoundError(DatasetAccessError, FileNotFoundError):
    """No data at any of the places that were tried."""

    @property
    def nowhere(self) -> bool:
        """Whether there was a search, and every place was only empty or unreachable."""
        return bool(self.attempts) and not any(attempt.fault for attempt in self.attempts)


def listing(headline: str, attempts: Iterable[Attempt]) -> str:
    """A message: the headline, then a line per attempt."""
    lines = [f"  {attempt.place}: {attempt.problem}" for attempt in attempts]
    return "\n".join([headline, *lines])


class Pair(NamedTuple):
    """Images, float32 of shape (n, 784), and their labels, int64 of shape (n,)."""

    images: Images
    labels: Labels


class Splits(NamedTuple):
    """The three parts of MNIST, in the order in which the book's program unpacks them."""

    training: Pair
    validation: Pair
    test: Pair


class Bytes(NamedTuple):
    """Images as their files hold them, uint8 of shape (n, 28, 28), and their labels, int64 (n,)."""

    pixels: NDArray[np.uint8]
    labels: Labels


def as_floats(pixels: NDArray[np.uint8]) -> Images:
    """Bytes of shape (n, 28, 28) as float32 rows (n, 784), byte / 256 as in the book's file."""
    return pixels.reshape(len(pixels), PIXELS).astype(np.float32) / np.float32(256)


def as_bytes(images: Images, source: str) -> NDArray[np.uint8]:
    """The bytes of which `as_floats` makes `images`.

    Raises DatasetError, beginning with `source`, for pixels that are no multiple of 1/256 in
    0..255/256.
    """
    scaled = images * np.float32(256)
    pixels: NDArray[np.uint8] = np.clip(scaled, 0, 255).astype(np.uint8)
    if not np.array_equal(pixels, scaled):
        raise DatasetError(f"{source}: pixels that are not byte / 256 don't fit into bytes")
    return pixels


def divided(training: Bytes, test: Bytes | None = None, validation: Bytes | None = None) -> Splits:
    """The three parts, in the files' order.

    Without test images, the last seventh of the training images becomes the test part; without
    validation images, the last sixth of the rest becomes the validation part. Both are rounded
    down. So MNIST's 60,000 give 50,000 and 10,000, and all its 70,000 give 50,000, 10,000 and
    10,000.
    """
    if test is None:
        training, test = _cut(training, len(training.labels) // 7)
    if validation is None:
        training, validation = _cut(training, len(training.labels) // 6)
    return Splits(
        *(Pair(as_floats(part.pixels), part.labels) for part in (training, validation, test))
    )


def _cut(part: Bytes, last: int) -> tuple[Bytes, Bytes]:
    """Everything but the `last` images, and these."""
    at = len(part.labels) - last
    return Bytes(part.pixels[:at], part.labels[:at]), Bytes(part.pixels[at:], part.labels[at:])


def as_path(name: Any) -> Path:
    """A file's or folder's name as a path; TypeError for what is no name, DatasetError for an
    empty one, which would mean the working folder."""
    if not isinstance(name, str | os.PathLike):
        raise TypeError(f"a file's name is text or a path, not {shown(name)}")
    if not os.fspath(name):
        raise DatasetError("a file's name is empty")
    return Path(name)


def check_labels(labels: NDArray[Any], source: str, classes: int = CLASSES) -> None:
    """Raises DatasetError for labels outside 0..classes-1, fractional ones and NaN; `source` is the
    file's name for the message."""
    problem = wrong_label(labels, classes)
    if problem is not None:
        raise DatasetError(f"{source}: {problem}")


def check_pixels(images: NDArray[Any], source: str) -> None:
    """Raises DatasetError for pixels that are NaN or infinite, with the image's number."""
    problem = wrong_pixel(images)
    if problem is not None:
        raise DatasetError(f"{source}: {problem}")


def check_some(labels: NDArray[Any], source: str) -> None:
    """Raises DatasetError for a training part without images; other parts may be empty."""
    if not len(labels):
        raise DatasetError(f"{source}: an empty set, without training images")


def checked_pair(pair: Any, source: str) -> Pair:
    """Images and labels that a program gives, as float32 (n, pixels) and int64 (n,).

    Raises DatasetError, naming the source and the image, for anything else: masked arrays, numbers
    of images and labels that differ, and what check_labels and check_pixels refuse.
    """
    if not isinstance(pair, list | tuple) or len(pair) != 2:
        raise DatasetError(f"{source} is {shown(pair)}; it must be a pair of images and labels")
    try:
        images, labels = plain_array(pair[0], "images"), plain_array(pair[1], "labels")
    except TypeError as error:
        raise DatasetError(f"{source}: {error}") from None
    if images.ndim != 2 or labels.ndim != 1 or len(images) != len(labels):
        raise DatasetError(
            f"{source}: images are {images.shape}, labels {labels.shape}; they must be (n, pixels)"
            " and (n,)"
        )
    if "c" in (images.dtype.kind, labels.dtype.kind):
        raise DatasetError(f"{source}: images and labels are real numbers, not complex ones")
    check_labels(labels, source)
    check_pixels(images, source)
    return Pair(np.asarray(images, np.float32), labels.astype(np.int64))
