"""Sweeps of functions that are cut: many calls, and what ends them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.interrupts import output_after_interrupt

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import IndexOutOfRangeError, ShapeError
from tinygrad_mnist.functions import swept

V = np.array([3.0, -1, 2, -5, 4])


def test_a_sweep_is_many_calls(device: str) -> None:
    def build() -> tuple[theano.Function, Any]:
        x, m, w = T.dvector("x"), T.tensor("bool", (False,), "m"), theano.shared(1.0)
        total = T.sum(x[m]) * w
        return theano.function([x, m], [total, w], updates=[(w, w + total)]), w

    masks = np.random.default_rng(5).random((30, 5)) < 0.5
    (one, w), (other, v) = build(), build()
    expected = [one(V, mask) for mask in masks]
    totals, weights = other.sweep(V, masks)
    np.testing.assert_allclose(totals, [e[0] for e in expected])
    np.testing.assert_allclose(weights, [e[1] for e in expected])
    assert w.get_value() == v.get_value()


def test_a_sweep_may_depend_on_what_it_updates(device: str) -> None:
    """Each step reads the length anew, where an uncut function can't."""
    n, x = theano.shared(np.int64(1)), T.dvector("x")
    function = theano.function([x], T.sum(x[: n + T.argmin(x)]), updates=[(n, n + 1)])
    totals = function.sweep(V, n_steps=3)
    np.testing.assert_allclose(totals, [V[:k].sum() for k in (4, 5, 5)])


def test_a_step_that_fails_ends_a_sweep(device: str) -> None:
    x, s, w = T.dvector("x"), T.lvector("s"), theano.shared(0.0)
    function = theano.function([x, s], T.sum(x[: s[0]]) + x[s[1]], updates=[(w, w + 1)])
    steps = np.array([[1, 0], [2, 1], [3, 9], [4, 1]])
    with pytest.raises(IndexOutOfRangeError, match="step 2 of the sweep") as caught:
        function.sweep(V, steps)
    done = swept(caught.value)
    assert done is not None
    assert done.steps == 2 == w.get_value()
    np.testing.assert_allclose(done.outputs, [V[0] + V[0], V[:2].sum() + V[1]])


def test_outputs_of_different_lengths_cannot_be_stacked(device: str) -> None:
    x, m, w = T.dvector("x"), T.tensor("bool", (False,), "m"), theano.shared(0.0)
    function = theano.function([x, m], x[m], updates=[(w, w + 1)])
    same = function.sweep(V, np.array([[True, False, True, False, False]] * 3))
    assert same.shape == (3, 2)
    with pytest.raises(ShapeError, match=r"step 1 of the sweep.*can't be stacked"):
        function.sweep(V, np.array([[True, False, True, False, False], [False] * 5]))
    assert w.get_value() == 4


INTERRUPTED = """
import numpy as np, tinygrad_mnist as theano, tinygrad_mnist.tensor as T
from tinygrad_mnist.functions import prepare, swept
from tinygrad_mnist.profiling import SegmentedProfile
theano.config.device = "{device}"
i, w, v = T.lscalar("i"), theano.shared(np.zeros(3)), theano.shared(np.int64(0))
x = T.arange(5) * i
f = theano.function([i], T.sum(x[x >= 0]), updates=[(w, w + 1), (v, v + 1)])
f(1)
print("ready", flush=True)
try:
    f.sweep(1, n_steps=10**7)
except KeyboardInterrupt as error:
    done = swept(error)
    ok = done.steps + 1 == v.get_value() == w.get_value()[0] and len(done.outputs) == done.steps
    print("whole" if ok else "torn", done.steps > 0)
"""


def test_an_interrupt_ends_a_sweep_between_steps() -> None:
    for device in ("cpu", "reference"):
        assert "whole True" in output_after_interrupt(INTERRUPTED.format(device=device))
