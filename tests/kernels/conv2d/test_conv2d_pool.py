from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.convolutions import AWKWARD, POOLS, Case, cases
from helpers.epilogues import EPILOGUES, epilogue
from helpers.layouts import relaid
from helpers.native import TARGETS, assert_near, expect, run_kernel
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned


@pytest.mark.covers("conv2d_pool")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=50)
@given(
    case=cases(pooled=True),
    kind=st.sampled_from(EPILOGUES),
    strided=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_convolution(case, target, kind, strided, seed):
    # Small integers: every sum is exact, and so are ties and winners.
    rng = np.random.default_rng(seed)
    x, w = (case.operand(rng, spec, strided, whole=True) for spec in (case.x, case.w))
    tail = epilogue(kind, rng, case.y.shape, case.dtype, bias_axis=1, whole=True)
    inputs, params = [x, w, *tail.extras], case.params(tail.tape)
    exact, exact_winners = expect("conv2d_pool", inputs, [case.y, case.winners], params)
    output = relaid(poisoned(case.y), rng) if tail.output is None else tail.output
    mask = relaid(poisoned(case.winners), rng) if strided else case.winners
    y, winners = run_kernel("conv2d_pool", inputs, [output, mask], params, target)
    np.testing.assert_array_equal(y, exact)
    np.testing.assert_array_equal(winners, exact_winners)


@given(case=cases(pooled=True), target=st.sampled_from(TARGETS), seed=st.integers(0, 2**32 - 1))
def test_normal_numbers_without_winners(case, target, seed):
    rng = np.random.default_rng(seed)
    inputs = [case.operand(rng, case.x, False), case.operand(rng, case.w, False)]
    exact = expect("conv2d_pool", inputs, [case.y], case.params())[0]
    [y] = run_kernel("conv2d_pool", inputs, [case.y], case.params(), target)
    assert_near(y, exact)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("case", AWKWARD)
def test_constant_images_tie_at_every_position(case, pool, dtype, target):
    rng = np.random.default_rng(2)
    case = replace(case, dtype=dtype, padding=(0, 0), pool=pool)
    x = np.broadcast_to(rng.standard_normal((1, case.c, 1, 1)), case.x.shape).astype(dtype)
    w = case.operand(rng, case.w, False)
    y, winners = run_kernel("conv2d_pool", [x, w], [case.y, case.winners], case.params(), target)
    np.testing.assert_array_equal(y, np.broadcast_to(y[:1, :, :1, :1], y.shape))
    bits = np.unpackbits(winners, axis=-1, bitorder="little")
    n = pool[0] * pool[1]
    assert bits[..., :n].all()
    assert not bits[..., n:].any()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("case", AWKWARD)
def test_same_bits_as_the_convolution(case, pool, target):
    rng = np.random.default_rng(3)
    x, w = case.operand(rng, case.x, False), case.operand(rng, case.w, False)
    dense = run_kernel("conv2d", [x, w], [case.y], case.params(), target)
    case = replace(case, pool=pool)
    params = {"window": pool, "stride": pool, "padding": (0, 0)}
    expected = run_kernel("pool2d", dense, [case.y, case.winners], params, target)
    for threads in (1, 2, 4):
        fused = run_kernel(
            "conv2d_pool", [x, w], [case.y, case.winners], case.params(), target, threads
        )
        np.testing.assert_array_equal(fused[0], expected[0])
        np.testing.assert_array_equal(fused[1], expected[1])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("pool", [(2, 2), (3, 2)])
def test_nan_wins_its_window(pool, target):
    case = Case(1, 1, (8, 8), 9, (1, 1), pool=pool)
    x = np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8)
    x[0, 0, 1, 0] = x[0, 0, 1, 1] = np.nan
    w = np.ones(case.w.shape, np.float32)
    y, winners = run_kernel("conv2d_pool", [x, w], [case.y, case.winners], case.params(), target)
    assert np.isnan(y[0, :, 0, 0]).all()
    assert (winners[0, :, 0, 0, 0] == 0b1100).all()
    assert not np.isnan(y[0, :, 1:]).any()
