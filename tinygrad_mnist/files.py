"""Files that are written whole or not at all, and read only where they are files."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

_LONGEST = 40  # characters of a name that an unfinished file's name has
_NO_WAIT = getattr(os, "O_NONBLOCK", 0)  # Windows has no pipes among its files
_KINDS = (
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def written_whole(path: str | os.PathLike[str], durable: bool = True) -> Iterator[BinaryIO]:
    """A binary file to write; it becomes the file `path` when the block ends without an error.

    The bytes go to a new file in the same folder, which is then renamed. So other processes see the
    old file or the new one, never a part, and after an error the folder is as it was. An existing
    file keeps its permissions, and a symbolic link stays one. What is no regular file, such as a
    pipe, is written directly. durable: wait until the bytes are on the disk, so that they outlast a
    power failure.

    Raises OSError, with the name `path`, if it can't be written.
    """
    target = Path(os.path.realpath(path))
    found = target.stat() if target.exists() else None
    mode = None if found is None else found.st_mode
    if mode is not None and not stat.S_ISREG(mode):
        with _naming(path, None), open(path, "wb") as file:
            yield file
        return
    if found is not None and not _may_replace(target, found):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), os.fspath(path))
    part = target.with_name(f".{target.name[:_LONGEST]}.{os.urandom(4).hex()}.part")
    with _naming(path, part):
        try:
            with open(part, "xb") as file:
                yield file
                file.flush()
                if durable:
                    os.fsync(file.fileno())
            if mode is not None:
                os.chmod(part, stat.S_IMODE(mode))
            os.replace(part, target)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise


def _may_replace(target: Path, found: os.stat_result) -> bool:
    """Whether a file may be written, and another one take its place: in a folder with the sticky
    bit, such as /tmp, that is the right of the owner of the file or the folder."""
    if not os.access(target, os.W_OK):
        return False
    folder = target.parent.stat()
    is_sticky = os.name == "posix" and folder.st_mode & stat.S_ISVTX
    return not is_sticky or os.geteuid() in (0, found.st_uid, folder.st_uid)


def append_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Adds to the end of a file, or makes it; after an error it is as long as it was. A pipe or a
    device takes what it can.

    Raises OSError, with the name `path`, if it can't be written.
    """
    with _naming(path, None), open(path, "ab", buffering=0) as file:
        found = os.fstat(file.fileno())
        try:
            rest = memoryview(content)
            while rest:
                rest = rest[file.write(rest) :]
        except BaseException:
            if stat.S_ISREG(found.st_mode):
                with suppress(OSError):
                    file.truncate(found.st_size)
            raise


@contextmanager
def _naming(path: str | os.PathLike[str], part: Path | None) -> Iterator[None]:
    """Gives errors of the system the name `path`, where they have none or that of the part."""
    try:
        yield
    except OSError as error:
        unnamed = (None, None if part is None else os.fspath(part))
        if error.errno is None or error.filename not in unnamed:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """A file, open to read its bytes. A pipe, which may never have any, and a device, which may
    never end, are refused, and are not opened.

    Raises OSError, with the name `path` and what it is.
    """
    refuse_special(path, os.stat(path))
    # What takes the file's place in between must not be waited for.
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAIT))  # noqa: SIM115
    try:
        refuse_special(path, os.fstat(file.fileno()))
    except OSError:
        file.close()
        raise
    return file


def refuse_special(path: str | os.PathLike[str], found: os.stat_result) -> None:
    """Raises OSError for what is no regular file: with the name `path` and what it is."""
    if stat.S_ISREG(found.st_mode):
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder, not a file", os.fspath(path))
    kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "no regular file")
    raise OSError(errno.EINVAL, f"it is {kind}, not a file", os.fspath(path))


def write_whole(path: str | os.PathLike[str], content: bytes, durable: bool = True) -> None:
    """Writes `content` by `written_whole`."""
    with written_whole(path, durable) as file:
        file.write(content)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Whether `written_whole` can make a file of this name: raises OSError, naming it, if not.

    For a long program that writes the file later. What is there stays as it is, but for what a
    process that was killed has left: so no other process may be writing the file now.
    """
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    if target.parent.is_dir() and len(target.name) <= _LONGEST:
        for part in target.parent.iterdir():
            if _is_part(part.name, target):
                with suppress(OSError):  # another user's may have to stay
                    part.unlink()
    with suppress(_Unwanted), written_whole(path, durable=False):
        raise _Unwanted


def _is_part(name: str, target: Path) -> bool:
    """Whether this is the name of an unfinished file that was to become the target."""
    return re.fullmatch(rf"\.{re.escape(target.name)}\.[0-9a-f]{{8}}\.part", name) is not None


class _Unwanted(Exception):  # noqa: N818
    """Ends the writing of a file that nobody needs."""
