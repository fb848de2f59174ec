"""What waits for what among the launches of a graph."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.backends.cuda.design import design_plan
from tinygrad_mnist.backends.cuda.order import Touched, predecessors, touched_memory

pieces = st.frozensets(st.integers(0, 4), max_size=3)
sequences = st.lists(st.builds(Touched, pieces, pieces), max_size=12)


def all_before(waits: list[tuple[int, ...]]) -> list[set[int]]:
    """For every call, all that are done when it starts."""
    done: list[set[int]] = []
    for direct in waits:
        done.append(set(direct).union(*(done[d] for d in direct)))
    return done


@given(sequences)
def test_what_touches_the_same_memory_keeps_its_order(touched: list[Touched]) -> None:
    done = all_before(predecessors(touched))
    for later, (reads, writes) in enumerate(touched):
        for earlier in range(later):
            clash = touched[earlier].writes & (reads | writes) | touched[earlier].reads & writes
            assert not clash or earlier in done[later]


@given(sequences)
def test_nothing_waits_without_a_reason(touched: list[Touched]) -> None:
    waits = predecessors(touched)
    done = all_before(waits)
    for later, direct in enumerate(waits):
        reads, writes = touched[later]
        for earlier in direct:
            assert touched[earlier].writes & (reads | writes) | touched[earlier].reads & writes
            assert not any(earlier in done[other] for other in direct)


def test_independent_updates_do_not_wait_for_each_other() -> None:
    theano.config.device = "reference"  # plans without a GPU
    a, b = (theano.shared(np.ones(4, np.float32)) for _ in range(2))
    f = theano.function([], updates=[(a, T.exp(a)), (b, T.exp(b))])
    f()
    assert predecessors(touched_memory(f.plan, design_plan(f.plan, (9, 0)))) == [(), ()]


def test_temporaries_at_one_place_keep_their_order() -> None:
    theano.config.device = "reference"
    x = T.vector("x")
    f = theano.function([x], T.exp(T.exp(T.exp(T.exp(x)))))
    f(np.ones(4, np.float32))
    waits = predecessors(touched_memory(f.plan, design_plan(f.plan, (9, 0))))
    assert waits == [(), (0,), (1,), (2,)]
    again = predecessors(touched_memory(f.plan, design_plan(f.plan, (9, 0))) * 2)
    assert again[4] != ()  # the next step writes where the last one read
