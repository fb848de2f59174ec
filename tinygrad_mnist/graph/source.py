"""The line of the user's program that made a variable."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_is_users: dict[str, bool] = {}  # by file name
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Source(NamedTuple):
    """A file and a line of the user's program."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def user_source() -> Source | None:
    """The innermost line on the stack that is not this package's, or None."""
    frame = sys._getframe(1)
    while frame is not None:
        file = frame.f_code.co_filename
        users = _is_users.get(file)
        if users is None:
            users = _is_users[file] = not file.startswith((_PACKAGE, "<"))
        if users:
            return Source(file, frame.f_lineno)
        if frame.f_back is None:
            return None
        frame = frame.f_back
    return None


def at(source: Source | None) -> str:
    """`source` as the tail of an error message; empty where it is not known."""
    return "" if source is None else f"\n  made at {source}"


@contextmanager
def error_context(op: str, source: Source | None) -> Iterator[None]:
    """Adds the op and the user's line to an error of a rule, unless its message has a line."""
    try:
        yield
    except (TypeError, ValueError, IndexError) as error:
        raise with_context(error, op, source) from None


def with_context(error: Exception, op: str, source: Source | None) -> Exception:
    """`error` with the op and the user's line in its message, or itself if that has a line."""
    text = str(error)
    return error if "made at" in text else type(error)(f"{op}: {text}{at(source)}")
