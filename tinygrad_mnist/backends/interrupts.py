"""Interrupts wait for the end of a step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_held = False  # whether they are held back already; the main thread's


@contextmanager
def interrupts_deferred() -> Iterator[None]:
    """Holds Ctrl-C back until the end of a `with`, so that what is inside happens whole.

    Signals reach Python in its main thread alone; in other threads there is nothing to do, nor is
    there inside of another such `with`, whose end counts.
    """
    global _held
    if threading.current_thread() is not threading.main_thread() or _held:
        yield
        return
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler):
        yield
        return
    caught: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: caught.append((number, frame)))
    _held = True
    try:
        yield
    finally:
        _held = False
        signal.signal(signal.SIGINT, handler)
        if caught:
            handler(*caught[0])
