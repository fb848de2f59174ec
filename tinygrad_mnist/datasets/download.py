"""The download of original files into the user's cache, each with its checksum."""

from __future__ import annotations

import hashlib
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tinygrad_mnist.datasets.splits import Attempt, DatasetNotFoundError, listing
from tinygrad_mnist.folders import user_cache


@dataclass(frozen=True)
class Original:
    """A data set as it is published: four gzipped files.

    name: of the folder in the user's cache, and for --data. variable: of the environment, which
    names a file or folder with the data. mirrors: addresses of folders with the files.
    sha256: the sum of each file, by its name.
    """

    name: str
    title: str
    variable: str
    mirrors: tuple[str, ...]
    sha256: dict[str, str]

    @property
    def cache(self) -> Path:
        """The user's cache folder for the downloaded files, by the platform's custom."""
        return user_cache(self.name)


MNIST = Original(
    name="mnist",
    title="MNIST",
    variable="TINYGRAD_MNIST_DATA",
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    sha256={
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
    },
)
FASHION_MNIST = Original(
    name="fashion-mnist",
    title="Fashion-MNIST",
    variable="TINYGRAD_FASHION_MNIST_DATA",
    mirrors=(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    ),
    sha256={
        "train-images-idx3-ubyte.gz": (
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"
        ),
        "train-labels-idx1-ubyte.gz": (
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5"
        ),
    },
)
#: The place of an `Attempt` that was a download.
DOWNLOAD = "download"
#: How long the first answer of all mirrors together may take.
ANSWER_SECONDS = 8.0
_TIMEOUT_SECONDS = (10, 30)  # of a file: to connect, to wait for data


def cache_folder() -> Path:
    """The user's cache folder for MNIST's files, by the platform's custom."""
    return MNIST.cache


def verify_cache(original: Original, folder: Path) -> Attempt | None:
    """The problem of the downloaded files in `folder`, or None when all four are right."""
    place = f"{folder} (cache)"
    names = original.sha256
    missing = [name for name in names if not (folder / name).is_file()]
    if len(missing) == len(names):
        return Attempt(place, "nothing downloaded yet")
    if missing:
        return Attempt(place, f"{', '.join(missing)} missing")
    wrong = [name for name, known in names.items() if _sha256(folder / name) != known]
    if wrong:
        return Attempt(place, f"{', '.join(wrong)}: wrong SHA-256, so not used", fault=True)
    return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def download(original: Original, folder: Path) -> None:
    """Fetch the four files into `folder`, each checked against its SHA-256.

    An existing file with the right sum stays; one with a wrong sum is replaced. All mirrors are
    asked at once and used in the order in which they answer.

    Raises DatasetNotFoundError, with its `attempts`, when no mirror has all the files; without a
    network, after ANSWER_SECONDS at the latest.
    """
    try:
        import pooch  # noqa: F401
    except ImportError:
        missing = "the package pooch is not installed (pip install pooch)"
        attempts = [Attempt(DOWNLOAD, missing, fault=True)]
    else:
        attempts, is_new = [], not folder.exists()
        for mirror, problem in _answers(original):
            fault = False
            if problem is None:
                problem, fault = _fetch_all(original, mirror, folder)
            if problem is None:
                return
            attempts.append(Attempt(f"{DOWNLOAD} from {mirror}", problem, fault))
        if is_new:
            with suppress(OSError):  # it isn't there, or has files
                folder.rmdir()
    headline = f"{original.title} can't be downloaded."
    raise DatasetNotFoundError(listing(headline, attempts), attempts)


def _answers(original: Original) -> Iterator[tuple[str, str | None]]:
    """Each mirror, when it answers, with its problem, or None where it has the first file.

    Looking up a name and trying each of its addresses may take minutes in a network that drops
    packets, and no timeout of a connection covers that. So each mirror is asked in a thread of its
    own, which is abandoned when the time is over.
    """
    answers: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()
    first = next(iter(original.sha256))
    for mirror in original.mirrors:
        threading.Thread(
            target=lambda m=mirror: answers.put((m, _ask(m + first))), daemon=True
        ).start()
    waiting = list(original.mirrors)
    deadline = time.monotonic() + ANSWER_SECONDS
    while waiting:
        try:
            mirror, problem = answers.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        waiting.remove(mirror)
        yield mirror, problem
    for mirror in waiting:
        yield mirror, f"no answer in {ANSWER_SECONDS:g} seconds"


def _ask(address: str) -> str | None:
    """Why the file at `address` can't be had, or None."""
    import pooch

    fetch = pooch.HTTPDownloader(timeout=ANSWER_SECONDS)
    try:
        there = fetch(address, None, None, check_only=True)
    except OSError as error:  # the connection's errors are OSErrors too
        return reason(error)
    return None if there else "the server does not have the files"


def _fetch_all(original: Original, mirror: str, folder: Path) -> tuple[str | None, bool]:
    """Fetch what `folder` lacks from one mirror; the problem, or None, and whether it is a fault
    of a file and not of the connection."""
    import pooch

    fetch = pooch.HTTPDownloader(timeout=_TIMEOUT_SECONDS)
    for name, known in original.sha256.items():
        try:
            pooch.retrieve(
                mirror + name, f"sha256:{known}", fname=name, path=folder, downloader=fetch
            )
        except ValueError:
            return f"{name} arrived with a wrong SHA-256, so it was not kept", True
        except OSError as error:
            # requests' errors carry no errno; those of files do.
            return f"{name}: {reason(error)}", error.errno is not None
    return None, False


def reason(error: BaseException) -> str:
    """A short reason for an error: the first line of its first cause."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    text = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return text.strip().partition("\n")[0] or type(error).__name__
