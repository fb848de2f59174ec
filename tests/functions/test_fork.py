"""A forked child runs functions, whatever other threads of its parent were doing."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.access import ForkSafeLock

pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
FORKS = 20
SECONDS = 20  # that a child may take


def _status(child: int) -> int:
    """The exit status of a child; one that hangs is killed."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise AssertionError("the child hangs")


def _in_child(check: Callable[[], bool]) -> int:
    child = os.fork()
    if child:
        return _status(child)
    status = 1
    try:
        status = 0 if check() else 2
    finally:
        os._exit(status)


@contextmanager
def _in_background(work: Callable[[], Any]) -> Iterator[None]:
    """Repeats `work` in another thread."""
    stop, started = threading.Event(), threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            work()
            started.set()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        assert started.wait(SECONDS)
        yield
    finally:
        stop.set()
        thread.join()


class _Model:
    """A function without updates, and one that updates what it reads."""

    def __init__(self) -> None:
        x = T.fmatrix("x")
        w = theano.shared(np.eye(120, dtype="float32"), "w")
        step = T.lscalar("step")
        self.value = np.random.default_rng(0).random((120, 120), np.float32)
        self.read = theano.function([x], [T.tanh(T.dot(x, x)).sum(axis=0), T.grad(x.sum(), x)])
        self.train = theano.function(
            [step], w.sum(), updates=[(w, T.dot(w, w))], on_unused_input="ignore"
        )
        self.expected = self.read(self.value)

    def is_right(self) -> bool:
        """Whether both functions work: made before the fork, and made now."""
        again = self.read(self.value)
        x = T.fmatrix("x")
        new = theano.function([x], T.tanh(T.dot(x, x)).sum(axis=0))(self.value)
        same = [np.array_equal(a, b) for a, b in zip(again, self.expected, strict=True)]
        self.train(0)
        self.train.sweep(np.arange(5))
        return all(same) and np.array_equal(new, self.expected[0])


WORK = {
    "call": lambda model: lambda: model.read(model.value),
    "update": lambda model: lambda: model.train(0),
    "sweep": lambda model: lambda: model.train.sweep(np.arange(300)),
    "compile": lambda model: lambda: theano.function([], T.zeros((3,)) + 1)(),
}


@pytest.mark.parametrize("work", WORK)
def test_fork_while_a_thread_works(work: str) -> None:
    model = _Model()
    with _in_background(WORK[work](model)):
        for _ in range(FORKS):
            assert _in_child(model.is_right) == 0
    assert model.is_right()


def _child_of_multiprocessing(model: _Model) -> None:
    assert model.is_right()


def test_multiprocessing_forks() -> None:
    model = _Model()
    context = multiprocessing.get_context("fork")
    with _in_background(lambda: model.train.sweep(np.arange(300))):
        for _ in range(3):
            child = context.Process(target=_child_of_multiprocessing, args=(model,))
            child.start()
            child.join(SECONDS)
            assert child.exitcode == 0


def test_fork_inside_a_call() -> None:
    """The thread that forks keeps its own lock."""
    lock = ForkSafeLock()
    with lock:
        assert _in_child(lambda: lock.is_mine) == 0
        with lock:
            assert lock.is_mine
    assert not lock.is_mine


def test_fork_while_another_thread_holds_a_lock() -> None:
    lock = ForkSafeLock()
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()

    def is_free() -> bool:
        with lock:
            return lock.is_mine

    try:
        assert _in_child(is_free) == 0
    finally:
        done.set()
        thread.join()
