"""Grouping: small independent reductions become one call, and nothing else changes."""

from __future__ import annotations

from random import Random
from typing import Any

import numpy as np
from helpers.backends import making_functions_for
from helpers.graphs import ALL_KERNELS
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.compile.call_graph import CallGraph
from tinygrad_mnist.compile.group import MAX_ELEMENTS, MAX_MEMBERS, group_calls
from tinygrad_mnist.compile.plan import KernelCall, View
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.layout import contiguous

IDENTITY = Tape.identity("float32")
SOURCE = 100  # a buffer that no call writes
PARAMS = {"op": 0, "axes_mask": 1, "n_prologue": 1, "prologue": IDENTITY, "epilogue": IDENTITY}


def call(kernel: str, source: int, target: int, size: int = 8) -> KernelCall:
    read = View(source, "float32", contiguous((size,)))
    written = View(target, "float32", contiguous((1,)))
    return KernelCall(kernel, (read,), (written,), PARAMS)


def grouped(
    calls: list[KernelCall], depends: list[set[int]], kernels: frozenset[str] = ALL_KERNELS
) -> tuple[list[KernelCall], list[set[int]]]:
    """The calls with groups, in order, and for each the calls that it waits for."""
    graph = CallGraph()
    for item, before in zip(calls, depends, strict=True):
        graph.add(item, after=before)
    group_calls(graph, kernels)
    order = graph.order()
    return [graph[n] for n in order], [{order.index(d) for d in graph.waits(n)} for n in order]


def kernels(calls: list[KernelCall]) -> list[str]:
    return [c.kernel for c in calls]


def test_independent_reductions_are_one_call() -> None:
    calls = [call("reduce", 0, 1), call("gemm", 0, 2), call("reduce", 2, 3), call("gemm", 3, 4)]
    joined, depends = grouped(calls, [set(), set(), {1}, {2}])
    assert kernels(joined) == ["gemm", "grouped_reduce", "gemm"]
    assert depends == [set(), {0}, {1}]
    group = joined[1]
    assert [v.buffer for v in group.inputs] == [0, 2]
    assert [v.buffer for v in group.outputs] == [1, 3]
    assert group.params["op"] == (0, 0)
    assert group.flops == calls[0].flops + calls[2].flops


def test_a_backend_without_the_kernel_of_a_group() -> None:
    calls, depends = [call("reduce", 0, 1), call("reduce", 0, 2)], [set[int](), set[int]()]
    assert grouped(calls, depends, ALL_KERNELS - {"grouped_reduce"}) == (calls, depends)


def test_a_reduction_that_waits_for_another_stays_out() -> None:
    """Also where it waits through other calls."""
    calls = [call("reduce", 0, 1), call("gemm", 1, 2), call("reduce", 2, 3)]
    assert grouped(calls, [set(), {0}, {1}]) == (calls, [set(), {0}, {1}])


@given(st.integers(0, 2**32 - 1))
def test_nothing_waits_in_a_cycle(seed: int) -> None:
    """Of any calls that wait for earlier ones: every result stays, and an order exists."""
    random = Random(seed)
    n = random.randrange(1, 16)
    calls = [call(random.choice(["reduce", "reduce", "gemm"]), SOURCE, k) for k in range(n)]
    depends = [{d for d in range(k) if random.random() < 0.2} for k in range(n)]
    joined, waits = grouped(calls, depends)
    assert sorted(v.buffer for c in joined for v in c.outputs) == list(range(n))
    done: set[int] = set()
    while len(done) < len(joined):
        ready = {i for i, d in enumerate(waits) if i not in done and d <= done}
        assert ready, "calls wait in a cycle"
        done |= ready


def test_several_groups_in_a_row() -> None:
    calls = [call("reduce", SOURCE, k) for k in range(4)]
    joined, depends = grouped(calls, [set(), set(), {0}, {1}])
    assert kernels(joined) == ["grouped_reduce", "grouped_reduce"]
    assert depends == [set(), {0}]


def test_a_first_reduction_that_goes_with_none() -> None:
    """All others wait for it; they are joined all the same."""
    calls = [call("reduce", SOURCE, k) for k in range(3)]
    joined, depends = grouped(calls, [set(), {0}, {0}])
    assert kernels(joined) == ["reduce", "grouped_reduce"]
    assert depends == [set(), {0}]


def test_large_and_too_many_stay_apart() -> None:
    large = [call("reduce", SOURCE, k, MAX_ELEMENTS + 1) for k in range(3)]
    assert kernels(grouped(large, [set()] * 3)[0]) == ["reduce"] * 3
    many = [call("reduce", SOURCE, k) for k in range(MAX_MEMBERS + 3)]
    sizes = [len(c.outputs) for c in grouped(many, [set() for _ in many])[0]]
    assert sorted(sizes) == [3, MAX_MEMBERS]


def updating(rng: np.random.Generator) -> Any:
    """Updates of three sums in place, and a sum that is returned."""
    x = T.matrix("x")
    totals = [theano.shared(rng.normal(size=7).astype("float32")) for _ in range(3)]
    updates = [(t, t - k * T.sum(x * (k + 1), axis=0)) for k, t in enumerate(totals, 1)]
    return totals, theano.function([x], T.sum(T.sqr(totals[0])), updates=updates)


def test_updates_in_a_group_happen_in_place() -> None:
    """The old value is summed beside its update, so that update must wait for it."""
    value = np.random.default_rng(0).normal(size=(5, 7)).astype("float32")
    results = {}
    for device in ("reference", "cpu"):
        with making_functions_for(device):
            totals, step = updating(np.random.default_rng(1))
        outputs = [step(value), step(value)]
        results[device] = [*outputs, *(t.get_value() for t in totals)]
    assert "grouped_reduce" in [c.kernel for c in step.plan.calls]
    for ours, theirs in zip(results["cpu"], results["reference"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-6)
