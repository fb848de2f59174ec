"""Functions on a GPU, or in its simulator: memory, steps, errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from helpers.gpu import BACKEND

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.backends.cuda import program
from tinygrad_mnist.errors import IndexOutOfRangeError
from tinygrad_mnist.functions import swept

pytestmark = [pytest.mark.sim, pytest.mark.gpu]


@pytest.fixture(autouse=True)
def _on_the_gpu() -> None:
    theano.config.device = BACKEND


def vector(*values: float) -> np.ndarray:  # type: ignore[type-arg]
    return np.array(values, np.float32)


def counter(value: np.ndarray, **options: object) -> tuple[theano.SharedVariable, theano.Function]:  # type: ignore[type-arg]
    """A shared vector, and a function that adds its argument to it and returns the old value."""
    w = theano.shared(value, "w")
    x = T.vector("x")
    return w, theano.function([x], w * 1, updates=[(w, w + x)], **options)


def test_a_value_stays_on_the_device_until_it_is_asked_for() -> None:
    w, step = counter(vector(1, 2))
    for _ in range(3):
        step(vector(1, 10))
    assert w.device_copy is not None
    assert w.device_copy.is_newer
    np.testing.assert_array_equal(w.host_array, vector(1, 2))
    np.testing.assert_array_equal(w.get_value(), vector(4, 32))
    assert not w.device_copy.is_newer
    np.testing.assert_array_equal(step(vector(0, 0)), vector(4, 32))


def test_a_value_that_is_set_goes_to_the_device() -> None:
    w, step = counter(vector(1, 2))
    step(vector(1, 1))
    w.set_value(vector(5, 6))
    np.testing.assert_array_equal(step(vector(1, 1)), vector(5, 6))
    np.testing.assert_array_equal(w.get_value(), vector(6, 7))
    w.set_value(vector(1, 2, 3))  # another shape: another plan, other memory
    np.testing.assert_array_equal(step(vector(1, 1, 1)), vector(1, 2, 3))
    np.testing.assert_array_equal(w.get_value(), vector(2, 3, 4))


def test_functions_of_two_devices_take_turns() -> None:
    w, step = counter(vector(1, 2))
    theano.config.device = "cpu"
    x = T.vector("x")
    double = theano.function([], w * 1, updates=[(w, w * 2)])
    read = theano.function([x], w + x)
    step(vector(1, 1))
    np.testing.assert_array_equal(double(), vector(2, 3))
    np.testing.assert_array_equal(step(vector(1, 1)), vector(4, 6))
    np.testing.assert_array_equal(read(vector(0, 0)), vector(5, 7))
    np.testing.assert_array_equal(step(vector(1, 1)), vector(5, 7))
    np.testing.assert_array_equal(w.get_value(), vector(6, 8))


def test_a_sweep_is_its_steps() -> None:
    data = np.arange(40, dtype=np.float32).reshape(10, 4)
    total = theano.shared(np.zeros((2, 4), np.float32))
    shared_data, i, x = theano.shared(data), T.lscalar("i"), T.vector("x")
    batch = shared_data[i * 2 : (i + 1) * 2]
    step = theano.function([i, x], [batch * 2, total * 1], updates=[(total, total + batch + x)])
    xs = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    order = [3, 0, 4, 1, 1]
    one_by_one = [step(n, v) for n, v in zip(order, xs, strict=True)]
    value = total.get_value()
    total.set_value(np.zeros((2, 4), np.float32))
    doubled, totals = step.sweep(order, xs)
    np.testing.assert_array_equal(doubled, [a for a, _ in one_by_one])
    np.testing.assert_array_equal(totals, [b for _, b in one_by_one])
    np.testing.assert_array_equal(total.get_value(), value)
    np.testing.assert_array_equal(step(2, xs[0])[0], data[4:6] * 2)


@pytest.mark.parametrize("n", [1, 3, 4, 5, 11])
def test_any_number_of_steps(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "STEPS_TOGETHER", 4)
    monkeypatch.setattr(program, "STEPS_AHEAD", 6)
    w, step = counter(vector(0, 0))
    xs = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    np.testing.assert_array_equal(step.sweep(xs), np.cumsum(xs, 0) - xs)
    np.testing.assert_array_equal(w.get_value(), xs.sum(0))


def test_a_longer_sweep_needs_more_memory() -> None:
    w, step = counter(vector(0, 0))
    for n in (2, 7, 3):
        w.set_value(vector(0, 0))
        assert step.sweep(np.ones((n, 2), np.float32)).shape == (n, 2)
        np.testing.assert_array_equal(w.get_value(), vector(n, n))


def test_plans_of_one_function_share_an_arena() -> None:
    x = T.matrix("x")
    f = theano.function([x], T.exp(x).T * T.exp(x.T))
    for shape in ((2, 3), (5, 4), (2, 3)):
        value = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        np.testing.assert_allclose(f(value), np.exp(value).T ** 2, rtol=1e-5)


def test_a_larger_arena_replaces_the_smaller_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory of all plans is given back before more is asked for."""
    x = T.matrix("x")
    f = theano.function([x], T.dot(T.dot(x, x), x).sum())
    f(np.ones((8, 8), np.float32))
    arena = f._workspace.arena
    kept: list[int] = []
    allocate = arena.gpu.allocate

    def watched(nbytes: int) -> object:
        if nbytes > 4 * n * n:  # more than the input: the arena
            kept.append(arena.nbytes)
        return allocate(nbytes)

    monkeypatch.setattr(arena.gpu, "allocate", watched)
    for n in (16, 24, 8, 16):
        np.testing.assert_allclose(f(np.ones((n, n), np.float32)), n**4, rtol=1e-5)
    assert kept == [0, 0]


def test_calls_without_anything_to_do() -> None:
    x = T.matrix("x")
    w = theano.shared(vector(1, 2))
    f = theano.function([x], [T.nnet.softmax(x), T.argmax(x, 1)], updates=[(w, w * 2)])
    for rows in (0, 2, 0):
        result, place = f(np.ones((rows, 3), np.float32))
        np.testing.assert_allclose(result, np.full((rows, 3), 1 / 3), rtol=1e-6)
        assert place.shape == (rows,)
    np.testing.assert_array_equal(w.get_value(), vector(8, 16))


def test_a_failed_check_changes_nothing() -> None:
    table, total = theano.shared(np.eye(3, dtype=np.float32)), theano.shared(vector(0, 0, 0))
    i = T.lvector("i")
    step = theano.function([i], table[i] * 1, updates=[(total, total + 1)])
    step([0, 2])
    with pytest.raises(IndexOutOfRangeError):
        step([0, 3])
    np.testing.assert_array_equal(total.get_value(), vector(1, 1, 1))
    with pytest.raises(IndexOutOfRangeError) as caught:
        step.sweep(np.array([[0, 1], [2, 2], [1, -4], [0, 0]]))
    assert "step 2 of the sweep" in str(caught.value)
    done = swept(caught.value)
    assert done is not None
    assert done.steps == 2
    np.testing.assert_array_equal(done.outputs, np.eye(3)[[[0, 1], [2, 2]]])
    np.testing.assert_array_equal(total.get_value(), vector(3, 3, 3))
    np.testing.assert_array_equal(step([1, 1]), np.eye(3)[[1, 1]])


def test_memory_is_given_back() -> None:
    x = T.vector("x")
    f = theano.function([x], T.exp(T.exp(x).sum() + x))
    before = f(vector(1, 2))
    assert f.arena_bytes > 0
    f.free()
    assert f.arena_bytes == 0
    np.testing.assert_array_equal(f(vector(1, 2)), before)


def test_what_is_pickled_or_copied_is_the_value() -> None:
    w, step = counter(vector(1, 2))
    step(vector(1, 1))
    for other in (pickle.loads(pickle.dumps(w)), copy.deepcopy(w)):
        np.testing.assert_array_equal(other.get_value(), vector(2, 3))
        assert other.device_copy is None
    np.testing.assert_array_equal(step(vector(1, 1)), vector(2, 3))


def test_a_swap() -> None:
    a, b = theano.shared(vector(1, 2)), theano.shared(vector(3, 4))
    theano.function([], updates=[(a, b), (b, a)])()
    np.testing.assert_array_equal(a.get_value(), vector(3, 4))
    np.testing.assert_array_equal(b.get_value(), vector(1, 2))


def test_an_update_that_changes_a_shape() -> None:
    w = theano.shared(vector(1, 2))
    grow = theano.function([], updates=[(w, T.concatenate([w, w]))])
    grow()
    grow()
    np.testing.assert_array_equal(w.get_value(), np.tile(vector(1, 2), 4))


def test_a_profile_has_a_time_for_every_call() -> None:
    _, step = counter(vector(1, 2))
    profile = step.profile(vector(1, 1), repeats=2)
    assert profile.timings.calls.shape == (profile.steps, len(step.plan.calls))
    assert (profile.timings.calls > 0).all()
    assert profile.backend == BACKEND
