"""Copies of functions: what they share, swap and keep."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import In, Out
from tinygrad_mnist.errors import GraphTypeError

A = np.arange(6.0).reshape(2, 3)


def test_a_copy_computes_and_updates_the_same(device: str) -> None:
    x, w = T.dmatrix("x"), theano.shared(A, "w")
    step = theano.function([x], {"sum": T.sum(x * w)}, updates=[(w, w + x)], name="step")
    step(A)
    copy = step.copy(name="twin")
    assert (step.name, copy.name, step.copy().name) == ("step", "twin", "step")
    assert copy(x=A) == {"sum": np.sum(A * 2 * A)}
    np.testing.assert_array_equal(w.get_value(), 3 * A)
    assert copy.device == step.device
    assert len(step.plans) == len(copy.plans) == 1
    assert step.plans[0] is not copy.plans[0]


def test_a_copy_without_updates(device: str) -> None:
    w, c = theano.shared(A, "w"), theano.shared(np.int64(5), "c")
    c.default_update = c + 1
    step = theano.function([], T.sum(w) * c, updates=[(w, w + 1)])
    look = step.copy(delete_updates=True)
    for _ in range(2):
        assert look() == 75
    assert (c.get_value(), w.get_value()[0, 0]) == (5, 0)


def test_a_copy_for_other_variables(device: str) -> None:
    """Training data are swapped for validation data, weights stay."""
    data, other = theano.shared(A, "data"), theano.shared(A[:, ::-1] * 2, "other")
    w, i = theano.shared(np.ones(3), "w"), T.lscalar("i")
    step = theano.function([i], T.dot(data[i], w), updates=[(w, w + 1)])
    look = step.copy(swap={data: other}, delete_updates=True)
    assert (look(1), step(1), look(1), step(0)) == (24, 12, 48, 6)
    v = theano.shared(np.full(3, 10.0), "v")
    copy = step.copy(swap={w: v})
    assert copy(1) == 120
    np.testing.assert_array_equal(v.get_value(), [11] * 3)
    np.testing.assert_array_equal(w.get_value(), [3] * 3)
    assert set(copy.get_shared()) == {data, v}


def test_swaps_that_do_not_fit() -> None:
    w, v = theano.shared(A, "w"), theano.shared(A, "v")
    function = theano.function([], T.sum(w + v), updates=[(w, w + 1), (v, v + 1)])
    for swap in ({theano.shared(A, "u"): v}, {w: A}, {T.dmatrix(): v}):
        with pytest.raises(GraphTypeError, match="swap replaces shared variables of the function"):
            function.copy(swap=swap)  # type: ignore[dict-item]
    for value in (A[0], A.astype("float32")):
        with pytest.raises(GraphTypeError, match=r"u is a .*; w, which it replaces"):
            function.copy(swap={w: theano.shared(value, "u")})
    with pytest.raises(GraphTypeError, match="would update one variable twice"):
        function.copy(swap={w: v})


def test_what_inputs_keep_goes_on_apart(device: str) -> None:
    state, by, x = T.dscalar("state"), T.dscalar("by"), T.dscalar("x")
    w = theano.shared(1.0)
    inputs = [by, In(state, value=10, update=state + by), In(x, value=w, update=x * 2)]
    add = theano.function(inputs, Out(state + 0 * x, borrow=True))
    add(5)
    copy = add.copy()
    assert copy["state"] == 15
    assert float(copy(1)) == 15
    assert (add["state"], copy["state"]) == (15, 16)
    assert (add["x"], copy["x"], w.get_value()) == (4, 4, 4)
    add["state"] = 0
    assert copy["state"] == 16


def test_a_copy_in_the_same_memory(device: str) -> None:
    x = T.dmatrix("x")
    product = theano.function([x], T.dot(T.exp(x), x.T))
    copy = product.copy(share_memory=True)
    values = [np.random.default_rng(n).normal(size=(n, 5)) for n in (50, 3, 100)]

    def work(function: theano.Function, results: list[bool]) -> None:
        for _ in range(20):
            for value in values:
                results.append(np.allclose(function(value), np.exp(value) @ value.T))

    outcomes: list[list[bool]] = [[], []]
    threads = [
        threading.Thread(target=work, args=pair)
        for pair in zip((product, copy), outcomes, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [[True] * 60] * 2
    assert copy.arena_bytes == product.arena_bytes
    if device == "cpu":
        assert product.copy().arena_bytes == 0 < product.arena_bytes


def test_free_gives_memory_back(device: str) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], T.dot(T.exp(x), x.T))
    first = function(A)
    function.free()
    assert (function.plans, function.arena_bytes) == ([], 0)
    np.testing.assert_array_equal(function(A), first)
    assert len(function.plans) == 1
