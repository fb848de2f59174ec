"""Random expressions: every way to compute them gives the same numbers."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import evaluate
from helpers.native import TARGETS
from helpers.native import settings as native_settings
from helpers.random_array_steps import EXACT_ARRAYS, KINKED_ARRAYS, SMOOTH_ARRAYS
from helpers.random_graphs import MAX_DEPTH, RandomGraph
from helpers.random_integer_steps import INTEGERS
from helpers.random_steps import JUMPING, KINKED
from helpers.random_steps import SMOOTH as SMOOTH_FLOATS
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import _native, config

SEEDS, STEPS = st.integers(0, 2**32 - 1), st.integers(1, 16)
SMOOTH = SMOOTH_FLOATS + SMOOTH_ARRAYS
DIFFERENTIABLE = SMOOTH + KINKED + KINKED_ARRAYS
ALL = DIFFERENTIABLE + JUMPING + INTEGERS + EXACT_ARRAYS


def compare(device: str, graph: RandomGraph, outputs: list[T.Variable], rough: bool) -> None:
    """What `device` computes is what the oracle does, which rewrites nothing.

    rough: something is computed in float32.
    """
    expected, results = (
        evaluate(d, graph.inputs, outputs, *graph.values, on_unused_input="ignore")
        for d in ("reference", device)
    )
    for result, exact in zip(results, expected, strict=True):
        assert result.dtype == exact.dtype
        scale = 1 + (np.abs(exact).max(initial=0) if exact.dtype.kind == "f" else 0)
        rtol, atol = (1e-4, 1e-4) if rough else (1e-8, 1e-10)
        if exact.dtype.kind == "f":
            np.testing.assert_allclose(result, exact, rtol=rtol, atol=atol * scale)
        else:
            np.testing.assert_array_equal(result, exact)


@pytest.mark.parametrize("device", ["fused", "cpu"])
@settings(max_examples=70, deadline=None)
@given(seed=SEEDS, n_steps=STEPS, single=st.booleans())
def test_values(device: str, seed: int, n_steps: int, single: bool) -> None:
    graph = RandomGraph(Random(seed), n_steps, ALL, single)
    compare(device, graph, [item.v for item in graph.outputs()], graph.rough)


@pytest.mark.parametrize("device", ["fused", "cpu"])
@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n_steps=STEPS, single=st.booleans())
def test_gradients(device: str, seed: int, n_steps: int, single: bool) -> None:
    graph = RandomGraph(Random(seed), n_steps, DIFFERENTIABLE, single)
    compare(device, graph, graph.cost_and_gradients(), graph.rough)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, n_steps=STEPS)
def test_directional_derivatives(seed: int, n_steps: int) -> None:
    graph = RandomGraph(Random(seed), n_steps, SMOOTH)
    cost, *gradients = graph.cost_and_gradients()
    options = {"on_unused_input": "ignore"}
    slopes = evaluate("fused", graph.inputs, gradients, *graph.values, **options)
    rng = np.random.default_rng(seed)
    floats = [v for v in graph.values if v.dtype.kind == "f"]
    rest = graph.values[len(floats) :]
    direction = [rng.normal(size=v.shape) for v in floats]
    step = 1e-5
    with making_functions_for("reference"):
        function = theano.function(graph.inputs, cost, **options)
    before, after = (
        function(*(v + s * d for v, d in zip(floats, direction, strict=True)), *rest)
        for s in (-step, step)
    )
    slope = sum(float(np.sum(g * d)) for g, d in zip(slopes, direction, strict=True))
    assert (after - before) / (2 * step) == pytest.approx(slope, rel=1e-6, abs=1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, n_steps=STEPS, target=st.sampled_from(TARGETS))
def test_same_bits_for_any_number_of_threads(seed: int, n_steps: int, target: str) -> None:
    graph = RandomGraph(Random(seed), n_steps, DIFFERENTIABLE, single=True)
    with making_functions_for("cpu"):
        function = theano.function(
            graph.inputs, graph.cost_and_gradients(), on_unused_input="ignore"
        )
    results = []
    with native_settings(target):
        for threads in (1, 2, 4):
            config.threads = threads
            results.append(function(*graph.values))
            assert _native.threads() == threads
    for again in results[1:]:
        for a, b in zip(again, results[0], strict=True):
            np.testing.assert_array_equal(a, b)


def test_depth() -> None:
    """Expressions are up to MAX_DEPTH words deep, and many are."""
    depths = [
        max(item.depth for item in RandomGraph(Random(seed), 1 + seed % 20, ALL).pool)
        for seed in range(100)
    ]
    assert max(depths) == MAX_DEPTH
    assert sorted(depths)[50] >= 5
    assert set(depths) == set(range(1, MAX_DEPTH + 1))
