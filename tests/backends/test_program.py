"""The native program: buffers, slots, checks, sweeps, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.native import addresses_of, binary, settings, tape_of, unary
from helpers.programs import (
    IDENTITY,
    Chain,
    check_range,
    elementwise,
    native_program,
    sum_all,
    view,
)

from tinygrad_mnist import _native


def test_buffers_of_every_kind() -> None:
    """Bound input + fixed constant, through the arena, to a bound output."""
    x = np.arange(6, dtype=np.float32)
    constant = np.full(6, 0.5, np.float32)
    out = np.zeros(6, np.float32)
    program = native_program(
        [("bind", 0), ("fixed", addresses_of([constant])[0]), ("arena", 64), ("bind", 1)],
        [
            elementwise(binary("add"), [view(0, 6), view(1, 6)], view(2, 6)),
            elementwise(unary("neg"), [view(2, 6)], view(3, 6)),
        ],
        128,
    )
    assert program.run(addresses_of([x, out]), []) == 0
    np.testing.assert_array_equal(out, -(x + 0.5))
    assert program.arena_bytes == 128
    other = np.zeros(6, np.float32)
    program.run(addresses_of([constant, other]), ())
    np.testing.assert_array_equal(other, np.full(6, -1, np.float32))


def test_slots_move_views() -> None:
    """x[i*3 : i*3+3, j], with one program for every i and j."""
    x = np.arange(60, dtype=np.float32).reshape(12, 5)
    out = np.zeros(3, np.float32)
    column = (0, "float32", [3], [5], 0, [(0, 15), (1, 1)])
    program = native_program(
        [("bind", 0), ("bind", 1)], [elementwise(IDENTITY, [column], view(1, 3))], 0
    )
    for i in range(4):
        for j in range(5):
            program.run(addresses_of([x, out]), [i, j])
            np.testing.assert_array_equal(out, x[i * 3 : i * 3 + 3, j])


def checked_program() -> Any:
    """a = -x; check; b = -x; check of other bounds; c = -x."""
    calls: list[Any] = []
    for number, bounds in enumerate([None, (0, 10), None, (0, 5), None]):
        if bounds is None:
            calls.append(elementwise(unary("neg"), [view(0, 4)], view(2 + number // 2, 4)))
        else:
            calls.append(check_range(1, 3, *bounds))
    return native_program([("bind", k) for k in range(5)], calls, 0)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_failing_check_leaves_later_writes_undone(threads: int) -> None:
    x = np.ones(4, np.float32)
    program = checked_program()
    for index, failed, written in [
        ([1, 2, 3], 0, 3),
        ([1, 10, 3], 2, 1),
        ([1, 2, 7], 4, 2),
        ([-1, 2, 7], 2, 1),
        ([4, 4, 4], 0, 3),
    ]:
        outputs = [np.zeros(4, np.float32) for _ in range(3)]
        arrays = [x, np.array(index, np.int64), *outputs]
        with settings(threads=threads):
            assert program.run(addresses_of(arrays), []) == failed
        assert [bool((o == -1).all()) for o in outputs] == [k < written for k in range(3)]
        assert not any(o.any() for o in outputs[written:])


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_failing_check_among_chunks(threads: int) -> None:
    """Checks and writes of many chunks, failing and succeeding by turns.

    Some threads see the check fail before others have left the call in front of it.
    """
    n = 300_000
    x = np.ones(n, np.float32)
    out = np.zeros(n, np.float32)
    index = np.zeros(n, np.int64)
    calls = [
        elementwise(unary("exp"), [view(0, n)], view(3, n)),
        check_range(1, n, 0, 9),
        elementwise(unary("neg"), [view(3, n)], view(2, n)),
    ]
    buffers = [*[("bind", k) for k in range(3)], ("arena", 0)]
    program = native_program(buffers, calls, 4 * n)
    with settings(threads=threads):
        for turn in range(100):
            wrong = turn % 3 != 0
            index[(turn * 7919) % n] = 9 if wrong else 0
            out.fill(0)
            assert program.run(addresses_of([x, index, out]), []) == (2 if wrong else 0)
            assert out.any() != wrong
            index.fill(0)


def test_sweep() -> None:
    """Rows of a table as slots, outputs one after the other, a failing step reported."""
    x = np.arange(40, dtype=np.float32)
    index = np.array([1, 1, 1, 99, 1], np.int64)
    out = np.zeros((5, 4), np.float32)
    calls = [
        ("check_range", [(1, "int64", [1], [1], 0, [(1, 1)])], [], [0, 10], []),
        elementwise(unary("neg"), [view(0, 4, slots=[(0, 4)])], view(2, 4)),
    ]
    program = native_program([("bind", k) for k in range(3)], calls, 0)
    table = np.array([[i, i] for i in range(5)])
    addresses = addresses_of([x, index, out])
    progress = np.zeros(1, np.int64)
    assert program.sweep(addresses, [0, 0, 16], table, progress) == 1
    assert progress == 3
    np.testing.assert_array_equal(out[:3], -x[:12].reshape(3, 4))
    assert not out[3:].any()
    index[3] = 1
    assert program.sweep(addresses, [0, 0, 16], table, progress) == 0
    np.testing.assert_array_equal(out, -x[:20].reshape(5, 4))
    assert program.sweep(addresses, [0, 0, 16], table[:0], progress) == 0
    assert progress == 8
    for wrong in (np.zeros(2, np.int64), np.zeros(1), [0]):
        with pytest.raises((TypeError, ValueError)):
            program.sweep(addresses, [0, 0, 16], table, wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("threads", [1, 2])
def test_profile_times_every_call(threads: int) -> None:
    chain = Chain()
    addresses = addresses_of([chain.x, chain.z, chain.y])
    table, progress = np.zeros((5, 0), np.int64), np.zeros(1, np.int64)
    with settings(threads=threads):
        failed, times = chain.program.profile(addresses, [0, 0, 0], table, progress)
    assert (progress, failed) == (5, 0)
    assert times.shape == (5, 1 + 4 + 1)
    begins, calls, ends = times[:, 0], times[:, 1:-1], times[:, -1]
    assert calls.min() > 0
    # Calls follow one another without gaps that no time covers, and so do steps.
    assert (begins + calls.sum(axis=1) <= ends + 1e-9).all()
    assert (ends[:-1] <= begins[1:]).all()


def test_profile_runs_the_steps() -> None:
    """As a sweep does: slots, stacked outputs, and a check that fails."""
    x = np.arange(40, dtype=np.float32)
    index = np.array([1, 1, 99, 1], np.int64)
    out = np.zeros((4, 4), np.float32)
    calls = [
        ("check_range", [(1, "int64", [1], [1], 0, [(1, 1)])], [], [0, 10], []),
        elementwise(unary("neg"), [view(0, 4, slots=[(0, 4)])], view(2, 4)),
    ]
    program = native_program([("bind", k) for k in range(3)], calls, 0)
    table = np.array([[i, i] for i in range(4)])
    addresses, progress = addresses_of([x, index, out]), np.zeros(1, np.int64)
    failed, times = program.profile(addresses, [0, 0, 16], table, progress)
    assert (progress, failed) == (2, 1)
    assert times.shape == (4, 4)
    assert times[2, 2] == 0.0  # the call behind the failed check
    np.testing.assert_array_equal(out[:2], -x[:8].reshape(2, 4))
    assert not out[2:].any()
    assert program.profile(addresses, [0, 0, 16], table[:0], progress)[1].shape == (0, 4)


def test_a_program_of_nothing() -> None:
    assert native_program([], [], 0).run([], []) == 0


def test_a_running_program_refuses_a_second_run() -> None:
    chain = Chain(4_000_000)
    addresses = addresses_of([chain.x, chain.z, chain.y])
    refused = threading.Event()
    stop = threading.Event()

    def run_again_and_again() -> None:
        while not stop.is_set():
            try:
                chain.program.run(addresses, [])
            except RuntimeError as error:
                if "running already" in str(error):
                    refused.set()

    threads = [threading.Thread(target=run_again_and_again) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert refused.wait(timeout=30)
    stop.set()
    for thread in threads:
        thread.join()


VECTOR = view(0, 4)


@pytest.mark.parametrize(
    ("buffers", "call", "message"),
    [
        ([("heap", 0)], None, "not 'heap'"),
        ([("arena", 0)], ("fft", [], [], [], []), "no kernel 'fft'"),
        ([("arena", 0)], elementwise(unary("neg"), [view(1, 4)], VECTOR), "buffer that does not"),
        ([("arena", 0)], elementwise(unary("neg"), [view(0, 5)], view(0, 5)), "out of the arena"),
        ([("arena", 4)], elementwise(unary("neg"), [VECTOR], VECTOR), "out of the arena"),
        (
            [("arena", 0)],
            elementwise(unary("neg"), [view(0, 4, offset=-1)], VECTOR),
            "elementwise: input 0 reaches out of the arena",
        ),
        (
            [("arena", 0)],
            elementwise(unary("neg"), [VECTOR], (0, "float16", [4], [1], 0, [])),
            "elementwise: the cpu backend has no dtype 'float16'",
        ),
        (
            [("arena", 0)],
            elementwise(unary("neg"), [VECTOR], (0, "float32", [4], [1, 1], 0, [])),
            "elementwise: output 0 must have a stride per dimension",
        ),
        (
            [("arena", 0)],
            elementwise(unary("neg"), [VECTOR], (0, "float32", [1] * 9, [1] * 9, 0, [])),
            "at most 8 dimensions",
        ),
        (
            [("arena", 0)],
            ("elementwise", [VECTOR], [VECTOR], [], [("float32", 1, [("gamma", [0], 0, 0)], [1])]),
            "elementwise: the cpu backend has no tape operation 'gamma'",
        ),
        (
            [("arena", 0)],
            ("elementwise", [VECTOR], [VECTOR], [], [("float32", 1, [("add", [0], 0, 0)], [1])]),
            "add takes 2 arguments, not 1",
        ),
        (
            [("arena", 0)],
            ("elementwise", [VECTOR], [VECTOR], [], [("int32", 1, [], [0])]),
            "a tape computes in",
        ),
        ([("arena", 0)], ("elementwise", [VECTOR], [VECTOR], [], []), "takes one tape"),
    ],
)
def test_wrong_programs_are_refused(buffers: Any, call: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _native.Program(buffers, [] if call is None else [call], [] if call is None else [()], 16)


@pytest.mark.parametrize("depends", [[()], [(), (1,)], [(), (-1,)]])
def test_calls_wait_for_earlier_ones(depends: Any) -> None:
    calls = [elementwise(unary("neg"), [VECTOR], VECTOR)] * 2
    with pytest.raises(ValueError, match=r"a list of the calls|call 1 waits for call -?1"):
        _native.Program([("arena", 0)], calls, depends, 16)


def test_missing_addresses_and_slots_are_refused() -> None:
    call = elementwise(unary("neg"), [view(0, 4, slots=[(1, 4)])], view(1, 4))
    program = native_program([("bind", 1), ("arena", 0)], [call], 16)
    with pytest.raises(ValueError, match="needs 2 addresses, got 1"):
        program.run([0], [0, 0])
    with pytest.raises(ValueError, match="needs 2 slots, got 1"):
        program.run([0, 0], [0])


def test_long_tapes_are_refused() -> None:
    tape = ("float32", 1, [("neg", [k], 0.0, 0) for k in range(600)], [600])
    with pytest.raises(ValueError, match="at most 512 values"):
        _native.Program([("arena", 0)], [("elementwise", [VECTOR], [VECTOR], [], [tape])], [()], 16)


def test_targets() -> None:
    assert _native.targets()[0] == "baseline"
    assert _native.target() in _native.targets()
    with pytest.raises(ValueError, match=r"no SIMD target 'mmx'.*baseline"):
        _native.set_target("mmx")


def test_target_from_the_environment(tmp_path: Path) -> None:
    code = "import tinygrad_mnist._native as n; print(n.target())"

    def run_with(target: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "TINYGRAD_MNIST_SIMD": target}
        return subprocess.run(
            [sys.executable, "-c", code],
            env=environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    for target in _native.targets():
        assert run_with(target).stdout.strip() == target
    wrong = run_with("mmx")
    assert wrong.returncode != 0
    assert "no SIMD target 'mmx'" in wrong.stderr


def test_a_program_keeps_its_target() -> None:
    """set_target decides for programs built afterwards."""
    x = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    out = np.zeros_like(x)
    results = []
    for target in _native.targets():
        with settings(target):
            program = native_program(
                [("bind", 0), ("bind", 1)],
                [elementwise(unary("exp"), [view(0, 1000)], view(1, 1000))],
                0,
            )
        program.run(addresses_of([x, out]), [])
        results.append(out.copy())
    for result in results:
        np.testing.assert_allclose(result, np.exp(x), rtol=3e-7)


def test_sums_need_workspace() -> None:
    program = native_program([("bind", 0), ("bind", 1)], [sum_all(view(0, 100), view(1, 1))], 0)
    assert program.workspace_bytes > 0
    assert len(tape_of(IDENTITY)) == 4


@pytest.mark.slow
def test_calls_cost_little() -> None:
    """A program of many tiny calls: well below a microsecond per call."""
    x = np.ones(4, np.float32)
    n = 200
    calls = [elementwise(unary("neg"), [view(0, 4)], view(0, 4))] * n
    program = native_program([("bind", 0)], calls, 0)
    addresses = addresses_of([x])
    best = np.inf
    for _ in range(200):
        start = time.perf_counter()
        program.run(addresses, [])
        best = min(best, time.perf_counter() - start)
    assert best / n < 1e-6


HUGE = 2**62


@pytest.mark.parametrize(
    "operand",
    [
        (0, "float32", [HUGE], [1], 0, []),
        (0, "float32", [2**40, 2**40], [0, 0], 0, []),
        (0, "float32", [3], [HUGE], 0, []),
        (0, "float32", [3], [-HUGE], 0, []),
        (0, "float32", [3], [1], -(2**63), []),
        (0, "float32", [3], [1], 0, [(0, HUGE)]),
    ],
)
def test_operands_that_no_number_measures(operand: Any) -> None:
    with pytest.raises(ValueError, match="too large"):
        native_program([("bind", 0)], [elementwise(IDENTITY, [operand], operand)], 0)


@pytest.mark.parametrize("ints", [(HUGE, 1), (2**32, 2**32), (1, 1, HUGE), (1, 1, 1, 1, HUGE)])
def test_windows_that_no_number_measures(ints: tuple[int, ...]) -> None:
    window = [*ints, *(1, 1, 1, 1, 0, 0)[len(ints) :]]
    image = (0, "float32", [1, 1, 5, 5], [25, 25, 5, 1], 0, [])
    pooled = (1, "float32", [1, 1, 1, 1], [1, 1, 1, 1], 0, [])
    with pytest.raises(ValueError, match=r"too large|outside"):
        native_program([("bind", 0), ("bind", 1)], [("pool2d", [image], [pooled], window, [])], 0)
