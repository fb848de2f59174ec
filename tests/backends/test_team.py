"""The thread team: same bits with any number of threads, programs at once, forks."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import pytest
from helpers.native import settings
from helpers.programs import Chain

from tinygrad_mnist import _native


def test_default_fits_the_machine() -> None:
    assert 1 <= _native.threads() <= (os.cpu_count() or 1)


@pytest.mark.parametrize("threads", [0, -1, 100_000])
def test_impossible_sizes_are_refused(threads: int) -> None:
    with pytest.raises(ValueError, match="threads must be from 1"):
        _native.set_threads(threads)


def test_same_bits_with_any_number_of_threads() -> None:
    """More threads than cores too, and many runs, so that workers come late."""
    chain = Chain()
    with settings(threads=1):
        z, y = chain.run()
    np.testing.assert_allclose(z, np.exp(chain.x) * np.tanh(chain.x), rtol=1e-5)
    for threads in (2, 4, 7):
        with settings(threads=threads):
            for _ in range(60):
                again = chain.run()
                np.testing.assert_array_equal(again[0], z)
                np.testing.assert_array_equal(again[1], y)


@pytest.mark.parametrize("threads", [2, 4])
def test_two_programs_at_once(threads: int) -> None:
    """One has the team, the other runs on its caller's thread; both are right, every time."""
    chains = [Chain(60_000, seed) for seed in range(3)]
    answers = [chain.run() for chain in chains]
    wrong: list[int] = []

    def run_many(number: int) -> None:
        for _ in range(100):
            z, y = chains[number].run()
            if not (np.array_equal(z, answers[number][0]) and y == answers[number][1]):
                wrong.append(number)

    with settings(threads=threads):
        runners = [threading.Thread(target=run_many, args=(k,)) for k in range(3)]
        for runner in runners:
            runner.start()
        for runner in runners:
            runner.join()
    assert wrong == []


def test_programs_come_and_go() -> None:
    """A program is destroyed while workers may still be on their way out of it."""
    with settings(threads=4):
        for seed in range(100):
            chain = Chain(40_000, seed % 3)
            z, _ = chain.run()
            assert np.isfinite(z).all()


def test_size_changes_between_runs() -> None:
    chain = Chain(60_000)
    z, y = chain.run()
    for threads in [1, 3, 2, 5, 1, 2] * 3:
        with settings(threads=threads):
            again = chain.run()
        np.testing.assert_array_equal(again[0], z)
        np.testing.assert_array_equal(again[1], y)


def test_idle_workers_sleep() -> None:
    with settings(threads=4):
        Chain().run()
        time.sleep(0.05)
        before = time.process_time()
        time.sleep(0.3)
        assert time.process_time() - before < 0.1


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_fork() -> None:
    """A child has a team of its own, whatever the parent's workers were doing."""
    chain = Chain(60_000)
    with settings(threads=3):
        z, y = chain.run()
        for _ in range(3):
            chain.run()
            child = os.fork()
            if child == 0:
                status = 1
                try:
                    again = [chain.run() for _ in range(5)]
                    fine = all(np.array_equal(a[0], z) and a[1] == y for a in again)
                    new = Chain(60_000)
                    fine = fine and np.array_equal(new.run()[0], z) and _native.threads() == 3
                    status = 0 if fine else 2
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        np.testing.assert_array_equal(chain.run()[0], z)
