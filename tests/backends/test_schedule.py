"""Calls that don't touch each other's memory run at once; the numbers are those of one thread."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
import pytest
from helpers.native import addresses_of, binary, settings
from helpers.programs import check_range, elementwise, native_program, sum_all, view
from helpers.timelines import check_timeline
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

N = 9_000  # elements of a buffer: elementwise calls have several chunks
BOUND, TEMPORARIES = 3, 4


def random_calls(random: Random, n_calls: int) -> list[Any]:
    """Products, sums and moving copies among bound buffers and overlapping temporaries."""
    buffers = range(BOUND + TEMPORARIES)
    calls: list[Any] = []
    for _ in range(n_calls):
        kind = random.random()
        a, b, target = (random.choice(buffers) for _ in range(3))
        if kind < 0.7:
            n = random.choice([N, N // 2, 100])
            operands = [view(a, n, offset=random.choice([0, N - n])), view(b, n)]
            # A result may lie where an operand does only if it is the same view.
            places = [view(target, n, offset=random.choice([0, N - n]))]
            if all(apart(p, q) for p in places for q in operands):
                calls.append(elementwise(binary("add"), operands, places[0]))
        elif kind < 0.9:
            single = view(target, 1, offset=random.randrange(N))
            if apart(single, view(a, N)):
                calls.append(sum_all(view(a, N), single))
        else:
            moving = view(random.randrange(BOUND), N // 4, slots=[(0, 10)])
            place = view(target, N // 4)
            if apart(place, view(moving[0], N)):
                calls.append(elementwise(binary("add"), [moving, moving], place))
    return calls


def span(v: Any) -> tuple[int, int, int]:
    """Space, first and last + 1 element; temporaries overlap by half in one arena."""
    buffer, _, (n,), _, offset, _ = v
    if buffer < BOUND:
        return buffer, offset, offset + n
    start = (buffer - BOUND) * (N // 2) + offset
    return -1, start, start + n


def apart(v: Any, w: Any) -> bool:
    (space, a, b), (other, c, d) = span(v), span(w)
    return space != other or b <= c or d <= a


@hypothesis_settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_calls=st.integers(1, 40))
def test_any_calls_have_the_numbers_of_one_thread(seed: int, n_calls: int) -> None:
    random = Random(seed)
    calls = random_calls(random, n_calls)
    buffers = [("bind", k) for k in range(BOUND)]
    buffers += [("arena", 4 * (N // 2) * k) for k in range(TEMPORARIES)]
    # What no call has written in the arena is read too: zeros first.
    zeros = [elementwise_zero(BOUND + k) for k in range(TEMPORARIES)]
    program = native_program(buffers, zeros + calls, 4 * (N // 2) * (TEMPORARIES + 1))
    rng = np.random.default_rng(seed)
    start = [rng.integers(-9, 9, N).astype(np.float32) for _ in range(BOUND)]
    answers = []
    for threads in (1, 2, 4):
        with settings(threads=threads):
            arrays = [a.copy() for a in start]
            for _ in range(2):
                assert program.run(addresses_of(arrays), [3]) == 0
            answers.append(arrays)
            arrays = [a.copy() for a in start]
            table, progress = np.full((2, 1), 3), np.zeros(1, np.int64)
            _, times = program.timeline(addresses_of(arrays), [0] * BOUND, table, progress)
            check_timeline(program, times, threads)
            answers.append(arrays)
    for other in answers[1:]:
        for a, b in zip(answers[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


def elementwise_zero(buffer: int) -> tuple[Any, ...]:
    tape = ("float32", 0, [("const", [], 0.0, 0)], [0])
    return ("elementwise", [], [view(buffer, N)], [], [tape])


@pytest.mark.parametrize("threads", [2, 4])
def test_nothing_guarded_behind_a_check_starts_before_it(threads: int) -> None:
    """Also what touches nothing that the check does."""
    x = np.ones(N, np.float32)
    index = np.arange(N)
    out = np.zeros(N, np.float32)
    program = native_program(
        [("bind", k) for k in range(3)],
        [
            check_range(1, N, 0, N),
            elementwise(binary("add"), [view(0, N), view(0, N)], view(2, N)),
        ],
        0,
    )
    with settings(threads=threads):
        for round in range(200):
            index[-1] = N if round % 2 else 0
            out.fill(0)
            failed = program.run(addresses_of([x, index, out]), [])
            assert failed == round % 2
            assert (out == (0 if failed else 2)).all()


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_first_of_two_failed_checks_is_reported(threads: int) -> None:
    """Though the second one has much less to do, and looks at other memory."""
    n = 300_000
    long, short = np.zeros(n, np.int64), np.full(4, 9)
    calls = [check_range(0, n, 0, 9), check_range(1, 4, 0, 9)]
    program = native_program([("bind", 0), ("bind", 1)], calls, 0)
    with settings(threads=threads):
        for round in range(100):
            long[-1] = 9 if round % 2 else 0
            assert program.run(addresses_of([long, short]), []) == (1 if round % 2 else 2)


def test_calls_that_run_at_once_have_workspaces_of_their_own() -> None:
    """Two reductions that are cut into parts: theirs add up; one behind the other share one."""

    def workspace(second_reads: int) -> int:
        calls = [
            sum_all(view(0, 200_000), view(2, 1)),
            sum_all(view(second_reads, 200_000 if second_reads == 1 else 1), view(3, 1)),
        ]
        return native_program([("bind", k) for k in range(4)], calls, 0).workspace_bytes

    assert workspace(1) > workspace(2) > 0
