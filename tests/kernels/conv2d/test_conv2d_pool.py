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
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Instruction, Tape


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


# Many taps over small images. Padding, strides, flips, rows of an odd width, planes of windows that
# aren't whole vectors.
SMALL = [
    Case(1, 20, (12, 12), 9, (5, 5)),
    Case(3, 20, (12, 12), 9, (5, 5), flip=1),
    Case(2, 12, (10, 9), 9, (3, 3), padding=(1, 1)),
    Case(17, 13, (19, 10), 9, (3, 3)),
    Case(2, 30, (9, 16), 9, (2, 2), stride=(1, 2)),
    Case(1, 101, (8, 9), 9, (1, 1), padding=(0, 1)),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("case", SMALL)
def test_filters_that_fill_their_vectors_give_the_same_bits(case, strided, dtype, target):
    """Nine filters leave lanes empty, and windows take their place; sixteen don't."""
    rng = np.random.default_rng(5)
    case = replace(case, pool=(2, 2), dtype=dtype)
    full = replace(case, o=16)
    x, w = case.operand(rng, case.x, strided), case.operand(rng, full.w, strided)
    bias = rng.standard_normal(16).astype(dtype)
    x[-1, 0, 3, 4], x[0, 1, 2] = np.nan, 0
    for name, tail in (("conv2d_pool", []), ("conv2d_bias_pool", [bias])):
        filled = run_kernel(name, [x, w, *tail], [full.y, full.winners], full.params(), target)
        few = [x, w[:9], *(b[:9] for b in tail)]
        for threads in (1, 2):
            y, winners = run_kernel(
                name, few, [case.y, case.winners], case.params(), target, threads
            )
            np.testing.assert_array_equal(y, filled[0][:, :9])
            np.testing.assert_array_equal(winners, filled[1][:, :9])


@pytest.mark.parametrize("target", TARGETS)
def test_no_channels_and_large_filters(target):
    case = Case(2, 0, (45, 40), 9, (17, 13), pool=(2, 2))
    x, w = (np.empty(spec.shape, np.float32) for spec in (case.x, case.w))
    y, winners = run_kernel("conv2d_pool", [x, w], [case.y, case.winners], case.params(), target)
    assert not y.any()
    assert (winners == 0b1111).all()


FAR = 2**31
STEPS = [(1, FAR), (FAR, 1), (FAR, FAR)]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("pool", [None, *STEPS])
@pytest.mark.parametrize("stride", STEPS)
@pytest.mark.parametrize("image", [(101, 1), (1, 101), (10, 10)])
def test_steps_and_pools_that_leave_the_image(image, stride, pool, target):
    """Products of them that pass 64 bits decide nothing; a sanitizer would find one."""
    case = Case(1, 1, image, 1, image, stride=stride, pool=pool)
    x, w = np.ones(case.x.shape, np.float32), np.ones(case.w.shape, np.float32)
    if pool is None:
        [y] = run_kernel("conv2d", [x, w], [case.y], case.params(), target)
        assert y.tolist() == [[[[image[0] * image[1]]]]]
    else:
        [y] = run_kernel("conv2d_pool", [x, w], [case.y], case.params(), target)
        assert y.size == 0


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


@pytest.mark.covers("conv2d_bias_pool")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=50)
@given(
    case=cases(pooled=True),
    kind=st.sampled_from(EPILOGUES),
    strided=st.booleans(),
    winners=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_convolution_with_a_bias(case, target, kind, strided, winners, seed):
    # Small integers, as above. The bias of some filters is NaN or infinite.
    rng = np.random.default_rng(seed)
    x, w = (case.operand(rng, spec, strided, whole=True) for spec in (case.x, case.w))
    bias = case.operand(rng, ArraySpec(case.dtype, (case.o,)), strided, whole=True)
    bias[rng.random(case.o) < 0.1] = rng.choice([np.nan, np.inf, -np.inf])
    tail = epilogue(kind, rng, case.y.shape, case.dtype, bias_axis=1, whole=True)
    inputs, params = [x, w, bias, *tail.extras], case.params(tail.tape)
    specs = [case.y, case.winners] if winners else [case.y]
    exact = expect("conv2d_bias_pool", inputs, specs, params)
    outputs = [relaid(poisoned(spec), rng) if strided else poisoned(spec) for spec in specs]
    if tail.output is not None:
        outputs[0] = tail.output
    results = run_kernel("conv2d_bias_pool", inputs, outputs, params, target)
    for result, expected in zip(results, exact, strict=True):
        np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("case", AWKWARD)
def test_a_bias_is_added_before_positions_are_compared(case, pool, dtype, target):
    """The values are close to one another, the biases large: the sums round, and most windows have
    several winners that differ without the bias."""
    rng = np.random.default_rng(4)
    case = replace(case, dtype=dtype)
    x = 1 + np.finfo(dtype).eps * case.operand(rng, case.x, False, whole=True)
    w, bias = case.operand(rng, case.w, False), case.operand(rng, replace(case, c=1).w, False)
    bias = 64 * bias[:, 0, 0, 0]
    tail = Tape(dtype, 2, (Instruction("add", (0, 1)),), (2,))
    column = np.broadcast_to(bias[:, None, None], case.y.shape)
    dense = run_kernel("conv2d", [x, w, column], [case.y], case.params(tail), target)
    case = replace(case, pool=pool)
    params = {"window": pool, "stride": pool, "padding": (0, 0)}
    expected = run_kernel("pool2d", dense, [case.y, case.winners], params, target)
    unbiased = run_kernel("conv2d_pool", [x, w], [case.y, case.winners], case.params(), target)
    for threads in (1, 2, 4):
        fused = run_kernel(
            "conv2d_bias_pool",
            [x, w, bias],
            [case.y, case.winners],
            case.params(),
            target,
            threads,
        )
        np.testing.assert_array_equal(fused[0], expected[0])
        np.testing.assert_array_equal(fused[1], expected[1])
    if case.y.size > 100 and case.padding == (0, 0):
        assert (expected[1] != unbiased[1]).any()


@pytest.mark.parametrize("pool", [(2, 2), (3, 2)])
@pytest.mark.parametrize("channels", [1, 20])
def test_zeros_keep_their_signs_without_a_bias(pool, channels):
    """What stands in for a bias where there is none changes nothing."""
    case = Case(1, channels, (9, 9), 9, (3, 3), pool=pool)
    tiny = np.float32(1e-30)
    x, w = np.full(case.x.shape, tiny), np.full(case.w.shape, -tiny)
    [dense] = run_kernel(
        "conv2d", [x, w], [replace(case, pool=None).y], replace(case, pool=None).params()
    )
    [y] = run_kernel("conv2d_pool", [x, w], [case.y], case.params())
    assert np.signbit(dense).all()
    assert np.signbit(y).all()


@pytest.mark.parametrize(
    ("bias", "message"),
    [
        (np.zeros(4, np.float32), r"input 2 \(bias\) must have size 5 on axis 0, not 4"),
        (np.zeros(5), r"input 2 \(bias\) must be float32"),
        (np.zeros((5, 1), np.float32), r"input 2 \(bias\) must have 1 dimensions"),
    ],
)
def test_a_wrong_bias_is_refused(bias, message):
    case = Case(1, 2, (6, 6), 5, (3, 3), pool=(2, 2))
    x, w = np.zeros(case.x.shape, np.float32), np.zeros(case.w.shape, np.float32)
    with pytest.raises(ValueError, match=message):
        run_kernel("conv2d_bias_pool", [x, w, bias], [case.y], case.params())
