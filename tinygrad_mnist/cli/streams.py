"""Standard output and error, which may be closed, full, or a pipe without a reader."""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress

from tinygrad_mnist.errors import printable


class ClosedOutput(io.TextIOBase):
    """Stands for a standard output that is closed: what is printed on it is an error, then and when
    it is flushed."""

    _lost = False

    def write(self, text: str) -> int:
        """Raises OSError."""
        self._lost = True
        raise OSError("standard output is closed")

    def flush(self) -> None:
        """Raises OSError where something was printed."""
        if self._lost:
            raise OSError("standard output is closed")


def open_streams() -> None:
    """Opens the null device in place of streams that are closed: else the next file that is opened
    takes their number, and what is printed goes into it. A closed standard output becomes a
    `ClosedOutput`: a command that prints nothing doesn't need it."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    if sys.stderr is None:  # `print` would take standard output
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = ClosedOutput()


def report(text: str) -> None:
    """Prints an error on standard error, without control characters, if that is possible."""
    with suppress(OSError, ValueError):
        print(f"tinygrad-mnist: {printable(text)}", file=sys.stderr, flush=True)


def close_streams() -> None:
    """Flushes both streams. One that can't be written goes to the null device: Python flushes it
    again at its end, and would print what fails then."""
    if isinstance(sys.stdout, ClosedOutput):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
