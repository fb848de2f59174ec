"""The cache on disk of code for GPUs.

It has two folders: `sources`, with the text of generated modules, and `code`, with one file of
machine code per design. Each has a limit in bytes; the least recently used files are removed first.
The cache may be deleted at any time: what is missing or damaged is made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinygrad_mnist.folders import user_cache

MAX_BYTES = 256 << 20  # of machine code: about ten thousand kernels
MAX_SOURCE_BYTES = 64 << 20
_KEPT = 0.75  # fraction of the limit that remains after pruning
_MAGIC = b"tinygrad_mnist machine code 1\n"
_UNTOUCHED = 24 * 3600.0  # seconds: the recorded time of last use may be this old


def cache_folder() -> Path:
    """TINYGRAD_MNIST_CUDA_CACHE, or a folder in the platform's cache folder of the user."""
    chosen = os.environ.get("TINYGRAD_MNIST_CUDA_CACHE")
    return Path(chosen) if chosen else user_cache("cuda")


def source_folder() -> Path:
    """The folder of generated modules."""
    return cache_folder() / "sources"


class DamagedEntryError(ValueError):
    """A file of the cache is damaged; the message names it and the damage."""


def read_entry(key: str) -> tuple[dict[str, Any], tuple[bytes, ...]] | None:
    """The facts and the pieces of code stored under `key`, or None.

    Raises DamagedEntryError for a file that was truncated or changed.
    """
    path = _path(key)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedEntryError(f"{path} can't be read: {error}") from error
    head, newline, code = content.removeprefix(_MAGIC).partition(b"\n")
    if not content.startswith(_MAGIC) or not newline:
        raise DamagedEntryError(f"{path} is not machine code")
    try:
        kept = json.loads(head)
        sizes, digest, facts = kept["sizes"], kept["digest"], kept["facts"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedEntryError(f"{path} has no description") from error
    if len(code) != sum(sizes) or digest != _digest(facts, code):
        raise DamagedEntryError(f"{path} is not what was written")
    _touch(path)
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    pieces = (code[end - n : end] for end, n in zip(ends, sizes, strict=True))
    return facts, tuple(pieces)


def write_entry(key: str, facts: dict[str, Any], pieces: Sequence[bytes]) -> None:
    """Stores facts (JSON data) and pieces of code under `key`; OSError if they can't be written."""
    code = b"".join(pieces)
    head = {"sizes": [len(p) for p in pieces], "digest": _digest(facts, code), "facts": facts}
    write_whole(_path(key), b"".join([_MAGIC, json.dumps(head).encode(), b"\n", code]))


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file atomically: another process sees all of it or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_bytes() == content:
        return
    handle, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def kept_bytes() -> int:
    """Bytes of machine code in the cache."""
    return sum(size for _, size, _ in _entries(_code_folder()))


def prune(limit: int = MAX_BYTES, limit_of_sources: int = MAX_SOURCE_BYTES) -> None:
    """If machine code or sources exceed their limit in bytes, removes the least recently used files
    until a quarter of the limit is free."""
    _prune(_code_folder(), limit)
    _prune(source_folder(), limit_of_sources)


def _prune(folder: Path, limit: int) -> None:
    entries = _entries(folder)
    total = sum(size for _, size, _ in entries)
    if total <= limit:
        return
    for _, size, path in sorted(entries):
        if total <= _KEPT * limit:
            break
        path.unlink(missing_ok=True)
        total -= size


def _entries(folder: Path) -> list[tuple[float, int, Path]]:
    """When each file was last used, its bytes, and its path."""
    entries = []
    for path in folder.glob("*"):
        if path.is_dir():  # bytecode of the sources
            continue
        try:
            status = path.stat()
        except OSError:  # another process has just removed it
            continue
        entries.append((status.st_mtime, status.st_size, path))
    return entries


def _code_folder() -> Path:
    return cache_folder() / "code"


def _path(key: str) -> Path:
    return _code_folder() / key


def _digest(facts: dict[str, Any], code: bytes) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode() + code).hexdigest()


def _touch(path: Path) -> None:
    """Records that an entry is in use; at most once a day, because it writes to the disk."""
    try:
        if time.time() - path.stat().st_mtime > _UNTOUCHED:
            os.utime(path)
    except OSError:  # a folder of another user: the entry looks older than it is
        pass
