"""Where nodes get no test values though `config.compute_test_value` is on: while plans are made."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class _Pauses(threading.local):
    """How many pauses the thread is in."""

    count = 0


_pauses = _Pauses()


@contextmanager
def no_test_values() -> Iterator[None]:
    """Nodes that are made inside have no test values."""
    _pauses.count += 1
    try:
        yield
    finally:
        _pauses.count -= 1


def are_paused() -> bool:
    """Whether this runs inside `no_test_values`."""
    return _pauses.count > 0
