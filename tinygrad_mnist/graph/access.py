"""Who may touch the values of shared variables now: many readers, or one writer.

A function takes hold of all variables that it reads or updates at once, and lets all go at once.
So a step sees values of whole steps only, two functions that update one variable take turns, and
nobody who holds something waits for anything: there is no deadlock.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable

# Guards the list of what is held at present, by thread; taken for a microsecond. Reentrant: a
# signal handler may read a variable while its thread is here.
_gate = threading.RLock()
_changed = threading.Condition(_gate)
_held: list[tuple[int, ReadWriteLock]] = []


class ReadWriteLock:
    """Takes hold of values inside a `with`, as soon as no other thread is in the way.

    reads: what nobody else may write meanwhile. writes: what nobody else may touch. What the same
    thread holds already is never in its way. May be used again, and by several threads.
    """

    __slots__ = ("_reads", "_touches", "_writes")

    def __init__(self, reads: Iterable[Hashable] = (), writes: Iterable[Hashable] = ()) -> None:
        self._reads = frozenset(reads)
        self._writes = frozenset(writes)
        self._touches = self._reads | self._writes

    def __enter__(self) -> None:
        mine = (threading.get_ident(), self)
        try:
            with _gate:
                while self._is_blocked(mine[0]):
                    _changed.wait()
                _held.append(mine)
        except BaseException:  # an interrupt that came after the last line
            self._let_go(mine)
            raise

    def __exit__(self, *_: object) -> None:
        self._let_go((threading.get_ident(), self))

    def _let_go(self, mine: tuple[int, ReadWriteLock]) -> None:
        with _gate:
            if mine in _held:
                _held.remove(mine)
                _changed.notify_all()

    def _is_blocked(self, me: int) -> bool:
        for thread, other in _held:
            if thread != me and not (
                self._writes.isdisjoint(other._touches) and self._reads.isdisjoint(other._writes)
            ):
                return True
        return False
