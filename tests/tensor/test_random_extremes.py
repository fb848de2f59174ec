"""Distributions at the ends of what a uniform draw gives, and draws that have nothing in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.contracts.core.philox import philox4x32, uniform
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.tensor import distributions
from tinygrad_mnist.tensor.random_source import Source
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

GREATEST = {"float32": 1 - 2.0**-24, "float64": 1 - 2.0**-53}


class Given(Source):
    """A source whose draws are all the least number that there is, 0, or all the greatest."""

    def __init__(self, is_greatest: bool) -> None:
        super().__init__(1)
        self.is_greatest = is_greatest

    def draw(self, lengths: Sequence[Variable], dtype: str) -> Variable:
        return T.alloc(np.array(self.is_greatest * GREATEST[dtype], dtype), *lengths)


@pytest.mark.parametrize("dtype", GREATEST)
def test_ends_of_a_draw(device: str, dtype: str) -> None:
    zero, greatest = Given(False), Given(True)

    def value(make: Any, source: Source, *arguments: Any) -> float:
        return float(theano.function([], make(source, (3,), *arguments))()[0])

    floats = (-2.0, 3.0, None, dtype)
    assert value(distributions.uniform, zero, *floats) == -2
    assert value(distributions.uniform, greatest, *floats) <= 3
    # Box and Muller: the radius is 0, or the longest that there is.
    assert value(distributions.normal, zero, *floats) == -2
    bits = 24 if dtype == "float32" else 53
    longest = np.sqrt(2 * bits * np.log(2))
    assert value(distributions.normal, greatest, *floats) == pytest.approx(-2 + 3 * longest)
    for source, end in ((zero, -2), (greatest, 2)):
        drawn = value(distributions.truncated_normal, source, 1.0, 3.0, None, dtype)
        assert drawn == pytest.approx(1 + end * 3, rel=1e-5)
    for p in (0.0, 1.0, 0.5):
        is_success = [
            value(distributions.binomial, source, 1, p, None, "int64")
            for source in (zero, greatest)
        ]
        assert is_success == [p > 0, p == 1]
    assert value(distributions.poisson, greatest, 2.0, None, "int64") == 0
    assert value(distributions.poisson, zero, 2.0, None, "int64") > 30  # no time passes


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_beyond_32_bits(dtype: str) -> None:
    """Elements from number 2**34 on (2**33 of float64) use the counter's second word."""
    per_block = 4 if dtype == "float32" else 2
    blocks = [0, 1, 2**32 - 1, 2**32, 2**32 + 1, 5 * 2**32 + 7]
    step, key = 3 * 2**32 + 11, 2**63 + 5
    index = np.array([[per_block * b + k for k in range(per_block)] for b in blocks])
    drawn = uniform(dtype, index, step, key)
    counters = np.array([[b % 2**32, b >> 32, 11, 3] for b in blocks], "uint32")
    words = philox4x32(counters, (5, 2**31)).astype("uint64")
    if dtype == "float32":
        expected = (words >> 8) / 2**24
    else:
        expected = ((words[:, ::2] >> 5) * 2**26 + (words[:, 1::2] >> 6)) / 2**53
    np.testing.assert_array_equal(drawn, expected)


def test_draws_have_nothing_in_common(device: str) -> None:
    """Of several seeds, draws of one function, calls and copies: no number is in two of them, and
    none predicts another."""
    n = 2000
    drawn: dict[str, Any] = {}
    for seed in (0, 1, 2, 2**32, 2**32 + 1, 2**64 - 1):
        stream = RandomStreams(seed)
        function = theano.function([], [stream.uniform((n,), dtype="float64") for _ in range(3)])
        for call in range(3):
            for k, values in enumerate(function()):
                drawn[f"seed {seed}, call {call}, draw {k}"] = values
    together = np.stack(list(drawn.values()))
    assert len(np.unique(together)) == together.size
    correlations = np.corrcoef(together)
    np.fill_diagonal(correlations, 0)
    assert np.abs(correlations).max() < 5.5 / np.sqrt(n)  # of 1,431 pairs
