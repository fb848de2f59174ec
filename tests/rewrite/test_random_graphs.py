"""Random expressions: every way to compute them gives the same numbers."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from helpers.expressions import evaluate
from helpers.random_graphs import RandomGraph
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist.tensor as T  # noqa: N812

SEEDS, STEPS = st.integers(0, 2**32 - 1), st.integers(1, 14)


def compare(device: str, graph: RandomGraph, outputs: list[T.Variable]) -> None:
    """What `device` computes is what the oracle does, which rewrites nothing."""
    expected, results = (
        evaluate(d, graph.inputs, outputs, *graph.values, on_unused_input="ignore")
        for d in ("reference", device)
    )
    for result, exact in zip(results, expected, strict=True):
        assert result.dtype == exact.dtype
        scale = 1 + np.abs(exact).max(initial=0)
        np.testing.assert_allclose(result, exact, rtol=1e-8, atol=1e-10 * scale)


@pytest.mark.parametrize("device", ["fused", "cpu"])
@settings(max_examples=100, deadline=None)
@given(seed=SEEDS, n_steps=STEPS)
def test_values(device: str, seed: int, n_steps: int) -> None:
    graph = RandomGraph(Random(seed), n_steps, smooth=False)
    compare(device, graph, graph.outputs())


@pytest.mark.parametrize("device", ["fused", "cpu"])
@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, n_steps=STEPS)
def test_gradients(device: str, seed: int, n_steps: int) -> None:
    graph = RandomGraph(Random(seed), n_steps, smooth=True)
    cost = T.sum(T.tanh(graph.outputs()[0]) * 1.5)
    gradients = T.grad(cost, graph.inputs, disconnected_inputs="ignore")
    compare(device, graph, [cost, *gradients])


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n_steps=STEPS)
def test_directional_derivatives(seed: int, n_steps: int) -> None:
    graph = RandomGraph(Random(seed), n_steps, smooth=True)
    cost = T.sum(T.tanh(graph.outputs()[0]) * 1.5)
    gradients = evaluate(
        "fused",
        graph.inputs,
        T.grad(cost, graph.inputs, disconnected_inputs="ignore"),
        *graph.values,
        on_unused_input="ignore",
    )
    rng = np.random.default_rng(seed)
    direction = [rng.normal(size=v.shape) for v in graph.values]
    step = 1e-5
    before, after = (
        evaluate(
            "reference",
            graph.inputs,
            cost,
            *(v + s * d for v, d in zip(graph.values, direction, strict=True)),
            on_unused_input="ignore",
        )
        for s in (-step, step)
    )
    slope = sum(float(np.sum(g * d)) for g, d in zip(gradients, direction, strict=True))
    assert (after - before) / (2 * step) == pytest.approx(slope, rel=1e-6, abs=1e-6)
