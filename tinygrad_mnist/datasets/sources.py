"""Finds MNIST and Fashion-MNIST: in the usual places, else by a download. The name "digits" is for
generated ones."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tinygrad_mnist.datasets.contents import describe_file, reading
from tinygrad_mnist.datasets.digits import load_digits
from tinygrad_mnist.datasets.download import (
    DOWNLOAD,
    FASHION_MNIST,
    MNIST,
    Original,
    download,
    verify_cache,
)
from tinygrad_mnist.datasets.expand import expand_mnist
from tinygrad_mnist.datasets.layouts import entries
from tinygrad_mnist.datasets.naming import LIKELY_FOLDER, OTHER_SETS
from tinygrad_mnist.datasets.search import read_file, read_folder, search
from tinygrad_mnist.datasets.splits import (
    Attempt,
    DatasetError,
    DatasetNotFoundError,
    Splits,
    as_path,
    listing,
)

BOOK_PLACE = "../data/mnist.pkl.gz"
EXPANDED_PLACE = "../data/mnist_expanded.pkl.gz"

#: The name of the generated digits, in place of a file's name.
DIGITS = "digits"
#: The names of Fashion-MNIST and of MNIST, in place of a file's name.
FASHION = FASHION_MNIST.name
NAME = MNIST.name
#: Folders that are searched, and their subfolders with likely names.
NEARBY = ("./data/", "./")
#: How the problem of a place begins that has files, but not the data set.
SEEN = "seen and not taken"
_SHOWN = 8  # files that a message lists


@dataclass(frozen=True)
class Location:
    """The place that the data set will be read from, and the places before it that failed."""

    path: Path
    place: str
    attempts: tuple[Attempt, ...] = ()


def locate(filename: str | os.PathLike[str] | None = None, *, fetch: bool = True) -> Location:
    """The place of the data set; downloads it if it is in none and `fetch` is true.

    An explicit `filename` (a file or folder) is the only place tried. Without one, or for the name
    "mnist" where nothing has that name, in this order: the book's place ../data/mnist.pkl.gz; the
    file or folder in $TINYGRAD_MNIST_DATA, which must exist when it is set; ./data/ and ./, with
    subfolders such as MNIST/raw; the user's cache, whose files must have the right SHA-256; a
    download into that cache. The name "fashion-mnist" is searched for in the same way, with
    $TINYGRAD_FASHION_MNIST_DATA and a cache folder of its own.

    Warns of damaged and incomplete files in the places that come before the one that is used.
    Raises DatasetNotFoundError, which lists each place and its problem.
    """
    if filename is not None and filename != FASHION:
        path = as_path(filename)
        with reading(path):
            exists = path.exists()
        if filename == NAME and not exists:
            return locate(fetch=fetch)
        if not exists:
            hint = "; expand_mnist makes such data, save_splits writes them"
            raise DatasetNotFoundError(
                f"{path}: no such file or folder{hint if 'expanded' in path.name else ''}"
            )
        return Location(path, "the given name")
    original = FASHION_MNIST if filename == FASHION else MNIST
    attempts: list[Attempt] = []
    for found in _places(original, fetch):
        if isinstance(found, Location):
            return Location(found.path, found.place, tuple(attempts))
        attempts.append(found)
    raise DatasetNotFoundError(
        listing(f"{original.title} was found at none of these places:", attempts)
        + "\nPut the four IDX files into a folder and name it in"
        f" ${original.variable} or as the file name; the name {DIGITS!r} means generated digits.",
        attempts,
    )


def _places(original: Original, fetch: bool) -> Iterator[Location | Attempt]:
    """Each place of a search in turn: where the data are, or why they are not."""
    if original is MNIST:
        book = Path(BOOK_PLACE)
        if book.exists():
            yield Location(book, "the book's place")
        yield Attempt(f"{BOOK_PLACE} (the book's place)", "no such file")
    wish = os.environ.get(original.variable)
    if wish:
        if Path(wish).exists():
            yield Location(Path(wish), f"${original.variable}")
        yield Attempt(f"${original.variable}={wish}", "no such file or folder", fault=True)
        skipped = f"not tried, since ${original.variable} names another place"
        for place in (*NEARBY, f"{original.cache} (cache)", DOWNLOAD):
            yield Attempt(place, skipped)
        return
    yield Attempt(f"${original.variable}", "not set")
    for place in NEARBY:
        yield _warned(_nearby(original, place))
    problem = verify_cache(original, original.cache)
    if problem is None:
        yield Location(original.cache, "the cache")
        return
    yield _warned(problem)
    if not fetch:
        yield Attempt(DOWNLOAD, "not tried")
        return
    try:
        download(original, original.cache)
    except DatasetNotFoundError as error:
        yield from error.attempts
    else:
        yield Location(original.cache, "a download into the cache")


def _warned(found: Location | Attempt) -> Location | Attempt:
    """`found`, after a warning where something is wrong there."""
    if isinstance(found, Attempt) and found.fault:
        warnings.warn(f"{found.place}: {found.problem}", stacklevel=2)
    return found


def _nearby(original: Original, place: str) -> Location | Attempt:
    """The data set in a folder that is searched without being asked for, or what is there."""
    folder = Path(place)
    if not folder.is_dir():
        return Attempt(place, "no such folder")

    def wanted(names: str) -> bool:
        if original is FASHION_MNIST:
            return "fashion" in names.lower()
        # Many .npz files have arrays called x_train, so the name must say MNIST. The expanded set
        # is not what is searched for.
        lower = names.lower()
        likely = "expanded" not in lower and (".npz" not in lower or "mnist" in lower)
        return likely and not OTHER_SETS.search(names)

    result = search(folder, wanted, lambda name: LIKELY_FOLDER.search(name) is not None)
    if result.wanted:
        return Location(result.wanted[0].path, place)
    seen = [f"{item.path}: {item.problem}" for item in result.incomplete]
    seen += [f"{item.path}: another data set" for item in result.others]
    known = {item.path for item in result.incomplete} | {item.path for item in result.others}
    for path in map(Path, entries(folder)):
        likely = folder.name == "data" or "mnist" in path.name.lower()
        if path.is_file() and path not in known and likely:
            seen.append(f"{path}: {describe_file(path)}")
    problem = f"{SEEN}: {'; '.join(seen[:_SHOWN])}" if seen else "no data set"
    return Attempt(place, problem, fault=any(item.fault for item in result.incomplete))


def read(path: Path) -> Splits:
    """The data set at `path`: a file or folder in any layout that docs/data.md lists.

    Raises DatasetError, naming the file and saying what it is, when it is none of these.
    """
    with reading(path):
        return read_folder(path) if path.is_dir() else read_file(path)


def load_mnist(filename: str | os.PathLike[str] | None = None) -> Splits:
    """The data set as float32 images (n, 784), byte / 256, and int64 labels (n,).

    `filename` may be a file or folder in any of the layouts that docs/data.md lists: IDX files
    (gzipped or not), the book's mnist.pkl.gz or mnist_expanded.pkl.gz, an .npz of `save_splits` or
    Keras, CSV files, and others. Without it the data are searched for, and downloaded, as in
    `locate`, and with the name "mnist". The name "fashion-mnist" means a search for Fashion-MNIST.
    If the book's "../data/mnist_expanded.pkl.gz" is asked for and there is no such file, its data
    are made of MNIST, and a line on standard error says so.

    Raises DatasetNotFoundError when there are none, DatasetError when a file can't
    be trusted; the message names each place or the file.
    """
    if is_absent_expansion(filename):
        return _expanded()
    location = locate(filename)
    try:
        return read(location.path)
    except DatasetError as error:
        if not location.attempts:
            raise
        found = Attempt(f"{location.path} ({location.place})", str(error).partition("\n")[0])
        attempts = (*location.attempts, found)
        title = FASHION_MNIST.title if filename == FASHION else MNIST.title
        raise DatasetError(
            listing(f"{title} can't be loaded from any of these places:", attempts), attempts
        ) from error


def is_absent_expansion(name: object) -> bool:
    """Whether a name is that of the book's expanded data, and there is no such file."""
    is_name = isinstance(name, str | os.PathLike) and Path(name) == Path(EXPANDED_PLACE)
    return is_name and not Path(EXPANDED_PLACE).exists()


def _expanded() -> Splits:
    splits = load_mnist()
    training = expand_mnist(splits.training)
    print(
        f"tinygrad_mnist: there is no {EXPANDED_PLACE}; its {len(training.labels):,} images"
        " are made of MNIST; `tinygrad-mnist expand` writes the file",
        file=sys.stderr,
        flush=True,
    )
    return splits._replace(training=training)


def load_data(name: str | os.PathLike[str] | None = None) -> Splits:
    """`load_mnist(name)`, or generated digits for the name "digits".

    A file or folder of that name is ./digits. Raises the errors of `load_mnist`.
    """
    return load_digits() if name == DIGITS else load_mnist(name)
