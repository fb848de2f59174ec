"""What the command `tinygrad-mnist` does before its modules are loaded, which takes a second."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

_COMMAND = "tinygrad-mnist"
INTERRUPTED = 130


def _is_command() -> bool:
    """Whether this process is the command, and not a program that imports the package, nor a
    process that the command has started."""
    if "--multiprocessing-fork" in sys.orig_argv:
        return False
    # While a package that `python -m` runs is imported, argv begins with "-m".
    by_module = sys.argv[:1] == ["-m"] and "tinygrad_mnist" in sys.orig_argv
    script = os.path.basename(sys.argv[0]) if sys.argv else ""
    return by_module or script.removesuffix(".exe") == _COMMAND


def _end(number: int, frame: Any) -> None:
    if sys.stderr is not None:
        print(f"{_COMMAND}: interrupted", file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)


def handle_interrupts() -> None:
    """Makes Ctrl-C end the command with one line, in place of a traceback through the imports."""
    if _is_command() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def restore_interrupts() -> None:
    """From now on Ctrl-C raises KeyboardInterrupt again."""
    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, signal.default_int_handler)


handle_interrupts()
