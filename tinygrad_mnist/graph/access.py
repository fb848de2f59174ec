"""Who may touch the values of shared variables now: many readers, or one writer.

A function takes hold of all variables that it reads or updates at once, and lets all go at once.
So a step sees values of whole steps only, two functions that update one variable take turns, and
nobody who holds something waits for anything: there is no deadlock.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

# Guards the marks of all values; held for the microsecond that it takes to look at and set them.
# Reentrant: a signal handler may read a variable while its thread is here.
_gate = threading.RLock()
_changed = threading.Condition(_gate)


class Access:
    """The threads, by identifier, that hold one value at present."""

    __slots__ = ("depth", "readers", "writer")

    def __init__(self) -> None:
        self.readers: list[int] = []
        self.writer = 0
        self.depth = 0  # how often the writer took hold of it


class Hold:
    """Takes hold of values inside a `with`, as soon as no other thread is in the way.

    reads: values that nobody may write meanwhile. writes: values that nobody else may touch. What
    the same thread holds already is never in its way. May be used again and by several threads.
    """

    __slots__ = ("_reads", "_writes")

    def __init__(self, reads: Sequence[Access] = (), writes: Sequence[Access] = ()) -> None:
        self._reads = tuple(reads)
        self._writes = tuple(writes)

    def __enter__(self) -> None:
        me = threading.get_ident()
        with _gate:
            while self._is_blocked(me):
                _changed.wait()
            for access in self._reads:
                access.readers.append(me)
            for access in self._writes:
                access.writer = me
                access.depth += 1

    def __exit__(self, *_: object) -> None:
        me = threading.get_ident()
        with _gate:
            for access in self._reads:
                access.readers.remove(me)
            for access in self._writes:
                access.depth -= 1
                if not access.depth:
                    access.writer = 0
            _changed.notify_all()

    def _is_blocked(self, me: int) -> bool:
        for access in self._writes:
            if access.writer not in (0, me):
                return True
            for reader in access.readers:
                if reader != me:
                    return True
        return any(access.writer not in (0, me) for access in self._reads)
