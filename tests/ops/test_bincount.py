"""Counts, whose number depends on data."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import assert_gradient, evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

pytest.importorskip("tinygrad_mnist.functions.segments", reason="lengths that depend on data")

VALUES = [np.array(v, "int64") for v in ([1, 2, 2, 0, 7], [0], [3, 3], [])]


def test_counts(device: str) -> None:
    x = T.lvector("x")
    with making_functions_for(device):
        function = theano.function([x], [T.bincount(x), T.bincount(x, minlength=5)])
    for values in VALUES:
        for result, least in zip(function(values), (0, 5), strict=True):
            assert result.dtype == "int64"
            np.testing.assert_array_equal(result, np.bincount(values, minlength=least))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint32", "bool"])
def test_dtypes(device: str, dtype: str) -> None:
    """Neither the greatest element nor a count wraps around."""
    values = np.full(300, 1 if dtype == "bool" else 127).astype(dtype)
    x = T.tensor(dtype, [False], "x")
    result = evaluate(device, [x], T.bincount(x), values)
    np.testing.assert_array_equal(result, np.bincount(values.astype("int64")))


def test_weights(device: str) -> None:
    x, w = T.ivector("x"), T.dvector("w")
    values, weights = VALUES[0].astype("int32"), np.linspace(0.5, 2, 5)
    counts = T.bincount(x, w)
    cost = T.sum(T.sqr(counts))
    result, slope = evaluate(device, [x, w], [counts, T.grad(cost, w)], values, weights)
    exact = np.bincount(values, weights)
    np.testing.assert_allclose(result, exact)
    assert_gradient(slope, 2 * exact[values])


def test_a_negative_element(device: str) -> None:
    x = T.lvector("x")
    for flag in (False, True):
        with pytest.raises(
            ValueError, match=r"(?s)an element is negative.*made at .*test_bincount"
        ):
            evaluate(device, [x], T.bincount(x, assert_nonneg=flag), np.array([1, -1]))
