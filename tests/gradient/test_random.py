"""Random expressions: the products with a Jacobian and the Jacobian itself agree."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from helpers.expressions import AnyArray, evaluate
from helpers.random_graphs import RandomGraph
from helpers.random_integer_steps import INTEGERS
from helpers.random_steps import DIFFERENTIABLE, JUMPING
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.autodiff import map_rows

SEEDS, STEPS = st.integers(0, 2**32 - 1), st.integers(1, 10)
MAX_ROWS = 40


def assert_equal(result: AnyArray, expected: AnyArray) -> None:
    scale = 1 + np.abs(expected).max(initial=0)
    np.testing.assert_allclose(result, expected, rtol=1e-8, atol=1e-9 * scale)


@pytest.mark.parametrize("device", ["reference", "cpu"])
@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n_steps=STEPS)
def test_products_from_the_left_and_the_right(device: str, seed: int, n_steps: int) -> None:
    """u (J v) is (u J) v, for inputs of all dtypes and results that may be integers."""
    graph = RandomGraph(Random(seed), n_steps, DIFFERENTIABLE + JUMPING + INTEGERS)
    rng = np.random.default_rng(seed)
    functions = [item.v for item in graph.outputs()]
    shapes = {item.v: item.shape for item in graph.pool}
    left = [rng.normal(size=shapes[f]) for f in functions]
    right = [rng.normal(size=v.shape) for v in graph.values]
    forward = T.Rop(functions, graph.inputs, right)
    backward = T.Lop(functions, graph.inputs, left, disconnected_inputs="ignore")
    results = evaluate(
        device, graph.inputs, [*forward, *backward], *graph.values, on_unused_input="ignore"
    )
    count = len(functions)
    by_left = sum(np.sum(u * r) for u, r in zip(left, results[:count], strict=True))
    by_right = sum(np.sum(v * r) for v, r in zip(right, results[count:], strict=True))
    for r, f in zip(results[:count], functions, strict=True):
        assert r.shape == shapes[f]
    assert_equal(np.asarray(by_left), np.asarray(by_right))


@settings(max_examples=40, deadline=None)
@given(seed=SEEDS, n_steps=STEPS)
def test_rows_at_once_and_written_out(seed: int, n_steps: int) -> None:
    graph = RandomGraph(Random(seed), n_steps, DIFFERENTIABLE + JUMPING)
    item = graph.outputs()[0]
    n_rows = int(np.prod(item.shape))
    y = item.v.flatten()[: min(n_rows, MAX_ROWS)]
    options = {"disconnected_inputs": "ignore"}
    at_once = T.jacobian(y, graph.inputs, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(map_rows, "batched", lambda rows, results: None)
        written_out = T.jacobian(y, graph.inputs, **options)
    one = evaluate("cpu", graph.inputs, at_once, *graph.values, on_unused_input="ignore")
    other = evaluate("cpu", graph.inputs, written_out, *graph.values, on_unused_input="ignore")
    for a, b, value in zip(one, other, graph.values, strict=True):
        assert a.shape == b.shape == (min(n_rows, MAX_ROWS), *value.shape)
        assert_equal(a, b)
