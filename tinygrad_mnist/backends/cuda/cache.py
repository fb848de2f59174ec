"""The cache on disk of code for GPUs.

It has two folders: `sources`, with the text of generated modules, and `code`, with one file of
machine code per design. Each has a limit in bytes; the least recently used files are removed first.
The cache may be deleted at any time: what is missing or damaged is made again. If it can't be
written, a temporary folder takes its place until the process ends.

The name of an entry is `<stem>-<tools>`: the stem says what was compiled, the rest by which tools.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tinygrad_mnist import files
from tinygrad_mnist.folders import user_cache

CACHE = "TINYGRAD_MNIST_CUDA_CACHE"  # environment variables that name folders
CARRIED = "TINYGRAD_MNIST_CUDA_CODE"
MAX_BYTES = 256 << 20  # of machine code: about ten thousand kernels
MAX_SOURCE_BYTES = 64 << 20
CODE = "code"  # the folder of machine code
_KEPT = 0.75  # fraction of the limit that remains after pruning
_MAGIC = b"tinygrad_mnist machine code 1\n"
_UNTOUCHED = 24 * 3600.0  # seconds: the recorded time of last use may be this old


def cache_folder() -> Path:
    """TINYGRAD_MNIST_CUDA_CACHE, or a folder in the platform's cache folder of the user."""
    chosen = os.environ.get(CACHE)
    return Path(chosen) if chosen else user_cache("cuda")


def carried_folder() -> Path | None:
    """TINYGRAD_MNIST_CUDA_CODE: a cache that was filled on another machine. Its machine code is
    used whatever compiler is installed here, before that of the own cache; it is never written."""
    chosen = os.environ.get(CARRIED)
    return Path(chosen) if chosen else None


_writable: dict[Path, Path] = {}


def writable_folder() -> Path:
    """`cache_folder()`; if that can't be written, a temporary folder, and a line on standard error
    that says so once."""
    wanted = cache_folder()
    if wanted not in _writable:
        _writable[wanted] = _tried(wanted)
    return _writable[wanted]


def _tried(wanted: Path) -> Path:
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted) as file:
            file.write(b"x")
    except OSError as error:
        instead = Path(tempfile.mkdtemp(prefix="tinygrad_mnist_cuda_"))
        atexit.register(_remove, instead, os.getpid())
        print(
            f"tinygrad_mnist: compiled kernels can't be kept in {wanted} ({error.strerror}), so the"
            " next process compiles them again; TINYGRAD_MNIST_CUDA_CACHE names another folder",
            file=sys.stderr,
            flush=True,
        )
        return instead
    return wanted


def _remove(folder: Path, process: int) -> None:
    """Removes a temporary folder at the end of the process that made it, not of a fork."""
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)


def source_folder() -> Path:
    """The folder of generated modules."""
    return writable_folder() / "sources"


class DamagedEntryError(ValueError):
    """A file of the cache is damaged; the message names it and the damage."""


def read_entry(stem: str, tools: str | None) -> tuple[dict[str, Any], tuple[bytes, ...]] | None:
    """The facts and the pieces of code stored under `stem`, or None.

    tools: of the installed compiler; what others compiled is not returned. None without a compiler:
    then the newest entry of any tools is. Raises DamagedEntryError for a file that was truncated or
    changed.
    """
    path = _entry(stem, tools)
    return None if path is None else _read(path)


def _entry(stem: str, tools: str | None) -> Path | None:
    """The file of an entry, or None."""
    carried = carried_folder()
    wanted = cache_folder()
    own = dict.fromkeys([_writable.get(wanted, wanted), wanted])
    if carried is not None and (found := _newest(carried, stem, "*")) is not None:
        return found
    for folder in own:
        if (found := _newest(folder, stem, tools or "*")) is not None:
            return found
    return None


def _newest(folder: Path, stem: str, tools: str) -> Path | None:
    if tools != "*":
        path = folder / CODE / f"{stem}-{tools}"
        return path if path.exists() else None
    found = _entries(folder / CODE, f"{stem}-*")
    return max(found)[2] if found else None


def _read(path: Path) -> tuple[dict[str, Any], tuple[bytes, ...]] | None:
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


def write_entry(stem: str, tools: str, facts: dict[str, Any], pieces: Sequence[bytes]) -> None:
    """Stores facts (JSON data) and pieces of code; OSError if they can't be written."""
    code = b"".join(pieces)
    head = {"sizes": [len(p) for p in pieces], "digest": _digest(facts, code), "facts": facts}
    path = writable_folder() / CODE / f"{stem}-{tools}"
    write_if_new(path, b"".join([_MAGIC, json.dumps(head).encode(), b"\n", code]))


def write_if_new(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, and its folder, unless it is there with that content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_bytes() == content:
        return
    files.write_whole(path, content, durable=False)  # a damaged entry is found and made again


def kept_bytes() -> int:
    """Bytes of machine code in the cache."""
    return sum(size for _, size, _ in _entries(cache_folder() / CODE))


def prune(limit: int = MAX_BYTES, limit_of_sources: int = MAX_SOURCE_BYTES) -> None:
    """If machine code or sources exceed their limit in bytes, removes the least recently used files
    until a quarter of the limit is free."""
    _prune(writable_folder() / CODE, limit)
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


def _entries(folder: Path, pattern: str = "*") -> list[tuple[float, int, Path]]:
    """When each file was last used, its bytes, and its path."""
    entries = []
    for path in folder.glob(pattern):
        if path.is_dir():  # bytecode of the sources
            continue
        try:
            status = path.stat()
        except OSError:  # another process has just removed it
            continue
        entries.append((status.st_mtime, status.st_size, path))
    return entries


def _digest(facts: dict[str, Any], code: bytes) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode() + code).hexdigest()


def _touch(path: Path) -> None:
    """Records that an entry is in use; at most once a day, because it writes to the disk."""
    try:
        if time.time() - path.stat().st_mtime > _UNTOUCHED:
            os.utime(path)
    except OSError:  # a folder of another user: the entry looks older than it is
        pass
