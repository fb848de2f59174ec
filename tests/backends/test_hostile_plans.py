"""Native plans with mistakes are refused, or stay within their buffers."""

from __future__ import annotations

import copy
import os
import random
from functools import cache
from typing import Any

import numpy as np
import pytest
from helpers.hostile_plans import Spec, plans, run_seeds
from helpers.native import addresses_of, tape_of
from helpers.programs import IDENTITY, elementwise, native_program, sum_all, view

from tinygrad_mnist import _native
from tinygrad_mnist.contracts.core.tape import Tape

LARGE = [2**k + d for k in (31, 32, 33, 60, 61, 62, 63) for d in (-1, 0, 1)]
SIGNED = [sign * n for n in LARGE for sign in (1, -1) if -(2**63) <= sign * n < 2**63]
REFUSED = (ValueError, TypeError, OverflowError, RuntimeError)  # also where int64 lacks a number


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process of its own runs the plans")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("first", [0, 10_000])
def test_mutated_plans(first: int) -> None:
    """The short form of tests/fuzz/plans.py."""
    result = run_seeds(plans(), first, 600)
    assert result.pop("crashes") == []
    assert sum(result.values()) == 600
    assert min(result["refused"], result["ran"]) > 50  # the mistakes matter, and not all are seen


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process of its own runs the plans")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_plans_without_a_check_of_what_they_read() -> None:
    """Indices, labels and winners of any bits stay within the buffers, also those of an empty
    axis."""

    def unchecked(spec: Spec, rng: random.Random) -> Spec:
        spec = copy.deepcopy(spec)
        spec[1] = [call for call in spec[1] if call[0] != "check_range"]
        spec[2] = [[] for _ in spec[1]]  # one thread runs them in order
        return spec

    specs = plans()
    result = run_seeds(specs, 0, 30 * len(specs), unchecked)
    assert result["crashes"] == []
    assert result["ran"] >= 30 * (len(specs) - 1)  # a slot may move the last one's views too far


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a process of its own runs the plans")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("index", ["int8", "uint8", "int32", "uint32", "int64"])
def test_indices_into_an_empty_axis(index: str) -> None:
    empty = [0, "float32", [0, 2], [2, 1], 0, []]
    vector, rows = [1, index, [3], [1], 0, []], [2, "float32", [3, 2], [2, 1], 0, []]
    buffers = [["bind", 0, 0], ["bind", 1, 24], ["bind", 2, 24]]
    calls = [
        ["gather", [empty, vector], [rows], [1, 0], []],
        ["scatter_add", [empty, rows, vector], [empty], [1, 0], []],
    ]
    specs: list[Spec] = [[buffers, [call], [[]], 0] for call in calls]
    result = run_seeds(specs, 0, 40, lambda spec, rng: copy.deepcopy(spec))
    assert result == {"refused": 0, "built": 0, "ran": 40, "slow": 0, "crashes": []}


@cache
def _calls() -> dict[str, Spec]:
    """A call of each kernel."""
    return {call[0]: call for spec in plans() for call in spec[1]}


@pytest.mark.parametrize(
    ("kernel", "kept"),
    [
        (kernel, kept)
        for kernel in _native.kernels()
        for kept in ("inputs", "outputs", "nothing")
        if (kernel, kept) != ("check_range", "inputs")  # it has no output
    ],
)
def test_calls_without_operands(kernel: str, kept: str) -> None:
    _, inputs, outputs, params, tapes = _calls()[kernel]
    inputs = inputs if kept == "inputs" else []
    outputs = outputs if kept == "outputs" else []
    numbers = [view[0] for view in (*inputs, *outputs)]
    buffers = [("bind", k, 1 << 20) for k in range(1 + max(numbers, default=0))]
    with pytest.raises(REFUSED):
        _native.Program(buffers, [(kernel, inputs, outputs, params, tapes)], [[]], 0)


@pytest.mark.parametrize("n", SIGNED)
@pytest.mark.parametrize("kind", ["bind", "arena"])
def test_numbers_of_buffers(kind: str, n: int) -> None:
    with pytest.raises(REFUSED):
        native_program([(kind, n)], [elementwise(IDENTITY, [view(0, 4)], view(0, 4))], 64)


@pytest.mark.parametrize("kind", ["bind", "fixed"])
@pytest.mark.parametrize("n", [-1, -(2**63), *(n for n in SIGNED if abs(n) > 2**62)])
def test_lengths_of_buffers(kind: str, n: int) -> None:
    with pytest.raises(REFUSED):
        _native.Program([(kind, 0, n)], [], [], 0)


@pytest.mark.parametrize("n", SIGNED)
@pytest.mark.parametrize("place", range(5))
def test_numbers_of_views(place: int, n: int) -> None:
    """The buffer, a length, a stride, the offset, a slot."""
    wrong: list[Any] = list(view(0, 4, slots=[(0, 1)] if place == 4 else None))
    if place == 0:
        wrong[0] = n
    elif place == 3:
        wrong[4] = n
    elif place == 4:
        wrong[5] = [(n, 1)]
    else:
        wrong[1 + place] = [n]
    call = ("elementwise", [tuple(wrong)], [view(1, 4)], [], [tape_of(IDENTITY)])
    with pytest.raises(REFUSED):
        _native.Program([("arena", 0), ("arena", 64)], [call], [()], 128)


@pytest.mark.parametrize("kind", ["bind", "fixed"])
@pytest.mark.parametrize(
    ("shape", "strides", "offset"),
    [
        ([5], [1], 0),
        ([4], [1], 1),
        ([2], [4], 0),
        ([4], [-1], 2),
        ([4], [1], -1),
        ([2, 2], [3, 1], 0),
    ],
)
def test_views_are_compared_with_their_buffer(
    kind: str, shape: list[int], strides: list[int], offset: int
) -> None:
    x = np.zeros(4, np.float32)
    place = addresses_of([x])[0] if kind == "fixed" else 0
    wrong = (0, "float32", shape, strides, offset, [])
    call = (
        "elementwise",
        [wrong],
        [(1, "float32", shape, [0] * len(shape), 0, [])],
        [],
        [tape_of(IDENTITY)],
    )
    with pytest.raises(ValueError, match="input 0 reaches out of its buffer"):
        _native.Program([(kind, place, x.nbytes), ("bind", 1)], [call], [()], 0)


@pytest.mark.parametrize("extra", range(9))
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["bind", "fixed", "arena"])
@pytest.mark.parametrize("n", [2, 0])
def test_buffers_begin_at_a_multiple_of_their_elements_size(
    n: int, kind: str, dtype: str, extra: int
) -> None:
    """But for views without elements, which NumPy calls aligned wherever they begin."""
    x, y = np.zeros(64, np.float64), np.zeros(2, np.float64)
    place, out = addresses_of([x, y])
    buffers = {
        "bind": ("bind", 0, 64),
        "fixed": ("fixed", place + extra, 64),
        "arena": ("arena", extra),
    }
    views = [(k, d, [n], [1], 0, []) for k, d in enumerate((dtype, "float64"))]
    call = ("elementwise", views[:1], views[1:], [], [tape_of(Tape.identity("float64"))])

    def run() -> None:
        program = _native.Program([buffers[kind], ("bind", 1, 16)], [call], [()], 128)
        assert program.run([place + extra, out], []) == 0

    if n == 0 or extra % np.dtype(dtype).itemsize == 0:
        run()
        return
    with pytest.raises(ValueError, match="not begin at a multiple of its elements' size"):
        run()


@pytest.mark.parametrize("kind", ["bind", "fixed", "arena"])
def test_slots_are_compared_with_the_buffer(kind: str) -> None:
    """Before any call has run, so nothing has changed."""
    x, y = np.arange(8, dtype=np.float32), np.zeros(2, np.float32)
    place, out = addresses_of([x, y])
    buffer = {
        "bind": ("bind", 0, x.nbytes),
        "fixed": ("fixed", place, x.nbytes),
        "arena": ("arena", 32),
    }
    call = elementwise(IDENTITY, [view(0, 2, slots=[(0, 2)])], view(1, 2))
    program = _native.Program([buffer[kind], ("bind", 1, y.nbytes)], [call], [()], 64)
    for slot in range(4):
        assert program.run([place, out], [slot]) == 0
        assert kind == "arena" or y.tolist() == [2 * slot, 2 * slot + 1]
    y.fill(7)
    for slot in (-1, 4, *SIGNED):
        with pytest.raises(IndexError, match="out of its buffer"):
            program.run([place, out], [slot])
        progress = np.zeros(1, np.int64)
        with pytest.raises(IndexError, match="out of its buffer"):
            program.sweep([place, out], [0, 0], np.array([[slot]]), progress)
    assert kind == "arena" or y.tolist() == [7, 7]


@pytest.mark.parametrize("n", LARGE)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_integers_of_a_reduction(place: int, n: int) -> None:
    """The operation and the number of inputs; bits of axes that there aren't have no effect."""
    name, inputs, outputs, ints, tapes = sum_all(view(0, 4), view(1, 1))
    wrong = [*ints[:place], n, *ints[place + 1 :]]
    buffers = [("arena", 0), ("arena", 64)]
    if place == 1 and n < 2**63 and n % 2:
        _native.Program(buffers, [(name, inputs, outputs, wrong, tapes)], [()], 128)
        return
    with pytest.raises(REFUSED):
        _native.Program(buffers, [(name, inputs, outputs, wrong, tapes)], [()], 128)


@pytest.mark.parametrize("n", LARGE)
@pytest.mark.parametrize("kernel", ["gather", "scatter_add"])
def test_axes_of_indices(kernel: str, n: int) -> None:
    x, rows, index = view(0, 3, 2), view(1, 2, 2), (2, "int64", [2], [1], 0, [])
    inputs, output = ([x, index], rows) if kernel == "gather" else ([x, rows, index], x)
    buffers = [("arena", 64 * k) for k in range(3)]
    for ints in ([1, n], [n, 0], [n, n]):
        with pytest.raises(REFUSED):
            _native.Program(buffers, [(kernel, inputs, [output], ints, [])], [()], 256)


@pytest.mark.parametrize("n", LARGE)
def test_numbers_of_a_tape(n: int) -> None:
    for tape in (
        ("float32", n, [], [0]),
        ("float32", 1, [("neg", [n], 0.0, 0)], [1]),
        ("float32", 1, [("neg", [0], 0.0, 0)], [n]),
        ("float32", 2**31 - 1, [("neg", [0], 0.0, 0)] * 3, [0]),
    ):
        call: Any = ("elementwise", [view(0, 4)], [view(0, 4)], [], [tape])
        with pytest.raises(REFUSED):
            _native.Program([("arena", 0)], [call], [()], 64)
