"""A data file's contents: unpacked, and named for what they are."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from tinygrad_mnist.datasets.splits import DatasetError

#: What an error recommends in place of a file that can't be read.
READABLE = (
    "what can be read: the four IDX files such as train-images-idx3-ubyte.gz, mnist.npz,"
    " mnist.pkl.gz, or a CSV file of labels and 784 pixels"
)
_GZIP = b"\x1f\x8b"
_XZ = b"\xfd7zXZ\0"
_BZIP2 = b"BZh"
_UNPACK: dict[bytes, tuple[str, Callable[[bytes], bytes]]] = {
    _GZIP: ("gzip", gzip.decompress),
    _XZ: ("xz", lzma.decompress),
    _BZIP2: ("bzip2", bz2.decompress),
}
_SHOWN = 8  # names in an archive that a message lists
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


def unpack(raw: bytes, path: Path) -> bytes:
    """`raw`, unpacked once if it is gzip, xz or bzip2 data.

    Raises DatasetError, naming the file, when they are cut, damaged, or packed twice.
    """
    for magic, (name, decompress) in _UNPACK.items():
        if not raw.startswith(magic):
            continue
        try:
            data = decompress(raw)
        except (EOFError, OSError, ValueError, lzma.LZMAError, zlib.error) as error:
            raise DatasetError(
                f"{path}: the {name} data are truncated or damaged ({error})"
            ) from None
        if data.startswith(tuple(_UNPACK)):
            raise DatasetError(f"{path}: {_twice(name, data)}; unpack it once")
        return data
    return raw


def read_bytes(path: Path) -> bytes:
    """The file's contents, unpacked when they are gzip, xz or bzip2.

    Raises DatasetError, naming the file, when they are cut, damaged, or packed twice.
    """
    return unpack(path.read_bytes(), path)


def read_start(path: Path, length: int = _START) -> bytes:
    """The first `length` bytes of the file's contents, unpacked as by `read_bytes`.

    They are the packed bytes themselves where those can't be unpacked.
    """
    openers: dict[bytes, Callable[..., Any]] = {_GZIP: gzip.open, _XZ: lzma.open, _BZIP2: bz2.open}
    with path.open("rb") as file:
        start = file.read(length)
    for magic, opener in openers.items():
        if start.startswith(magic):
            try:
                with opener(path, "rb") as unpacked:
                    return bytes(unpacked.read(length))
            except (EOFError, OSError, ValueError, lzma.LZMAError, zlib.error):
                break
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
        with zipfile.ZipFile(path) as archive:
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
        with path.open("rb") as file:
            raw = file.read(_START)
        start = read_start(path)
    except OSError:
        return "a file that can't be read"
    for magic, (name, _) in _UNPACK.items():
        if raw.startswith(magic) and start.startswith(tuple(_UNPACK)):
            return f"damaged {name} data" if start == raw else _twice(name, start)
    if not raw.startswith(ZIP):
        return describe(start)
    names = names_in_zip(path)
    if names is None:
        return "a zip archive, cut or damaged,"
    if any(name.endswith("data.pkl") for name in names):
        return "a PyTorch file"
    kind = "a zip archive of" if array_names(path) is None else "an .npz file of the arrays"
    return f"{kind} {', '.join(name.removesuffix('.npy') for name in names[:_SHOWN])}"


def _twice(outer: str, start: bytes) -> str:
    """The words for data packed by `outer` within which are the packed data `start`."""
    inner = next(name for magic, (name, _) in _UNPACK.items() if start.startswith(magic))
    what = "doubly gzipped" if outer == inner == "gzip" else "packed twice"
    return f"{what} ({inner} within {outer})"


def refuse(path: Path, wanted: str) -> NoReturn:
    """Raises DatasetError that says what the file is in place of `wanted`, or how it is damaged."""
    read_bytes(path)
    what = describe_file(path)
    archive = what.startswith(("a zip archive", "a tar archive", "a 7z archive", "a RAR archive"))
    advice = "unpack it and name the folder; " if archive else ""
    raise DatasetError(f"{path}: {what}, not {wanted}; {advice}{READABLE}")
