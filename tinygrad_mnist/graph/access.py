"""Locks for the values of shared variables: many readers, or one writer.

A function locks all variables that it reads or updates at once, and releases all at once. So a step
sees only values of whole steps, two functions that update one variable take turns, and no thread
that holds a lock waits for another one: there is no deadlock.

A forked child has only the thread that forked, so the locks of all other threads are taken away
there. Values that another thread was updating are as the fork found them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Hashable, Iterable
from weakref import WeakSet

# Guards the list of the locks that are held, by thread; taken for about a microsecond. Reentrant: a
# signal handler may read a variable while its thread is here.
_gate = threading.RLock()
_changed = threading.Condition(_gate)
_held: list[tuple[int, ReadWriteLock]] = []


class ReadWriteLock:
    """Locks values inside a `with`, once no other thread holds a lock that conflicts.

    reads: values that no other thread may write meanwhile. writes: values that no other thread may
    read or write. Locks that the same thread holds never conflict. May be used again, and by
    several threads.
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
            self._release(mine)
            raise

    def __exit__(self, *_: object) -> None:
        self._release((threading.get_ident(), self))

    def _release(self, mine: tuple[int, ReadWriteLock]) -> None:
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


class ForkSafeLock:
    """A reentrant lock for a `with`. In a forked child it is free, unless the thread that forked
    holds it."""

    __slots__ = ("__weakref__", "_depth", "_lock", "_owner")

    def __init__(self) -> None:
        self.reset()
        _locks.add(self)

    def reset(self) -> None:
        """Releases the lock, whichever thread holds it."""
        self._lock = threading.RLock()
        self._owner = 0
        self._depth = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        self._owner = threading.get_ident()
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = 0
        self._lock.release()

    @property
    def is_mine(self) -> bool:
        """Whether the calling thread holds it."""
        return self._owner == threading.get_ident()


_locks: WeakSet[ForkSafeLock] = WeakSet()


def _after_fork_in_child() -> None:
    global _gate, _changed
    _gate = threading.RLock()
    _changed = threading.Condition(_gate)
    me = threading.get_ident()
    _held[:] = [held for held in _held if held[0] == me]
    for lock in list(_locks):
        if not lock.is_mine:
            lock.reset()


os.register_at_fork(after_in_child=_after_fork_in_child)
