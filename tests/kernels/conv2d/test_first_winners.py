"""A convolution fused with a pool that keeps the first winner of each window alone: the same as the
pool behind the convolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.convolutions import AWKWARD, POOLS, Case, cases
from helpers.epilogues import EPILOGUES, epilogue
from helpers.layouts import relaid
from helpers.native import TARGETS, expect, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec

MORE_POOLS = [*POOLS, (5, 4), (1, 1)]  # (5, 4): masks of three bytes


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=50)
@given(
    case=cases(pooled=True),
    kind=st.sampled_from(EPILOGUES),
    biased=st.booleans(),
    strided=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_convolution(case, target, kind, biased, strided, seed):
    rng = np.random.default_rng(seed)
    operands = [case.operand(rng, spec, strided, whole=True) for spec in (case.x, case.w)]
    if biased:
        bias = case.operand(rng, ArraySpec(case.dtype, (case.o,)), strided, whole=True)
        bias[rng.random(case.o) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
        operands.append(bias)
    name = "conv2d_bias_pool" if biased else "conv2d_pool"
    tail = epilogue(kind, rng, case.y.shape, case.dtype, bias_axis=1, whole=True)
    inputs, params = [*operands, *tail.extras], {**case.params(tail.tape), "first": 1}
    exact = expect(name, inputs, [case.y, case.winners], params)
    output = relaid(poisoned(case.y), rng) if tail.output is None else tail.output
    mask = relaid(poisoned(case.winners), rng) if strided else case.winners
    y, winners = run_kernel(name, inputs, [output, mask], params, target)
    np.testing.assert_array_equal(y, exact[0])
    np.testing.assert_array_equal(winners, exact[1])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pool", MORE_POOLS)
@pytest.mark.parametrize("case", AWKWARD)
def test_the_first_position_of_constant_images(case, pool, dtype, target):
    rng = np.random.default_rng(2)
    case = replace(case, dtype=dtype, padding=(0, 0), pool=pool)
    x = np.broadcast_to(rng.standard_normal((1, case.c, 1, 1)), case.x.shape).astype(dtype)
    w = case.operand(rng, case.w, False)
    bias = case.operand(rng, ArraySpec(dtype, (case.o,)), False)
    for name, inputs in (("conv2d_pool", [x, w]), ("conv2d_bias_pool", [x, w, bias])):
        params = {**case.params(), "first": 1}
        winners = run_kernel(name, inputs, [case.y, case.winners], params, target)[1]
        assert (winners[..., 0] == 1).all()
        assert not winners[..., 1:].any()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("pool", MORE_POOLS)
@pytest.mark.parametrize("case", AWKWARD)
def test_same_bits_as_the_pool_behind_the_convolution(case, pool, target):
    """A black border, in which patches are equal, and NaN in a few pixels."""
    rng = np.random.default_rng(3)
    x, w = case.operand(rng, case.x, False), case.operand(rng, case.w, False)
    x[:, :, : case.image[0] // 2] = 0
    x[0, 0, -2:, -2:] = np.nan
    dense = run_kernel("conv2d", [x, w], [case.y], case.params(), target)
    case = replace(case, pool=pool)
    geometry = {"window": pool, "stride": pool, "padding": (0, 0), "first": 1}
    expected = run_kernel("pool2d", dense, [case.y, case.winners], geometry, target)
    params = {**case.params(), "first": 1}
    for threads in (1, 2, 4):
        fused = run_kernel("conv2d_pool", [x, w], [case.y, case.winners], params, target, threads)
        for result, wanted in zip(fused, expected, strict=True):
            np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("pool", [(2, 2), (3, 2)])
def test_the_first_nan_wins(pool, target):
    case = Case(1, 1, (8, 8), 9, (1, 1), pool=pool)
    x = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8)
    x[0, 0, 1, 0] = x[0, 0, 1, 1] = np.nan
    w, params = np.ones(case.w.shape, np.float32), {**case.params(), "first": 1}
    y, winners = run_kernel("conv2d_pool", [x, w], [case.y, case.winners], params, target)
    assert np.isnan(y[0, :, 0, 0]).all()
    assert (winners[0, :, 0, 0, 0] == 0b0100).all()


@pytest.mark.parametrize("name", ["conv2d_pool_grad_input", "conv2d_pool_grad_filter"])
def test_a_gradient_refuses_the_parameter(name):
    """It is about who wins, which the mask says."""
    case = Case(1, 1, (6, 6), 3, (3, 3), pool=(2, 2))
    rng = np.random.default_rng(0)
    first = case.w if name.endswith("input") else case.x
    output = case.x if name.endswith("input") else case.w
    inputs = [np.zeros(spec.shape, np.float32) for spec in (first, case.y)]
    params = {**case.params(), "pool": (2, 2, 1)}
    with pytest.raises(ValueError, match="takes 7 integer parameters"):
        run_kernel(name, [*inputs, case.random_winners(rng, False)], [output], params)
