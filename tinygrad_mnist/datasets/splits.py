"""The types of a loaded data set, and the errors of loading."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.float32]
Labels = NDArray[np.int64]

PIXELS = 784
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
        super().__init__(message)
        self.attempts = tuple(attempts)


class DatasetNotFoundError(DatasetError, FileNotFoundError):
    """No data at any of the places that were tried."""

    @property
    def nowhere(self) -> bool:
        """Whether there was a search, and every place was only empty or unreachable."""
        return bool(self.attempts) and not any(attempt.fault for attempt in self.attempts)

    def __str__(self) -> str:
        return str(self.args[0])


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


def check_labels(labels: Labels, source: str) -> None:
    """Raises DatasetError for labels outside 0..9; `source` is the file's name for the message."""
    wrong = np.flatnonzero((labels < 0) | (labels >= CLASSES))
    if wrong.size:
        first = int(wrong[0])
        raise DatasetError(
            f"{source}: label {int(labels[first])} at index {first} is not in 0..{CLASSES - 1}"
            f" ({wrong.size} such label{'s' if wrong.size > 1 else ''})"
        )
