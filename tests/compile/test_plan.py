"""Plans as text and as data: a whole training step, and what holds of every plan."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.conv2_relu import conv2_relu_step
from helpers.gpu_plans import plan_of, planning_for_cuda
from helpers.graphs import ALL_KERNELS
from helpers.pooled_nets import pooled_inference
from helpers.random_graphs import RandomGraph
from helpers.random_steps import DIFFERENTIABLE
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.compile.memory import ALIGNMENT, Lifetime, assign_offsets
from tinygrad_mnist.compile.pipeline import compile_plan
from tinygrad_mnist.compile.plan import SHARED, TEMPORARY, Plan

GOLDEN = Path(__file__).parent / "golden"


def assert_golden(text: str, name: str) -> None:
    """After a wanted change, TINYGRAD_MNIST_UPDATE_GOLDEN=1 writes the file anew."""
    path = GOLDEN / name
    if os.environ.get("TINYGRAD_MNIST_UPDATE_GOLDEN"):
        path.write_text(text)
    assert text == path.read_text()


def test_a_training_step_is_this_plan() -> None:
    with making_functions_for("fused"):
        step = conv2_relu_step()
    step(0)
    assert_golden(f"{step.plan}\n\n{step.plan.host.text}", "conv2_relu_step.txt")


def test_a_training_step_on_a_gpu_is_this_plan() -> None:
    """With its longest chain of calls: numbers of calls, each of which waits for the one before."""
    with planning_for_cuda():
        plan = plan_of(conv2_relu_step(), 0)
    chains: list[list[int]] = []
    for number, before in enumerate(plan.depends):
        chains.append([*max((chains[k] for k in before), key=len, default=[]), number])
    longest = max(chains, key=len)
    assert_golden(f"{plan}\n\nlongest chain: {longest}\n", "conv2_relu_step_gpu.txt")


def test_inference_with_activations_before_pools_is_this_plan() -> None:
    with making_functions_for("cpu"):
        predict = pooled_inference()
    predict(np.zeros((10, 1, 28, 28), "float32"))
    assert_golden(str(predict.plan), "pooled_inference.txt")


def test_the_native_backend_gets_the_same_plan() -> None:
    plans = []
    for device in ("fused", "cpu"):
        with making_functions_for(device):
            step = conv2_relu_step()
        step(0)
        plans.append(str(step.plan).splitlines()[1:])
    assert plans[0] == plans[1]


def test_a_training_step_costs_the_same_everywhere() -> None:
    costs = []
    for device in ("reference", "fused", "cpu"):
        with making_functions_for(device):
            step = conv2_relu_step()
        costs.append([float(step(number)) for number in (0, 1, 0, 1)])
    np.testing.assert_allclose(costs[1], costs[0], rtol=2e-5)
    np.testing.assert_allclose(costs[2], costs[0], rtol=2e-5)
    assert costs[0][3] < costs[0][1]


def test_a_training_step_allocates_nothing_for_updates() -> None:
    with making_functions_for("fused"):
        step = conv2_relu_step()
    step(0)
    assert not [call for call in step.plan.calls if call.label == "copy"]
    written = {step.plan.buffers[v.buffer].name for c in step.plan.calls for v in c.outputs}
    assert {"w1", "b1", "w2", "b2", "w3", "b3", "w4", "b4"} <= written


def test_equal_plans_compare_equal() -> None:
    x = T.dmatrix("x")

    def plan(shape: tuple[int, int]) -> Plan:
        return compile_plan([T.exp(x) * 2], {}, {x: shape}, {}, "fused", ALL_KERNELS, True).plan

    assert plan((2, 3)) == plan((2, 3))
    assert plan((2, 3)) != plan((3, 2))


def test_flops_add_up() -> None:
    a, b = T.dmatrix("a"), T.dmatrix("b")
    shapes = {a: (3, 4), b: (4, 5)}
    plan = compile_plan([T.dot(a, b) + 1], {}, shapes, {}, "fused", ALL_KERNELS, True).plan
    assert plan.flops == 2 * 3 * 4 * 5 + 3 * 5


# --- what holds of every plan ---------------------------------------------------------------------


def check_plan(plan: Plan) -> None:
    """No two temporaries that live at once overlap; each is written before it is read; range
    checks come before the first write of a shared variable.
    """
    lives: dict[int, list[int]] = {}
    written: set[int] = set()
    for position, call in enumerate(plan.calls):
        for view in call.inputs:
            if plan.buffers[view.buffer].kind == TEMPORARY:
                assert view.buffer in written
        written.update(v.buffer for v in call.outputs)
        for view in (*call.inputs, *call.outputs):
            if plan.buffers[view.buffer].kind == TEMPORARY:
                lives.setdefault(view.buffer, []).append(position)
    spans = [
        (b.offset, b.offset + b.nbytes, positions[0], positions[-1])
        for b, positions in ((plan.buffers[n], p) for n, p in lives.items())
    ]
    assert_disjoint(spans)
    assert all(end <= plan.arena_bytes for _, end, _, _ in spans)
    checks = [p for p, call in enumerate(plan.calls) if call.kernel == "check_range"]
    for position, call in enumerate(plan.calls):
        for view in call.outputs:
            if plan.buffers[view.buffer].kind == SHARED:
                assert all(check < position for check in checks)


def assert_disjoint(spans: list[tuple[int, int, int, int]]) -> None:
    """Spans (start, end, first use, last use) share memory only at different times."""
    for number, (start, end, first, last) in enumerate(spans):
        for other_start, other_end, other_first, other_last in spans[:number]:
            together = first <= other_last and other_first <= last
            assert not (together and start < other_end and other_start < end)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n_steps=st.integers(5, 30))
def test_memory_of_random_plans(seed: int, n_steps: int) -> None:
    graph = RandomGraph(Random(seed), n_steps, DIFFERENTIABLE)
    outputs = graph.cost_and_gradients()
    for fuse in (False, True):
        shapes = {v: a.shape for v, a in zip(graph.inputs, graph.values, strict=True)}
        check_plan(compile_plan(outputs, {}, shapes, {}, "any", ALL_KERNELS, fuse).plan)


@pytest.mark.parametrize("device", ["reference", "fused"])
def test_memory_of_a_training_step(device: str) -> None:
    with making_functions_for(device):
        step = conv2_relu_step()
    step(0)
    check_plan(step.plan)


LIFETIMES = st.lists(
    st.tuples(st.integers(0, 500), st.integers(0, 20), st.integers(0, 20)), max_size=40
)


@settings(max_examples=300, deadline=None)
@given(LIFETIMES)
def test_offsets_never_overlap(items: list[tuple[int, int, int]]) -> None:
    lifetimes = [Lifetime(n, min(a, b), max(a, b)) for n, a, b in items]
    total = assign_offsets(lifetimes)
    spans = [(t.offset, t.offset + t.nbytes, t.first, t.last) for t in lifetimes]
    assert_disjoint(spans)
    assert all(t.offset % ALIGNMENT == 0 and t.offset + t.nbytes <= total for t in lifetimes)
    busiest = max(sum(n for n, a, b in items if min(a, b) <= p <= max(a, b)) for p in range(21))
    assert total >= busiest


def test_the_peak_is_temporaries_and_outputs() -> None:
    x = T.dvector("x")
    hidden = T.tanh(x[::-1])
    outputs = [hidden, T.sum(hidden), T.cumsum(T.cumsum(x)[::-1])]
    plan = compile_plan(outputs, {}, {x: (100,)}, {}, "any", ALL_KERNELS, True).plan
    assert plan.output_bytes == 8 * (100 + 1 + 100)
    assert plan.arena_bytes >= 8 * 100
    assert plan.peak_bytes == plan.output_bytes + plan.arena_bytes


def test_memory_is_used_again() -> None:
    chain = [Lifetime(640, position, position + 1) for position in range(10)]
    assert assign_offsets(chain) == 2 * 640
