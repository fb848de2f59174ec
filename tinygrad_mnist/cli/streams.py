"""Standard output and error, which may be closed, full, or a pipe without a reader."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

from tinygrad_mnist.errors import printable


def open_streams() -> None:
    """Opens the null device in place of streams that are closed: else the next file that is opened
    takes their number, and what is printed goes into it. `sys.stdout` stays None where it is."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number
    if sys.stderr is None:  # `print` would take standard output
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115


def report(text: str) -> None:
    """Prints an error on standard error, without control characters, if that is possible."""
    with suppress(OSError, ValueError):
        print(f"tinygrad-mnist: {printable(text)}", file=sys.stderr, flush=True)


def close_streams() -> None:
    """Flushes both streams. One that can't be written goes to the null device: Python flushes it
    again at its end, and would print what fails then."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
