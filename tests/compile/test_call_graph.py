"""What comes before what among the calls of a plan that is being made."""

from __future__ import annotations

from graphlib import CycleError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist.compile.call_graph import CallGraph
from tinygrad_mnist.compile.plan import KernelCall

CALL = KernelCall("elementwise", (), (), {})


@st.composite
def orders(draw: st.DrawFn) -> list[set[int]]:
    """For each of some calls the earlier ones that it waits for."""
    n = draw(st.integers(1, 9))
    return [draw(st.sets(st.integers(0, i - 1), max_size=3)) if i else set() for i in range(n)]


def graph_of(waits: list[set[int]]) -> CallGraph:
    calls = CallGraph()
    for after in waits:
        calls.add(CALL, after)
    return calls


def before(waits: list[set[int]], number: int) -> set[int]:
    """A call and all that have to come before it."""
    return {number}.union(*(before(waits, other) for other in waits[number]))


@given(orders(), st.data())
def test_ancestors(waits: list[set[int]], data: st.DataObject) -> None:
    calls = graph_of(waits)
    some = data.draw(st.sets(st.integers(0, len(waits) - 1)))
    assert calls.ancestors(some) == set().union(*(before(waits, number) for number in some))


@given(orders(), st.data())
def test_ancestors_unless_one_is_avoided(waits: list[set[int]], data: st.DataObject) -> None:
    calls = graph_of(waits)
    avoided = data.draw(st.sets(st.integers(0, len(waits) - 1), max_size=2))
    number = len(waits) - 1
    expected = before(waits, number)
    met = (expected - {number}) & avoided
    assert calls.ancestors_unless(number, avoided, []) == (None if met else expected)
    if not met:  # what is known already is left out, and all that only it leads to
        known = [before(waits, other) for other in waits[number]][:1]
        rest = calls.ancestors_unless(number, avoided, known)
        assert rest is not None
        assert rest.isdisjoint(set().union(*known))
        assert rest.union(*known) == expected


@given(orders(), st.data())
def test_the_order(waits: list[set[int]], data: st.DataObject) -> None:
    """Each call after those that it waits for, also by one that is dropped; otherwise by number."""
    calls = graph_of(waits)
    dropped = data.draw(st.sets(st.integers(0, len(waits) - 1), max_size=3))
    for number in dropped:
        calls.drop(number)
    left = [number for number in range(len(waits)) if number not in dropped]
    assert list(calls) == left
    assert calls.order() == left
    for number in left:
        assert calls.waits(number) - dropped == calls.waits(number)
        assert calls.ancestors([number]) == before(waits, number) - dropped


def longest(waits: list[set[int]], number: int) -> int:
    """The length of the longest chain that ends with a call."""
    return 1 + max((longest(waits, other) for other in waits[number]), default=0)


@given(orders())
def test_depths_and_heights(waits: list[set[int]]) -> None:
    calls = graph_of(waits)
    numbers = range(len(waits))
    readers = [{later for later in numbers if number in waits[later]} for number in numbers]
    assert calls.depths() == {number: longest(waits, number) for number in numbers}
    assert calls.heights() == {number: longest(readers, number) for number in numbers}


def test_the_order_of_calls_that_wait_for_later_ones() -> None:
    calls = graph_of([set(), set(), set(), set()])
    calls.wait(0, [2])
    assert calls.order() == [1, 2, 0, 3]
    calls.wait(2, [0])
    with pytest.raises(CycleError):
        calls.order()
