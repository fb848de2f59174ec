"""Many steps in one call."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812


def test_a_sweep_is_many_calls(device: str) -> None:
    data, i = theano.shared(np.arange(12.0)), T.lscalar("i")

    def build() -> tuple[theano.Function, Any]:
        w = theano.shared(np.float64(1))
        batch = data[i * 5 : (i + 1) * 5]
        return theano.function([i], [T.sum(batch) * w, w], updates=[(w, w + T.max(batch) + i)]), w

    (one, w), (other, v) = build(), build()
    for steps in (range(2), [1, 0, 1], np.array([0, 0]), range(3)):
        expected = [one(int(step)) for step in steps]
        totals, weights = other.sweep(steps)
        np.testing.assert_allclose(totals, [e[0] for e in expected])
        np.testing.assert_allclose(weights, [e[1] for e in expected])
        assert w.get_value() == v.get_value()
