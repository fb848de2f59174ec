"""Grouping: small independent reductions become one call, and nothing else changes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random
from typing import Any

import numpy as np
from helpers.backends import making_functions_for
from helpers.graphs import ALL_KERNELS
from helpers.random_graphs import RandomGraph
from helpers.random_steps import DIFFERENTIABLE
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.compile.call_graph import CallGraph
from tinygrad_mnist.compile.group import MAX_ELEMENTS, MAX_MEMBERS, group_calls
from tinygrad_mnist.compile.group import _independent as independent
from tinygrad_mnist.compile.pipeline import compile_plan
from tinygrad_mnist.compile.plan import KernelCall, Plan, View
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.layout import contiguous
from tinygrad_mnist.graph.traversal import substitute

IDENTITY = Tape.identity("float32")
SOURCE = 100  # a buffer that no call writes
PARAMS = {"op": 0, "axes_mask": 1, "n_prologue": 1, "prologue": IDENTITY, "epilogue": IDENTITY}


def call(kernel: str, source: int, target: int, size: int = 8) -> KernelCall:
    read = View(source, "float32", contiguous((size,)))
    written = View(target, "float32", contiguous((1,)))
    return KernelCall(kernel, (read,), (written,), PARAMS)


def grouped(
    calls: list[KernelCall],
    depends: list[set[int]],
    kernels: frozenset[str] = ALL_KERNELS,
    keeps_depth: bool = False,
) -> tuple[list[KernelCall], list[set[int]]]:
    """The calls with groups, in order, and for each the calls that it waits for."""
    graph = CallGraph()
    for item, before in zip(calls, depends, strict=True):
        graph.add(item, after=before)
    group_calls(graph, kernels, keeps_depth)
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


def random_calls(seed: int) -> tuple[list[KernelCall], list[set[int]]]:
    """Any calls that wait for earlier ones."""
    random = Random(seed)
    n = random.randrange(1, 16)
    calls = [call(random.choice(["reduce", "reduce", "gemm"]), SOURCE, k) for k in range(n)]
    return calls, [{d for d in range(k) if random.random() < 0.2} for k in range(n)]


@given(st.integers(0, 2**32 - 1), st.booleans())
def test_nothing_waits_in_a_cycle(seed: int, keeps_depth: bool) -> None:
    """Every result stays, and an order exists."""
    calls, depends = random_calls(seed)
    n = len(calls)
    joined, waits = grouped(calls, depends, keeps_depth=keeps_depth)
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


# --- the longest chain of calls -----------------------------------------------------------------


def depth(waits: Sequence[Collection[int]]) -> int:
    """Calls in the longest chain, each of which waits for the one before it."""
    depths: list[int] = []
    for before in waits:
        depths.append(1 + max((depths[k] for k in before), default=0))
    return max(depths, default=0)


@given(st.integers(0, 2**32 - 1))
def test_no_chain_becomes_longer(seed: int) -> None:
    calls, depends = random_calls(seed)
    _, waits = grouped(calls, depends, keeps_depth=True)
    assert depth(waits) == depth(depends)


def test_what_is_equally_far_from_the_end_is_joined() -> None:
    """Results 0 and 1 could be there at once, result 3 only after a product, and a product waits
    for result 0."""
    calls = [call("reduce", SOURCE, 0), call("reduce", SOURCE, 1), call("gemm", SOURCE, 2)]
    calls += [call("reduce", 2, 3), call("gemm", 0, 4)]
    depends: list[set[int]] = [set(), set(), set(), {2}, {0}]
    joined, waits = grouped(calls, depends)
    assert kernels(joined) == ["gemm", "grouped_reduce", "gemm"]
    assert depth(waits) == 3
    joined, waits = grouped(calls, depends, keeps_depth=True)
    assert [[v.buffer for v in c.outputs] for c in joined] == [[0], [2], [1, 3], [4]]
    assert depth(waits) == 2


def test_groups_of_one_height_are_not_too_large() -> None:
    many = [call("reduce", SOURCE, k) for k in range(2 * MAX_MEMBERS + 1)]
    joined, _ = grouped(many, [set() for _ in many], keeps_depth=True)
    assert sorted(len(c.outputs) for c in joined) == [1, MAX_MEMBERS, MAX_MEMBERS]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_steps=st.integers(5, 30), n_updates=st.integers(0, 5))
def test_plans_are_as_deep_as_without_groups(seed: int, n_steps: int, n_updates: int) -> None:
    """Also where temporaries share memory, with updates and with range checks."""
    graph = RandomGraph(Random(seed), n_steps, DIFFERENTIABLE)
    cost, *gradients = graph.cost_and_gradients()
    values = dict(zip(graph.inputs, graph.values, strict=True))
    floats = [x for x in graph.inputs if x.dtype.startswith("float")]
    shared = {
        x: theano.shared(values[x], broadcastable=x.broadcastable) for x in floats[:n_updates]
    }
    outputs = substitute([cost, *gradients], shared)
    updates = {s: s - 0.5 * g for s, g in zip(shared.values(), outputs[1:], strict=False)}
    shapes = {shared.get(x, x): value.shape for x, value in values.items()}

    def plan(kernels: frozenset[str]) -> Plan:
        results = [outputs[0], *outputs[1 + n_updates :]]
        options = (shapes, {}, "any", kernels, True)
        return compile_plan(results, updates, *options, keeps_depth=True).plan

    joined, apart = plan(ALL_KERNELS), plan(ALL_KERNELS - {"grouped_reduce"})
    assert depth(joined.depends) == depth(apart.depends)
    assert len(joined.calls) <= len(apart.calls)


@given(st.integers(1, 9), st.data())
def test_calls_that_are_chosen_are_independent(n: int, data: st.DataObject) -> None:
    waits = [
        data.draw(st.sets(st.integers(0, i - 1), max_size=2)) if i else set() for i in range(n)
    ]
    graph = CallGraph()
    for after in waits:
        graph.add(KernelCall("reduce", (), (), {}), after)
    candidates = data.draw(st.permutations(range(n)))
    chosen, before = independent(graph, candidates, ())
    assert chosen[0] == candidates[0]
    assert before == graph.ancestors(chosen)
    for number in chosen:
        assert graph.ancestors([number]) & set(chosen) == {number}
