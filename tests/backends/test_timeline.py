"""Sweeps that record their chunks: every chunk once, in order, and the results of other sweeps."""

from __future__ import annotations

import os
import signal
import threading
from typing import Any

import numpy as np
import pytest
from helpers.native import addresses_of, binary, settings, unary
from helpers.programs import Chain, check_range, elementwise, native_program, view
from helpers.timelines import check_timeline

from tinygrad_mnist import _native
from tinygrad_mnist.backends.base import Phase


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_every_chunk_is_recorded(threads: int) -> None:
    chain = Chain(60_000)
    with settings(threads=1):
        z, y = chain.run()
    table, progress = np.zeros((20, 0), np.int64), np.zeros(1, np.int64)
    addresses = addresses_of([chain.x, chain.z, chain.y])
    with settings(threads=threads):
        for _ in range(5):
            failed, times = chain.program.timeline(addresses, [0, 0, 0], table, progress)
            assert failed == 0
            check_timeline(chain.program, times, threads)
            np.testing.assert_array_equal(chain.z, z)
            np.testing.assert_array_equal(chain.y, y)
    assert progress == 100


@pytest.mark.parametrize("threads", [2, 4])
def test_nothing_is_written_after_a_run(threads: int) -> None:
    """Neither by workers that come late nor by later runs."""
    chain = Chain(20_000)
    table, progress = np.zeros((3, 0), np.int64), np.zeros(1, np.int64)
    addresses = addresses_of([chain.x, chain.z, chain.y])
    with settings(threads=threads):
        for _ in range(30):
            _, times = chain.program.timeline(addresses, [0, 0, 0], table, progress)
            before = times.copy()
            times.flags.writeable = False
            for _ in range(3):
                chain.run()
            chain.program.profile(addresses, [0, 0, 0], table, progress)
            np.testing.assert_array_equal(times, before)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failed_check_ends_the_sweep(threads: int) -> None:
    """The steps before it are whole; with slots and stacked outputs."""
    n = 9_000  # several chunks
    x = np.arange(4 * n, dtype=np.float32)
    index = np.array([1, 1, 99, 1], np.int64)
    out = np.zeros((4, n), np.float32)
    calls = [
        ("check_range", [(1, "int64", [1], [1], 0, [(1, 1)])], [], [0, 10], []),
        elementwise(unary("neg"), [view(0, n, slots=[(0, n)])], view(2, n)),
    ]
    program = native_program([("bind", k) for k in range(3)], calls, 0)
    table = np.array([[i, i] for i in range(4)])
    addresses, progress = addresses_of([x, index, out]), np.zeros(1, np.int64)
    with settings(threads=threads):
        failed, times = program.timeline(addresses, [0, 0, 4 * n], table, progress)
        assert (progress, failed, len(times)) == (2, 1, 4)
        check_timeline(program, times[:2], threads)
        np.testing.assert_array_equal(out[:2], -x[: 2 * n].reshape(2, n))
        assert not out[2:].any()
        # A slot beyond the buffer is an error before the step; the next run is as any other.
        buffers: list[Any] = [("bind", 0, x.nbytes), ("bind", 1), ("bind", 2)]
        small = _native.Program(buffers, calls, [[], [0]], 0)
        with pytest.raises(IndexError, match="slot"):
            small.timeline(addresses, [0, 0, 0], np.array([[0, 0], [4, 0]]), progress)
        assert small.run(addresses, [0, 0]) == 0


def test_tables_are_checked() -> None:
    chain = Chain(100)
    addresses, progress = addresses_of([chain.x, chain.z, chain.y]), np.zeros(1, np.int64)
    n_chunks = sum(Phase(*phase).chunks for phase in chain.program.phases)
    empty = np.zeros((0, 0), np.int64)
    _, times = chain.program.timeline(addresses, [0, 0, 0], empty, progress)
    assert times.shape == (0, n_chunks + 1, 3)
    with pytest.raises(ValueError, match="a row per step"):
        chain.program.timeline(addresses, [0, 0, 0], np.zeros(2, np.int64), progress)
    assert native_program([], [], 0).timeline([], [], empty, progress)[1].shape == (0, 1, 3)


def test_an_interrupt_ends_the_sweep_between_steps() -> None:
    """Memory is as after a whole step, and the program runs on."""
    n = 9_000
    count = np.zeros(n, np.float32)
    one = np.ones(n, np.float32)
    index = np.zeros(1, np.int64)
    calls = [
        check_range(2, 1, 0, 1),
        elementwise(binary("add"), [view(0, n), view(1, n)], view(0, n)),
    ]
    program = native_program([("bind", k) for k in range(3)], calls, 0)
    table, progress = np.zeros((200_000, 0), np.int64), np.zeros(1, np.int64)
    addresses = addresses_of([count, one, index])

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    try:
        with settings(threads=2), pytest.raises(KeyboardInterrupt):  # noqa: PT012
            timer.start()
            program.timeline(addresses, [0, 0, 0], table, progress)
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    assert 0 < progress[0] < len(table)
    assert (count == progress[0]).all()
    failed, times = program.timeline(addresses, [0, 0, 0], table[:2], progress)
    assert failed == 0
    check_timeline(program, times, 64)
