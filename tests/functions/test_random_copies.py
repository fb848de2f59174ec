"""Random expressions and their gradients: copies of every kind compute the same, bit for bit."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import numpy as np
import pytest
from helpers.random_graphs import RandomGraph
from helpers.random_integer_steps import INTEGERS
from helpers.random_steps import DIFFERENTIABLE, JUMPING
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
from tinygrad_mnist import Variable
from tinygrad_mnist.functions.clone import clone
from tinygrad_mnist.functions.test_values import get_test_value
from tinygrad_mnist.graph.clone import clone as clone_graph
from tinygrad_mnist.graph.traversal import toposort

Graph = tuple[Sequence[Variable], Sequence[Variable]]  # inputs and outputs

COPIES: dict[str, Callable[[Graph], Graph]] = {
    "pickle": lambda graph: pickle.loads(pickle.dumps(graph)),
    "deepcopy": copy.deepcopy,
    "clone": lambda graph: (graph[0], clone(list(graph[1]))),
    "gof": lambda graph: clone_graph(*graph),
}
SEEDS, STEPS = st.integers(0, 2**32 - 1), st.integers(1, 16)


def drawn(seed: int, n_steps: int, single: bool) -> tuple[RandomGraph, Graph]:
    """Expressions of all kinds, and gradients of some."""
    graph = RandomGraph(Random(seed), n_steps, DIFFERENTIABLE + JUMPING + INTEGERS, single)
    smooth = RandomGraph(Random(seed), n_steps, DIFFERENTIABLE, single)
    inputs = [*graph.inputs, *smooth.inputs]
    outputs = [*(item.v for item in graph.outputs()), *smooth.cost_and_gradients()]
    graph.values += smooth.values
    return graph, (inputs, outputs)


def computed(graph: Graph, values: Sequence[Any]) -> list[Any]:
    theano.config.device = "reference"
    inputs, outputs = graph
    function = theano.function(list(inputs), list(outputs), on_unused_input="ignore")
    results: list[Any] = function(*values)
    return results


@pytest.mark.parametrize("kind", COPIES)
@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, n_steps=STEPS, single=st.booleans())
def test_copies(kind: str, seed: int, n_steps: int, single: bool) -> None:
    graph, pair = drawn(seed, n_steps, single)
    expected = computed(pair, graph.values)
    for result, exact in zip(computed(COPIES[kind](pair), graph.values), expected, strict=True):
        assert result.dtype == exact.dtype
        np.testing.assert_array_equal(result, exact)


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, n_steps=STEPS, single=st.booleans())
def test_test_values(seed: int, n_steps: int, single: bool) -> None:
    """Each result's test value is what a function computes, in its type."""
    graph, (inputs, outputs) = drawn(seed, n_steps, single)
    for v, value in zip(inputs, graph.values, strict=True):
        v.tag.test_value = value
    theano.config.compute_test_value = "raise"
    try:
        copied = clone_by_ops(inputs, outputs)
    finally:
        theano.config.compute_test_value = "off"
    expected = computed((inputs, outputs), graph.values)
    for v, exact in zip(copied, expected, strict=True):
        value = get_test_value(v)
        assert value.dtype == exact.dtype == v.dtype
        scale = 1 + float(np.abs(exact).max(initial=0))
        np.testing.assert_allclose(value, exact, rtol=1e-6, atol=1e-6 * scale)


def clone_by_ops(inputs: Sequence[Variable], outputs: Sequence[Variable]) -> list[Variable]:
    """The same expressions, each node made by its op as a program makes it."""
    made: dict[Variable, Variable] = {v: v for v in inputs}
    for node in toposort(outputs):
        twin = node.op.node(*(made.get(v, v) for v in node.inputs), **node.params)
        made.update(zip(node.outputs, twin.outputs, strict=True))
    return [made.get(v, v) for v in outputs]
