"""Find MNIST: the places where it may lie, and the download where it lies nowhere."""

from __future__ import annotations

import hashlib
import os
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tinygrad_mnist.datasets.expand import read_npz
from tinygrad_mnist.datasets.idx import IDX_NAMES, read_idx_folder
from tinygrad_mnist.datasets.pickles import read_pickle
from tinygrad_mnist.datasets.splits import Attempt, DatasetError, DatasetNotFoundError, Splits

BOOK_PLACE = "../data/mnist.pkl.gz"
VARIABLE = "TINYGRAD_MNIST_DATA"

# Public copies of the four original files, tried in turn.
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
# SHA-256 of the original gzip files.
SHA256 = {
    "train-images-idx3-ubyte.gz": (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"
    ),
    "train-labels-idx1-ubyte.gz": (
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"
    ),
    "t10k-images-idx3-ubyte.gz": (
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"
    ),
    "t10k-labels-idx1-ubyte.gz": (
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"
    ),
}
_TIMEOUT_SECONDS = (10, 60)  # to connect, to wait for data


@dataclass(frozen=True)
class Location:
    """Where the data set will be read from, and the places before it that failed."""

    path: Path
    place: str
    attempts: tuple[Attempt, ...] = ()


def cache_folder() -> Path:
    """The user's cache folder for the downloaded files, by the platform's custom."""
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "tinygrad_mnist" / "mnist"


def verify_cache(folder: Path) -> str | None:
    """What is wrong with the downloaded files in `folder`, or None when all four are right."""
    missing = [name for name in SHA256 if not (folder / name).is_file()]
    if len(missing) == len(SHA256):
        return "nothing downloaded yet"
    if missing:
        return f"{', '.join(missing)} missing"
    wrong = [name for name, known in SHA256.items() if _sha256(folder / name) != known]
    if wrong:
        return f"{', '.join(wrong)}: wrong SHA-256, so not used"
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(folder: Path, mirrors: Iterable[str] = MIRRORS) -> None:
    """Fetch the four files into `folder`, each checked against its SHA-256.

    A file that is there with the right sum stays; one with a wrong sum is replaced.
    The mirrors are tried in turn. Raises DatasetNotFoundError, with its
    `attempts`, when none of them gives all the files.
    """
    attempts = []
    for mirror in mirrors:
        problem = _download_from(mirror, folder)
        if problem is None:
            return
        attempts.append(Attempt(f"download from {mirror}", problem))
    raise DatasetNotFoundError(_listing("MNIST can't be downloaded.", attempts), attempts)


def _download_from(mirror: str, folder: Path) -> str | None:
    """Fetch what `folder` lacks from one mirror; the problem, or None."""
    try:
        import pooch
    except ImportError:
        return "the package pooch is not installed (pip install pooch)"
    fetch = pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS)
    for name, known in SHA256.items():
        try:
            pooch.retrieve(
                mirror + name, f"sha256:{known}", fname=name, path=folder, downloader=fetch
            )
        except ValueError:
            return f"{name} arrived with a wrong SHA-256, so it was not kept"
        except OSError as error:  # the connection's errors are OSErrors too
            return f"{name}: {_first_line(error)}"
    return None


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__


def _listing(headline: str, attempts: Iterable[Attempt]) -> str:
    lines = [f"  {attempt.place}: {attempt.problem}" for attempt in attempts]
    return "\n".join([headline, *lines])


def locate(filename: str | os.PathLike[str] | None = None, *, fetch: bool = True) -> Location:
    """Where the data set is; downloads it where it is nowhere and `fetch` is true.

    An explicit `filename` (a file, or a folder of IDX files) is the only place
    tried. Otherwise, in this order: the book's place ../data/mnist.pkl.gz; the file
    or folder in $TINYGRAD_MNIST_DATA, which must exist when it is set; the user's
    cache, whose files must have the right SHA-256; a download into that cache.

    Raises DatasetNotFoundError, which lists each place and its problem.
    """
    if filename is not None:
        path = Path(filename)
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
        attempts.append(Attempt(f"${VARIABLE}={wish}", "no such file or folder"))
    else:
        attempts.append(Attempt(f"${VARIABLE}", "not set"))

    cache = cache_folder()
    if wish:
        skipped = f"not tried, since ${VARIABLE} names another place"
        attempts += [Attempt(f"{cache} (cache)", skipped), Attempt("download", skipped)]
    else:
        problem = verify_cache(cache)
        if problem is None:
            return Location(cache, "the cache", tuple(attempts))
        attempts.append(Attempt(f"{cache} (cache)", problem))
        if "SHA-256" in problem:
            warnings.warn(f"{cache}: {problem}", stacklevel=2)
        try:
            if fetch:
                download(cache)
                return Location(cache, "a download into the cache", tuple(attempts))
            attempts.append(Attempt("download", "not tried"))
        except DatasetNotFoundError as error:
            attempts += error.attempts
    raise DatasetNotFoundError(
        _listing("MNIST was found at none of these places:", attempts)
        + "\nPut the four IDX files into a folder and name it in"
        f" ${VARIABLE} or as the file name.",
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
    the data are searched for, and downloaded, as `locate` says.

    Raises DatasetNotFoundError when there are none, DatasetError when a file can't
    be trusted; the message names each place or the file.
    """
    location = locate(filename)
    try:
        return read(location.path)
    except DatasetError as error:
        if filename is not None or not location.attempts:
            raise
        found = Attempt(f"{location.path} ({location.place})", _first_line(error))
        attempts = (*location.attempts, found)
        raise DatasetError(
            _listing("MNIST can't be loaded from any of these places:", attempts), attempts
        ) from error
