"""Finds MNIST: in the usual places, else by a download. The name "digits" is for generated ones."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from tinygrad_mnist.datasets.digits import load_digits
from tinygrad_mnist.datasets.download import (
    DOWNLOAD,
    cache_folder,
    download,
    verify_cache,
)
from tinygrad_mnist.datasets.expand import read_npz
from tinygrad_mnist.datasets.idx import IDX_NAMES, read_idx_folder
from tinygrad_mnist.datasets.pickles import read_pickle
from tinygrad_mnist.datasets.splits import (
    Attempt,
    DatasetError,
    DatasetNotFoundError,
    Splits,
    as_path,
    listing,
)

BOOK_PLACE = "../data/mnist.pkl.gz"
VARIABLE = "TINYGRAD_MNIST_DATA"

#: The name of the generated digits, in place of a file's name.
DIGITS = "digits"


@dataclass(frozen=True)
class Location:
    """The place that the data set will be read from, and the places before it that failed."""

    path: Path
    place: str
    attempts: tuple[Attempt, ...] = ()


def locate(filename: str | os.PathLike[str] | None = None, *, fetch: bool = True) -> Location:
    """The place of the data set; downloads it if it is in none and `fetch` is true.

    An explicit `filename` (a file, or a folder of IDX files) is the only place
    tried. Otherwise, in this order: the book's place ../data/mnist.pkl.gz; the file
    or folder in $TINYGRAD_MNIST_DATA, which must exist when it is set; the user's
    cache, whose files must have the right SHA-256; a download into that cache.

    Raises DatasetNotFoundError, which lists each place and its problem.
    """
    if filename is not None:
        path = as_path(filename)
        if not path.exists():
            hint = "; expand_mnist makes such data, save_splits writes them"
            raise DatasetNotFoundError(
                f"{path}: no such file or folder{hint if 'expanded' in path.name else ''}"
            )
        return Location(path, "the given name")
    attempts = []
    book = Path(BOOK_PLACE)
    if book.exists():
        return Location(book, "the book's place")
    attempts.append(Attempt(f"{BOOK_PLACE} (the book's place)", "no such file"))

    wish = os.environ.get(VARIABLE)
    if wish:
        if Path(wish).exists():
            return Location(Path(wish), f"${VARIABLE}", tuple(attempts))
        attempts.append(Attempt(f"${VARIABLE}={wish}", "no such file or folder", fault=True))
    else:
        attempts.append(Attempt(f"${VARIABLE}", "not set"))

    cache = cache_folder()
    if wish:
        skipped = f"not tried, since ${VARIABLE} names another place"
        attempts += [Attempt(f"{cache} (cache)", skipped), Attempt(DOWNLOAD, skipped)]
    else:
        problem = verify_cache(cache)
        if problem is None:
            return Location(cache, "the cache", tuple(attempts))
        attempts.append(problem)
        if problem.fault:
            warnings.warn(f"{problem.place}: {problem.problem}", stacklevel=2)
        try:
            if fetch:
                download(cache)
                return Location(cache, "a download into the cache", tuple(attempts))
            attempts.append(Attempt(DOWNLOAD, "not tried"))
        except DatasetNotFoundError as error:
            attempts += error.attempts
    raise DatasetNotFoundError(
        listing("MNIST was found at none of these places:", attempts)
        + "\nPut the four IDX files into a folder and name it in"
        f" ${VARIABLE} or as the file name; the name {DIGITS!r} means generated digits.",
        attempts,
    )


def read(path: Path) -> Splits:
    """The data set at `path`: a folder of IDX files, an .npz, or a pickle.

    Raises DatasetError, naming the file, when it is none of these.
    """
    if path.is_dir():
        return read_idx_folder(path)
    if path.suffix == ".npz":
        return read_npz(path)
    with path.open("rb") as file:
        start = file.read(3)
    if start == b"\0\0\x08" or any(name in path.name for name in IDX_NAMES):
        raise DatasetError(f"{path}: one IDX file of four; name the folder that holds them")
    return read_pickle(path)


def load_mnist(filename: str | os.PathLike[str] | None = None) -> Splits:
    """The data set as float32 images (n, 784), byte / 256, and int64 labels (n,).

    `filename` may be a folder of IDX files (gzipped or not), the book's
    mnist.pkl.gz or mnist_expanded.pkl.gz, or an .npz of `save_splits`. Without it
    the data are searched for, and downloaded, as in `locate`.

    Raises DatasetNotFoundError when there are none, DatasetError when a file can't
    be trusted; the message names each place or the file.
    """
    location = locate(filename)
    try:
        return read(location.path)
    except DatasetError as error:
        if filename is not None or not location.attempts:
            raise
        found = Attempt(f"{location.path} ({location.place})", str(error).partition("\n")[0])
        attempts = (*location.attempts, found)
        raise DatasetError(
            listing("MNIST can't be loaded from any of these places:", attempts), attempts
        ) from error


def load_data(name: str | os.PathLike[str] | None = None) -> Splits:
    """`load_mnist(name)`, or generated digits for the name "digits".

    A file or folder of that name is ./digits. Raises the errors of `load_mnist`.
    """
    return load_digits() if name == DIGITS else load_mnist(name)
