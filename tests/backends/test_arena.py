"""The arena that the programs of a function share."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from helpers.native import addresses_of, binary, settings, unary
from helpers.programs import Chain, elementwise, native_program, sum_all, view

from tinygrad_mnist import _native


def program_of(n: int, arena: Any) -> Any:
    """out = sum(exp(x) * (-x)) for n elements, through two temporaries and a workspace."""
    buffers = [("bind", 0), ("bind", 1), ("arena", 0), ("arena", 4 * n)]
    calls = [
        elementwise(unary("exp"), [view(0, n)], view(2, n)),
        elementwise(unary("neg"), [view(0, n)], view(3, n)),
        elementwise(binary("mul"), [view(2, n), view(3, n)], view(2, n)),
        sum_all(view(2, n), view(1, 1)),
    ]
    return native_program(buffers, calls, 8 * n, arena)


def run(program: Any, n: int) -> None:
    """Runs a program of `program_of` and compares with NumPy."""
    x = np.linspace(-1, 1, n, dtype=np.float32)
    out = np.zeros(1, np.float32)
    assert program.run(addresses_of([x, out]), []) == 0
    np.testing.assert_allclose(out[0], np.sum(np.exp(x) * -x, dtype=np.float64), rtol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
def test_programs_take_turns_in_one_arena(threads: int) -> None:
    arena = _native.Arena()
    sizes = (64, 50_000, 7, 200_000)
    with settings(threads=threads):
        programs = {n: program_of(n, arena) for n in sizes}
        for n in (*sizes, *sizes[::-1], 7, 200_000, 64):
            run(programs[n], n)


def test_an_arena_is_as_large_as_its_largest_program() -> None:
    arena = _native.Arena()
    small = program_of(1000, arena)
    assert arena.nbytes == 0  # nothing has run
    run(small, 1000)
    needed = small.arena_bytes + small.workspace_bytes
    assert needed <= arena.nbytes < needed + 128
    large = program_of(100_000, arena)
    assert arena.nbytes < needed + 128
    run(small, 1000)  # moves, though the large one has not run
    needed = large.arena_bytes + large.workspace_bytes
    assert needed <= arena.nbytes < needed + 128
    run(large, 100_000)
    run(small, 1000)
    del large
    run(small, 1000)
    assert arena.nbytes < 20_000


def test_a_program_without_an_arena_has_one_of_its_own() -> None:
    run(program_of(1000, None), 1000)


def test_a_view_of_a_temporary_moves_with_slots_and_with_the_arena() -> None:
    """out = (-x)[s : s + 2], where -x is a temporary."""
    arena = _native.Arena()
    buffers = [("bind", 0), ("bind", 1), ("arena", 64)]
    calls = [
        elementwise(unary("neg"), [view(0, 8)], view(2, 8)),
        elementwise(unary("abs"), [view(2, 2, slots=[(0, 1)])], view(1, 2)),
    ]
    program = native_program(buffers, calls, 128, arena)
    x, out = np.arange(8, dtype=np.float32), np.zeros(2, np.float32)
    others = []
    for turn, n in enumerate((100, 10_000, 1_000_000)):
        for start in (0, 5, 6):
            assert program.run(addresses_of([x, out]), [start]) == 0
            np.testing.assert_array_equal(out, x[start : start + 2])
        others.append(program_of(n, arena))
        run(others[turn], n)


def test_a_second_program_of_an_arena_waits_for_nobody() -> None:
    """A run beside that of another program of the same arena is refused."""
    arena = _native.Arena()
    chain = Chain(4_000_000, arena=arena)
    addresses = addresses_of([chain.x, chain.z, chain.y])
    other = program_of(8, arena)
    x, out = np.ones(8, np.float32), np.zeros(1, np.float32)
    stop = threading.Event()

    def run_again_and_again() -> None:
        while not stop.is_set():
            try:
                chain.program.run(addresses, [])
            except RuntimeError:
                continue

    def run_the_other() -> None:
        for _ in range(100_000):
            other.run(addresses_of([x, out]), [])

    thread = threading.Thread(target=run_again_and_again)
    thread.start()
    try:
        with pytest.raises(RuntimeError, match="a program of this arena is running already"):
            run_the_other()
    finally:
        stop.set()
        thread.join()
