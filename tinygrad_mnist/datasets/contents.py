"""A data file's contents: unpacked, and named for what they are."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from tinygrad_mnist.datasets.splits import DatasetAccessError, DatasetError, DatasetNotFoundError
from tinygrad_mnist.files import open_regular
from tinygrad_mnist.limits import limits

#: What an error recommends in place of a file that can't be read.
READABLE = (
    "what can be read: the four IDX files such as train-images-idx3-ubyte.gz, mnist.npz,"
    " mnist.pkl.gz, or a CSV file of labels and 784 pixels"
)
_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\0"
_BZIP2 = b"BZh"
_OPENERS: dict[bytes, tuple[str, Callable[[BinaryIO], Any]]] = {
    _GZIP: ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    _XZ: ("xz", lzma.LZMAFile),
    _BZIP2: ("bzip2", bz2.BZ2File),
}
_DAMAGED = (EOFError, OSError, ValueError, lzma.LZMAError, zlib.error)
_STEP = 1 << 20  # bytes that are read at a time
MOST_COUNTED = 64 << 20  # bytes behind what is wanted, or of a file that is something else
_SHOWN, _LONGEST = 8, 40  # names in an archive that a message lists, and their characters
_FEW = 4  # delimiters in a line
_START = 4096  # bytes that are enough to tell what a file is

#: What `describe` calls one of the four files.
IDX_FILE = "an IDX file"
ZIP = b"PK\x03\x04"
_SIGNATURES = (
    (ZIP, "a zip archive"),
    (b"PK\x05\x06", "an empty zip archive"),
    (b"\x93NUMPY", "a NumPy array (.npy)"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"PAR1", "a Parquet file"),
    (b"ARROW1", "an Arrow file"),
    (b"MATLAB", "a MATLAB file"),
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF8", "a GIF image"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard file"),
    (b"%PDF", "a PDF document"),
    (b"SQLite format 3", "an SQLite database"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself"),
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", "a PyTorch file"),
    (_GZIP, "gzip data"),
    (_XZ, "xz data"),
    (_BZIP2, "bzip2 data"),
)
_MARKUP = (
    ((b"<!doctype html", b"<html", b"<head", b"<body", b"<script"), "a web page (HTML)"),
    ((b"<?xml", b"<error"), "an XML document"),
    ((b"{", b"["), "JSON text"),
)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Makes what Python and NumPy raise for a file a DatasetError that names it: errors of the
    system, and a lack of memory."""
    try:
        yield
    except DatasetError:
        raise
    except MemoryError:
        raise DatasetError(f"{path}: its contents do not fit into memory") from None
    except FileNotFoundError:
        raise DatasetNotFoundError(f"{path}: no such file") from None
    except OSError as error:
        raise DatasetAccessError.of(path, error) from None


def opened(path: Path) -> BinaryIO:
    """The file, to read its bytes. Raises DatasetError, naming it, for what is no regular file, and
    where the system refuses."""
    with reading(path):
        return open_regular(path)


class _Unpacked(io.RawIOBase):
    """The contents of a file, unpacked once if they are gzip, xz or bzip2 data, as far as
    `limits.unpacked_bytes` allows. Raises DatasetError, naming the file, for more, and where the
    data are cut or damaged."""

    def __init__(self, file: BinaryIO, path: Path, limit: int | None = None) -> None:
        start = file.read(len(_XZ))
        file.seek(0)
        name, opener = next(
            (o for magic, o in _OPENERS.items() if start.startswith(magic)), ("", None)
        )
        self._path, self._file, self.packing = path, file, name
        self._source: Any = file if opener is None else opener(file)
        self._length, self._limit = 0, limit or limits.unpacked_bytes

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with reading(self._path):
            n = self._read_some(buffer)
        self._length += n
        if self._length > self._limit:
            raise DatasetError(
                f"{self._path}: more than {self._limit:,} bytes"
                f"{' after unpacking' * bool(self.packing)}, the limit `unpacked_bytes`"
            )
        return n

    def _read_some(self, buffer: Any) -> int:
        if not self.packing:
            return int(self._source.readinto(buffer))
        try:
            return int(self._source.readinto(buffer))
        except _DAMAGED as error:
            raise DatasetError(
                f"{self._path}: the {self.packing} data are truncated or damaged ({error})"
            ) from None

    def close(self) -> None:
        self._file.close()
        super().close()


def open_unpacked(path: Path, limit: int | None = None) -> BinaryIO:
    """The file's contents to read in steps, unpacked when they are gzip, xz or bzip2.

    Opening and reading raise DatasetError, naming the file, where it can't be read, where its
    contents are cut, damaged, packed twice, or more than `limit`, by default
    `limits.unpacked_bytes`.
    """
    raw = _Unpacked(opened(path), path, limit)
    file = io.BufferedReader(raw)
    try:
        start = file.peek(len(_XZ))
        if raw.packing and start.startswith(tuple(_OPENERS)):
            raise DatasetError(f"{path}: {_twice(raw.packing, start)}; unpack it once")
    except BaseException:
        file.close()
        raise
    return cast(BinaryIO, file)


def length_of_rest(file: BinaryIO) -> int:
    """How many bytes a file has from here on, as far as MOST_COUNTED; they are not kept."""
    n = 0
    while n < MOST_COUNTED and (data := file.read(_STEP)):
        n += len(data)
    return n


def read_start(path: Path, length: int = _START) -> bytes:
    """The first `length` bytes of the file's contents, unpacked when they are gzip, xz or bzip2.

    They are the packed bytes themselves where those can't be unpacked. Raises DatasetError, naming
    the file, where it can't be read.
    """
    with opened(path) as file, reading(path):
        start = file.read(length)
        if not start.startswith(tuple(_OPENERS)):
            return start
        file.seek(0)
        try:
            return io.BufferedReader(_Unpacked(file, path)).read(length)
        except DatasetError:
            return start


def delimiter(start: bytes) -> str | None:
    """What separates the columns of a table in text; None for other data.

    A line of few columns may be a sentence with a comma, so the next one must have as many.
    """
    lines = start.removeprefix(b"\xef\xbb\xbf").strip().splitlines()
    if not lines or not _is_text(lines[0]):
        return None
    counts = {mark: lines[0].count(mark.encode()) for mark in ",;\t"}
    best = max(counts, key=counts.__getitem__)
    few = 0 < counts[best] < _FEW
    if few and any(line.count(best.encode()) != counts[best] for line in lines[1:2]):
        return None
    if few and len(lines) == 1 and b" " in lines[0]:
        return None
    return best if counts[best] else None


def _is_text(data: bytes) -> bool:
    try:
        # The last character may be cut, so this is not the end.
        codecs.getincrementaldecoder("utf-8")().decode(data[:_START], final=False)
    except UnicodeDecodeError:
        return False
    return not any(byte < 32 and byte not in b"\t\n\f\r" for byte in data)


def foreign(start: bytes) -> str | None:
    """What contents that begin with `start` are, where the data set's readers can't read them.

    None for IDX files, tables in text, pickles, and unknown contents.
    """
    if not start:
        return "an empty file"
    if start[257:262] == b"ustar":
        return "a tar archive"
    for magic, name in _SIGNATURES:
        if start.startswith(magic):
            return name
    if not any(start) and len(start) > 8:
        return "a file of zeros"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for marks, name in _MARKUP:
        if text.startswith(marks):
            return name
    if b"<html" in text[:1024] and _is_text(start):
        return "a web page (HTML)"
    if b"@relation" in text and _is_text(start):
        return "an ARFF file"
    return None


def describe(start: bytes) -> str:
    """What contents that begin with `start` are, in words, for messages."""
    known = foreign(start)
    if known is not None:
        return known
    if start[:2] == b"\0\0" and start[3:4] in (b"\1", b"\2", b"\3", b"\4"):
        return IDX_FILE
    if start[:1] == b"\x80":
        return "a pickle"
    if delimiter(start):
        return "a CSV file"
    if _is_text(start):
        first = start.decode(errors="replace").strip().partition("\n")[0]
        return f"text that begins with {first[:40]!r}"
    return "unknown data"


def names_in_zip(path: Path) -> list[str] | None:
    """The names of the files in a zip archive; None if it is none, or is damaged."""
    try:
        with opened(path) as file, zipfile.ZipFile(file) as archive:
            return archive.namelist()
    except Exception:  # a damaged archive can raise any exception
        return None


def array_names(path: Path) -> list[str] | None:
    """The names of the arrays in an .npz file; None for other files."""
    names = names_in_zip(path)
    if not names or not all(name.endswith(".npy") for name in names):
        return None
    return [name.removesuffix(".npy") for name in names]


def describe_file(path: Path) -> str:
    """What a file is, in words, for messages."""
    try:
        with opened(path) as file:
            raw = file.read(_START)
        start = read_start(path)
    except (DatasetError, OSError):
        return "a file that can't be read"
    for magic, (name, _) in _OPENERS.items():
        if raw.startswith(magic) and start.startswith(tuple(_OPENERS)):
            return f"damaged {name} data" if start == raw else _twice(name, start)
    if not raw.startswith(ZIP):
        return describe(start)
    names = names_in_zip(path)
    if names is None:
        return "a zip archive, cut or damaged,"
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch file"
    kind = "a zip archive of" if array_names(path) is None else "an .npz file of the arrays"
    return f"{kind} {short_list([name.removesuffix('.npy') for name in names])}"


def short_list(names: Sequence[str]) -> str:
    """Names that a file has, as far as a message shows them."""
    shown = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in names[:_SHOWN]]
    return ", ".join(shown)


def _twice(outer: str, start: bytes) -> str:
    """The words for data packed by `outer` within which are the packed data `start`."""
    inner = next(name for magic, (name, _) in _OPENERS.items() if start.startswith(magic))
    what = "doubly gzipped" if outer == inner == "gzip" else "packed twice"
    return f"{what} ({inner} within {outer})"


def refuse(path: Path, wanted: str) -> NoReturn:
    """Raises DatasetError that says what the file is in place of `wanted`, or how it is damaged."""
    with open_unpacked(path) as file:
        length_of_rest(file)
    what = describe_file(path)
    archive = what.startswith(("a zip archive", "a tar archive", "a 7z archive", "a RAR archive"))
    advice = "unpack it and name the folder; " if archive else ""
    raise DatasetError(f"{path}: {what}, not {wanted}; {advice}{READABLE}")
