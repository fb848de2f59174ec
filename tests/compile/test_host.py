"""Integers of the host: what a plan is chosen by, what merely moves a view."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.compile.host import HostTrace, checked_index
from tinygrad_mnist.graph.op import constant

X = np.random.default_rng(1).normal(size=(10, 3))


def mini_batches(size: int = 4) -> Any:
    data, i = theano.shared(X), T.lscalar("i")
    batch = data[i * size : (i + 1) * size]
    return theano.function([i], [T.sum(batch * 2, axis=0), batch.shape[0]])


def test_one_plan_serves_every_whole_mini_batch(device: str) -> None:
    train = mini_batches()
    for number in (0, 1, 0):
        total, n = train(number)
        np.testing.assert_allclose(total, 2 * X[4 * number : 4 * number + 4].sum(0), rtol=1e-12)
        assert n == 4
    assert len(train.plans) == 1


def test_a_last_partial_batch_gets_a_plan_of_its_own(device: str) -> None:
    train = mini_batches()
    counts = [int(train(number)[1]) for number in range(4)]
    assert counts == [4, 4, 2, 0]
    assert len(train.plans) == 3
    total, _ = train(2)
    np.testing.assert_allclose(total, 2 * X[8:].sum(0), rtol=1e-12)
    assert len(train.plans) == 3


def test_a_mini_batch_is_a_view(device: str) -> None:
    data, i = theano.shared(X), T.lscalar("i")
    train = theano.function([i], T.exp(data[i * 4 : (i + 1) * 4]))
    train(1)
    (call,) = train.plan.calls
    assert call.inputs[0].layout.slots == ((0, 3),)
    assert train.plan.host.n_slots == 1


def test_equal_slices_share_a_slot(device: str) -> None:
    x, y, i = theano.shared(X), theano.shared(X[:, 0].copy()), T.lscalar("i")
    function = theano.function([i], T.dot(y[i * 2 : i * 2 + 2], x[i * 2 : i * 2 + 2]))
    np.testing.assert_allclose(function(3), X[6:8, 0] @ X[6:8], rtol=1e-12)
    assert function.plan.host.n_slots == 1


def test_a_new_length_of_the_data_is_a_new_plan(device: str) -> None:
    data, i = theano.shared(X), T.lscalar("i")
    function = theano.function([i], T.sum(data[i:]))
    assert function(8) == pytest.approx(X[8:].sum())
    data.set_value(X[:9])
    assert function(8) == pytest.approx(X[8].sum())


def test_a_scalar_that_arithmetic_uses_too(device: str) -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    function = theano.function([x, i], x[i : i + 2] * i + i)
    for number in (0, 3, 1):
        expected = np.arange(5.0)[number : number + 2] * number + number
        np.testing.assert_array_equal(function(np.arange(5.0), number), expected)
    assert len(function.plans) == 1


def test_a_shared_integer_as_index(device: str) -> None:
    x, step = T.dvector("x"), theano.shared(np.int64(0))
    function = theano.function([x], x[step], updates=[(step, step + 1)])
    assert [float(function(np.arange(5.0))) for _ in range(3)] == [0, 1, 2]
    assert len(function.plans) == 1
    step.set_value(np.int64(5))
    with pytest.raises(IndexError, match="index 5 is out of range"):
        function(np.arange(5.0))
    assert step.get_value() == 5


@pytest.mark.parametrize("value", [np.int64(2), np.int32(2), np.array(2), 2, np.uint8(2)])
def test_integers_of_any_kind(device: str, value: Any) -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    assert theano.function([x, i], x[i])(np.arange(5.0), value) == 2


BOUND = st.none() | st.integers(-15, 15)


@settings(max_examples=200, deadline=None)
@given(start=BOUND, stop=BOUND, step=st.sampled_from([1, 2, 3, -1, -2, -5]), n=st.integers(0, 9))
def test_slices_are_clamped_as_numpy_does(
    start: int | None, stop: int | None, step: int, n: int
) -> None:
    inputs = [T.lscalar(name) for name in "ab"]
    values = dict(zip(inputs, (start or 0, stop or 0), strict=True))
    bounds = [v if b is not None else None for v, b in zip(inputs, (start, stop), strict=True)]
    trace = HostTrace(values, {})
    offset, count = trace.slice(bounds[0], bounds[1], step, n)
    program = trace.finish()
    guards, slots = program.function(*(values[v] for v in program.inputs))
    assert guards == program.guards
    first = offset.value + (slots[offset.slot] if offset.slot is not None else 0)
    expected = np.arange(n)[start:stop:step]
    assert count == len(expected)
    assert [first + k * step for k in range(count)] == expected.tolist()


def test_guards_name_what_a_plan_depends_on() -> None:
    i, n = T.lscalar("i"), T.lscalar("n")
    trace = HostTrace({i: 2, n: 5}, {})
    assert trace.by_value(n * 2) == 10
    assert trace.index(i + 1, 4).slot == 0
    assert trace.index(constant(-1, "int64"), 4).value == 3
    program = trace.finish()
    assert program.inputs == (n, i)
    assert program.guards == (10,)
    assert program.function(5, 0) == ((10,), (1,))
    assert program.function(6, -5) == ((12,), (0,))
    with pytest.raises(IndexError, match="index 4 is out of range for a length of 4"):
        program.function(5, 3)


@pytest.mark.parametrize(("index", "length", "result"), [(0, 1, 0), (-1, 3, 2), (-3, 3, 0)])
def test_checked_index(index: int, length: int, result: int) -> None:
    assert checked_index(index, length) == result


@pytest.mark.parametrize(("index", "length"), [(0, 0), (3, 3), (-4, 3)])
def test_checked_index_out_of_range(index: int, length: int) -> None:
    with pytest.raises(IndexError, match="out of range"):
        checked_index(index, length)


def test_a_bound_that_doubles_many_times_is_traced_once_per_step() -> None:
    x, k = T.dvector("x"), T.lscalar("k")
    bound = k
    for _ in range(30):
        bound = bound + bound
    f = theano.function([x, k], x[bound : bound + 2])
    np.testing.assert_array_equal(f(np.arange(5.0), 0), [0, 1])
    assert len(f.plan.host.text) < 2000


def test_a_long_chain_of_bounds() -> None:
    x, k = T.dvector("x"), T.lscalar("k")
    bound = k
    for _ in range(2000):
        bound = bound + 1
    assert theano.function([x, k], x[bound])(np.arange(5.0), -1998) == 2.0


def test_a_narrowing_cast_of_a_bound_wraps() -> None:
    x, k = T.dvector("x"), T.lscalar("k")
    f = theano.function([x, k], x[T.cast(k, "int8")])
    assert f(np.arange(400.0), 300) == 44.0
