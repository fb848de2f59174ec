"""What waits for what among the calls of a plan."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.compile.depends import (
    Range,
    Touched,
    dependencies,
    predecessors,
    touched_memory,
)
from tinygrad_mnist.compile.plan import INPUT, OUTPUT, SHARED, TEMPORARY, Buffer, KernelCall, View
from tinygrad_mnist.functions import Function
from tinygrad_mnist.graph.layout import Layout, contiguous

ranges = st.builds(
    lambda memory, begin, n: Range(memory, begin, begin + n),
    st.integers(0, 2),
    st.integers(0, 6),
    st.integers(0, 3),
)
sequences = st.lists(
    st.builds(Touched, st.lists(ranges, max_size=3), st.lists(ranges, max_size=2)), max_size=12
)


def all_before(waits: Sequence[tuple[int, ...]]) -> list[set[int]]:
    """For every call, all that are done when it starts."""
    done: list[set[int]] = []
    for direct in waits:
        done.append(set(direct).union(*(done[d] for d in direct)))
    return done


def overlap(some: Sequence[Range], others: Sequence[Range]) -> bool:
    return any(
        a.memory == b.memory and max(a.begin, b.begin) < min(a.end, b.end)
        for a in some
        for b in others
    )


def clash(earlier: Touched, later: Touched) -> bool:
    """Whether two calls touch the same memory, and one of them writes it."""
    touched = [*later.reads, *later.writes]
    return overlap(earlier.writes, touched) or overlap(earlier.reads, later.writes)


@given(sequences)
def test_what_touches_the_same_memory_keeps_its_order(touched: list[Touched]) -> None:
    done = all_before(predecessors(touched))
    for later in range(len(touched)):
        for earlier in range(later):
            assert not clash(touched[earlier], touched[later]) or earlier in done[later]


@given(sequences)
def test_nothing_waits_without_a_reason(touched: list[Touched]) -> None:
    waits = predecessors(touched)
    done = all_before(waits)
    for later, direct in enumerate(waits):
        for earlier in direct:
            assert clash(touched[earlier], touched[later])
            assert not any(earlier in done[other] for other in direct)


def test_independent_updates_do_not_wait_for_each_other() -> None:
    theano.config.device = "reference"
    a, b = (theano.shared(np.ones(4, np.float32)) for _ in range(2))
    f = theano.function([], updates=[(a, T.exp(a)), (b, T.exp(b))])
    f()
    assert f.plan.depends == ((), ())


def chain() -> Function:
    theano.config.device = "reference"
    x = T.vector("x")
    f = theano.function([x], T.exp(T.exp(T.exp(T.exp(x)))))
    f(np.ones(4, np.float32))
    return f


def test_temporaries_in_the_same_memory_keep_their_order() -> None:
    plan = chain().plan
    assert plan.depends == ((), (0,), (1,), (2,))
    again = dependencies(plan.buffers, plan.calls * 2)
    assert again[:4] == plan.depends
    assert again[4] != ()  # the next step writes where the last one read


# --- views and checks ---------------------------------------------------------------------------

BUFFERS = (
    Buffer(INPUT, "int64", (4,), "index"),
    Buffer(SHARED, "float32", (8,), "w"),
    Buffer(OUTPUT, "float32", (8,), "out"),
    Buffer(TEMPORARY, "float32", (8,), "t0", offset=0),
    Buffer(TEMPORARY, "float32", (4,), "t1", offset=16),
)
INDEX, W, OUT, T0, T1 = range(5)


def part(buffer: int, n: int, offset: int = 0, slots: tuple[tuple[int, int], ...] = ()) -> View:
    layout = Layout((n,), (1,), offset, slots)
    return View(buffer, BUFFERS[buffer].dtype, layout)


def call(kernel: str, inputs: Sequence[View], outputs: Sequence[View]) -> KernelCall:
    return KernelCall(kernel, tuple(inputs), tuple(outputs), {})


def waits(*calls: KernelCall) -> tuple[tuple[int, ...], ...]:
    return dependencies(BUFFERS, calls)


def test_parts_of_a_buffer() -> None:
    write = call("elementwise", [], [part(T0, 4)])
    assert waits(write, call("elementwise", [], [part(T0, 4, 4)])) == ((), ())
    assert waits(write, call("elementwise", [part(T0, 4, 3)], [])) == ((), (0,))
    assert waits(write, call("elementwise", [part(T1, 4)], [])) == ((), ())  # bytes 16 to 32
    assert waits(write, call("elementwise", [part(T0, 0)], [])) == ((), ())


slices = st.builds(slice, *[st.integers(-7, 7) | st.none()] * 2, st.sampled_from([-3, -1, 1, 2]))


@given(st.sampled_from(["int8", "float32", "float64"]), slices, slices, st.integers(0, 9))
def test_the_bytes_that_a_call_touches(dtype: str, rows: slice, columns: slice, at: int) -> None:
    """From the first to the last byte of the elements, as NumPy finds them."""
    array = np.zeros((5, 6), dtype)
    view = array[rows, columns]
    steps = tuple(step // array.itemsize for step in view.strides)
    begin = (view.ctypes.data - array.ctypes.data) // array.itemsize
    layout = Layout(view.shape, steps, begin)
    buffers = [
        Buffer(OUTPUT, dtype, array.shape, "out"),
        Buffer(TEMPORARY, dtype, array.shape, "t", offset=16 * at),
    ]
    operands = [View(0, dtype, layout), View(1, dtype, layout)]
    bound, temporary = touched_memory(buffers, call("elementwise", [], operands)).writes
    first, end = (n - array.ctypes.data for n in np.lib.array_utils.byte_bounds(view))
    if view.size == 0:
        assert bound.begin == bound.end
    else:
        assert (bound.begin, bound.end) == (first, end)
        assert (temporary.begin, temporary.end) == (16 * at + first, 16 * at + end)


def test_slots_move_a_view_anywhere_in_its_buffer() -> None:
    moving = call("elementwise", [part(T0, 1, 0, ((0, 1),))], [])
    assert waits(call("elementwise", [], [part(T1, 4)]), moving) == ((), (0,))
    assert waits(call("elementwise", [], [part(T0, 1, 7)]), moving) == ((), (0,))
    assert waits(call("elementwise", [], [part(OUT, 8)]), moving) == ((), ())


def test_what_waits_for_a_check() -> None:
    """Writes of shared variables, uses of indices, and other checks; nothing else."""
    check = call("check_range", [part(INDEX, 4)], [])
    update = call("elementwise", [], [View(W, "float32", contiguous((8,)))])
    assert waits(check, update) == ((), (0,))
    assert waits(check, call("gather", [part(W, 8), part(INDEX, 4)], [part(T1, 4)])) == ((), (0,))
    assert waits(check, check) == ((), (0,))
    assert waits(check, call("elementwise", [part(W, 8)], [part(OUT, 8)])) == ((), ())
    # The check of a second step waits for the updates of the first one.
    assert waits(check, update, check, update) == ((), (0,), (1,), (2,))
