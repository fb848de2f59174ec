"""Functions that are cut, on a GPU: values pass through the host, shared variables stay."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.gpu import BACKEND

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import config
from tinygrad_mnist.errors import IndexOutOfRangeError, NanGuardError
from tinygrad_mnist.ifelse import ifelse
from tinygrad_mnist.tensor import nlinalg

pytestmark = [pytest.mark.sim, pytest.mark.gpu]

V = np.array([3.0, -1, 2, -5])


def on_both(make: Any, *calls: Any) -> None:
    """A function and its shared variable give the same on the GPU and on the CPU."""
    results = []
    for device in (BACKEND, "cpu"):
        config.device = device
        function, w = make()
        results.append([(function(*call), w.get_value()) for call in calls])
    for (a, v), (b, w) in zip(*results, strict=True):
        for x, y in zip((*a, v), (*b, w), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-15)


def test_masks_and_updates() -> None:
    def make() -> tuple[Any, Any]:
        x, w = T.dvector("x"), theano.shared(np.zeros(4), "w")
        chosen = x[x * 2 > w]
        updates = [(w, T.inc_subtensor(w[x > 0], 1.0))]
        return theano.function([x], [chosen, T.grad(T.sum(chosen**2), x)], updates=updates), w

    on_both(make, (V,), (V,), (-V,))


def test_lengths_and_choices() -> None:
    def make() -> tuple[Any, Any]:
        x, w = T.dvector("x"), theano.shared(np.float64(1))
        y = ifelse(T.sum(x) > 0, x[: T.argmax(x) + 1] * w, T.exp(x))
        return theano.function([x], [y, T.grad(T.sum(y), x)], updates=[(w, w + T.sum(y))]), w

    on_both(make, (V,), (-V,), (V,))


def test_linear_algebra() -> None:
    def make() -> tuple[Any, Any]:
        x, w = T.dvector("x"), theano.shared(np.eye(4))
        inverse = nlinalg.matrix_inverse(w + T.outer(x, x) / 20)
        return theano.function([x], [T.dot(inverse, x)], updates=[(w, inverse)]), w

    on_both(make, (V,), (V,))


def test_a_failure_changes_nothing_and_a_sweep_goes_step_by_step() -> None:
    config.device = BACKEND
    x, s, w = T.dvector("x"), T.lvector("s"), theano.shared(0.0)
    function = theano.function([x, s], T.sum(x[: s[0]]) + x[s[1]], updates=[(w, w + 1)])
    np.testing.assert_allclose(function.sweep(V, [[1, 0], [2, 1]]), [6, 1])
    with pytest.raises(IndexOutOfRangeError, match="out of range"):
        function(V, [1, 9])
    assert w.get_value() == 2


def test_the_guard_against_nan() -> None:
    config.device = BACKEND
    x, w = T.dvector("x"), theano.shared(np.ones(4), "w")
    joined = T.concatenate([T.sqrt(x), w * 2])
    updates = [(w, T.inc_subtensor(w[1:], T.sum(joined)))]
    function = theano.function([x], joined, updates=updates, mode="nan_guard")
    np.testing.assert_allclose(function(abs(V)), np.append(np.sqrt(abs(V)), np.full(4, 2)))
    before = w.get_value()
    assert before[0] == 1
    assert before[1] > 8
    with pytest.raises(NanGuardError, match="makes a NaN"):
        function(V)
    np.testing.assert_array_equal(w.get_value(), before)
