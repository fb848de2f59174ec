"""What a compilation that takes long says on standard error."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tinygrad_mnist.compile.listing import counted

PATIENCE = 2.0  # seconds before anything is said


@contextmanager
def compiling(n_kernels: int, target: str, folder: Path) -> Iterator[None]:
    """Says what is being compiled if the block takes longer than PATIENCE, and then how long it
    took. target: what it is compiled for. folder: where the machine code is kept."""
    begin = time.perf_counter()
    said = threading.Event()

    def say() -> None:
        said.set()
        _say(
            f"compiling {counted(n_kernels, 'kernel')} for {target}; the machine code is kept in"
            f" {folder}, so this is done once"
        )

    timer = threading.Timer(PATIENCE, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        if said.is_set():
            _say(f"compiled in {time.perf_counter() - begin:.0f} s")


def _say(text: str) -> None:
    print(f"tinygrad_mnist: {text}", file=sys.stderr, flush=True)
