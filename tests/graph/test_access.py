"""Which threads wait for which at shared variables."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tinygrad_mnist.graph import access as access_module
from tinygrad_mnist.graph.access import ReadWriteLock

PATIENCE = 0.1  # seconds in which a thread that need not wait would have gone on


@contextmanager
def held_elsewhere(hold: ReadWriteLock) -> Iterator[None]:
    """Another thread holds the lock inside."""
    inside, leave = threading.Event(), threading.Event()

    def work() -> None:
        with hold:
            inside.set()
            leave.wait()

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait()
    try:
        yield
    finally:
        leave.set()
        thread.join()


def enters(hold: ReadWriteLock) -> threading.Event:
    """An event that is set when yet another thread has the lock, for a moment."""
    entered = threading.Event()

    def work() -> None:
        with hold:
            entered.set()

    threading.Thread(target=work).start()
    return entered


@pytest.mark.parametrize(
    ("mine", "theirs", "waits"),
    [("r", "r", False), ("r", "w", True), ("w", "r", True), ("w", "w", True)],
)
def test_many_readers_or_one_writer(mine: str, theirs: str, waits: bool) -> None:
    access = object()
    hold = {"r": ReadWriteLock(reads=[access]), "w": ReadWriteLock(writes=[access])}
    with held_elsewhere(hold[mine]):
        entered = enters(hold[theirs])
        assert entered.wait(PATIENCE) is not waits
    assert entered.wait(10)


def test_all_or_nothing() -> None:
    """A thread that waits for one variable does not keep others from the rest."""
    a, b = object(), object()
    with held_elsewhere(ReadWriteLock(writes=[a])):
        entered = enters(ReadWriteLock(reads=[a], writes=[b]))
        assert not entered.wait(PATIENCE)
        assert enters(ReadWriteLock(writes=[b])).wait(10)
    assert entered.wait(10)


def test_a_thread_is_not_in_its_own_way() -> None:
    access = object()
    read, write = ReadWriteLock(reads=[access]), ReadWriteLock(writes=[access])
    with read, read, write, write, read:
        assert not enters(read).wait(PATIENCE)
    assert enters(write).wait(10)
    with write:
        with write:
            pass
        entered = enters(write)
        assert not entered.wait(PATIENCE)
    assert entered.wait(10)


def test_who_updates_what_it_reads_holds_it_for_itself() -> None:
    access = object()
    with held_elsewhere(ReadWriteLock(reads=[access], writes=[access])):
        entered = enters(ReadWriteLock(reads=[access]))
        assert not entered.wait(PATIENCE)
    assert entered.wait(10)


def test_an_interrupted_wait_leaves_nothing_held(monkeypatch: pytest.MonkeyPatch) -> None:
    access = object()
    hold = ReadWriteLock(writes=[access])

    def interrupted() -> None:
        raise KeyboardInterrupt

    with held_elsewhere(ReadWriteLock(reads=[access])):
        monkeypatch.setattr(access_module._changed, "wait", interrupted)
        with pytest.raises(KeyboardInterrupt):
            hold.__enter__()
        monkeypatch.undo()
    assert enters(hold).wait(10)
    assert access_module._held == []


def test_locks_are_released_after_an_error() -> None:
    access = object()
    with pytest.raises(ValueError, match="inside"), ReadWriteLock(writes=[access]):
        raise ValueError("inside")
    assert enters(ReadWriteLock(writes=[access])).wait(10)
