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
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.tape import Tape


def operands(case, rng, which, strided):
    """Inputs of a gradient kernel without extras, and the spec of its output."""
    g = case.operand(rng, case.y, strided)
    g *= rng.integers(0, 2, g.shape)  # as behind ReLU
    winners = [] if case.pool is None else [case.random_winners(rng, strided)]
    if which == "filter":
        return [case.operand(rng, case.x, strided), g, *winners], case.w
    return [case.operand(rng, case.w, strided), g, *winners], case.x


def kernel_name(case, which):
    return f"conv2d_{'pool_' if case.pool else ''}grad_{which}"


@pytest.mark.covers(
    "conv2d_grad_filter",
    "conv2d_grad_input",
    "conv2d_pool_grad_filter",
    "conv2d_pool_grad_input",
)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("which", ["filter", "input"])
@pytest.mark.parametrize("pooled", [False, True])
@settings(max_examples=30)
@given(
    data=st.data(),
    kind=st.sampled_from(EPILOGUES),
    strided=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_convolution(data, which, pooled, target, kind, strided, seed):
    case = data.draw(cases(pooled))
    rng = np.random.default_rng(seed)
    own, spec = operands(case, rng, which, strided)
    bias_axis = 0 if which == "filter" else 1
    tail = epilogue(kind, rng, spec.shape, case.dtype, bias_axis)
    inputs, params = [*own, *tail.extras], case.params(tail.tape)
    name = kernel_name(case, which)
    exact = expect(name, inputs, [spec], params)[0]
    output = relaid(poisoned(spec), rng) if tail.output is None else tail.output
    # An epilogue may leave little of the gradient, whose rounding then counts against itself.
    plain = expect(name, own, [spec], case.params(Tape.identity(case.dtype)))[0]
    [result] = run_kernel(name, inputs, [output], params, target)
    cancelled = np.linalg.norm(plain) / (np.linalg.norm(exact) or 1.0)
    assert_near(result, exact, 32 * float(np.finfo(case.dtype).eps) * max(1.0, cancelled))


# Wide rows of patches, many filters at a time, large images, windows of many positions; rows that
# are cut; packed images, as strips too, of more than a megabyte.
LARGE = [
    Case(2, 40, (8, 8), 300, (3, 3), pool=(2, 2)),
    Case(1, 3, (90, 90), 5, (3, 3), padding=(1, 1), pool=(40, 44)),
    Case(1, 18, (40, 60), 9, (3, 3), padding=(1, 1), pool=(2, 2), flip=1),
    Case(40, 1, (28, 28), 20, (5, 5), pool=(2, 2)),
    Case(1, 2, (4, 5000), 3, (2, 3), pool=(2, 2)),
    Case(1, 2, (6, 4200), 12, (3, 2), stride=(2, 2)),
    Case(60, 16, (12, 12), 8, (3, 3), padding=(1, 1)),
    Case(1, 16, (8, 700), 5, (3, 3), padding=(1, 1), pool=(2, 2)),
    Case(2, 20, (7, 300), 4, (3, 5), stride=(1, 2), pool=(3, 2), flip=1),
    Case(1, 64, (6, 300), 5, (3, 3), padding=(0, 1)),
    Case(151, 20, (12, 12), 6, (5, 5), pool=(2, 2)),
    Case(121, 1, (28, 28), 7, (5, 5), pool=(2, 2)),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("which", ["filter", "input"])
@pytest.mark.parametrize("case", LARGE)
def test_large_shapes(case, which, dtype, target):
    rng = np.random.default_rng(6)
    case = replace(case, dtype=dtype)
    inputs, spec = operands(case, rng, which, False)
    name, params = kernel_name(case, which), case.params()
    assert_near(
        run_kernel(name, inputs, [spec], params, target)[0],
        expect(name, inputs, [spec], params)[0],
        tolerance=1e-5 if dtype == "float32" else None,
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("which", ["filter", "input"])
@pytest.mark.parametrize("pool", [None, *POOLS])
@pytest.mark.parametrize("case", AWKWARD)
def test_same_bits_for_any_number_of_threads(case, pool, which, target):
    rng = np.random.default_rng(7)
    case = replace(case, pool=pool)
    inputs, spec = operands(case, rng, which, False)
    name, params = kernel_name(case, which), case.params()
    results = [run_kernel(name, inputs, [spec], params, target, t)[0] for t in (1, 2, 4)]
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("which", ["filter", "input"])
@pytest.mark.parametrize("channels", [3, 30])  # patches that are in registers as a whole, or not
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_inf_reach_what_they_should(bad, channels, which, target):
    rng = np.random.default_rng(8)
    case = Case(2, channels, (9, 9), 5, (3, 3), pool=(2, 2))
    inputs, spec = operands(case, rng, which, False)
    inputs[1][...] = 0
    inputs[1][0, 1, 1, 1] = bad
    inputs[2][0, 1, 1, 1] = 0b0010
    name = kernel_name(case, which)
    [result] = run_kernel(name, inputs, [spec], case.params(), target)
    hit = np.zeros(spec.shape, bool)
    if which == "filter":
        hit[1] = True
    else:
        hit[0, :, 2:5, 3:6] = True  # the patch of position (2, 3)
    assert not np.isfinite(result[hit]).any()
    np.testing.assert_array_equal(result[~hit], 0)


@pytest.mark.parametrize("which", ["filter", "input"])
@pytest.mark.parametrize("channels", [2, 40])
def test_a_zero_gradient_adds_nothing(channels, which):
    rng = np.random.default_rng(9)
    case = Case(1, channels, (7, 7), 3, (2, 2), pool=(2, 2))
    inputs, spec = operands(case, rng, which, False)
    inputs[0][...] = np.inf
    inputs[1][...] = 0
    [result] = run_kernel(kernel_name(case, which), inputs, [spec], case.params())
    np.testing.assert_array_equal(result, 0)


def drawing(case, rng, background):
    """Images that are of one shade but for a drawing and a dot, and the winners of their windows:
    on the background all tie."""
    x = np.full(case.x.shape, background, case.dtype)
    x[:, :, 4:10, 5:9] = rng.standard_normal((*x.shape[:2], 6, 4))
    x[:, :, -1, 0] = 1
    outputs = [case.y, case.winners]
    w = case.operand(rng, case.w, False)
    return x, CONTRACTS["conv2d_pool"].reference(case.params(), [x, w], outputs)[1]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("background", [0, -0.0, 0.5])
@pytest.mark.parametrize("pool", [(2, 2), (2, 4), (3, 3)])
def test_filters_gradient_of_a_drawing(pool, background, dtype, target):
    rng = np.random.default_rng(10)
    case = Case(2, 1, (18, 17), 3, (3, 3), padding=(1, 0), pool=pool, dtype=dtype)
    x, winners = drawing(case, rng, background)
    inputs = [x, case.operand(rng, case.y, False), winners]
    name, params = "conv2d_pool_grad_filter", case.params()
    [result] = run_kernel(name, inputs, [case.w], params, target)
    assert_near(result, expect(name, inputs, [case.w], params)[0])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("place", [(0, 0), (3, 3), (8, 0)])  # on the background, or not
def test_a_bad_gradient_is_not_lost_on_a_black_background(place, bad):
    rng = np.random.default_rng(11)
    case = Case(1, 1, (20, 18), 2, (3, 3), pool=(2, 2))
    x, winners = drawing(case, rng, 0)
    g = case.operand(rng, case.y, False)
    g[0, 1, *place] = bad
    inputs, name = [x, g, winners], "conv2d_pool_grad_filter"
    [result] = run_kernel(name, inputs, [case.w], case.params())
    assert_near(result[0], expect(name, inputs, [case.w], case.params())[0][0])
    assert not np.isfinite(result[1]).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("ties", [0b0011, 0b1110, 0b1111])
def test_a_bad_gradient_meets_all_winners_black_or_not(ties, bad):
    """inf times the zeros of a black patch is NaN, whatever the other winners' patches are."""
    case = Case(1, 1, (2, 2), 1, (1, 1), pool=(2, 2))
    x = np.zeros(case.x.shape, case.dtype)
    x[0, 0, 0, 0] = x[0, 0, 1, 0] = 1
    g = np.full(case.y.shape, bad, case.dtype)
    winners = np.full(case.winners.shape, ties, np.uint8)
    [result] = run_kernel("conv2d_pool_grad_filter", [x, g, winners], [case.w], case.params())
    np.testing.assert_array_equal(result, np.nan)


@pytest.mark.parametrize("which", ["filter", "input"])
@pytest.mark.parametrize("case", [
    Case(2, 1, (21, 20), 3, (5, 5), pool=(3, 3)),
    Case(2, 1, (4, 230), 3, (1, 200), pool=(2, 2)),
    Case(2, 3, (17, 18), 2, (7, 7), pool=(2, 2)),
    Case(3, 1, (1, 300), 2, (1, 90), pool=(1, 2)),
])  # fmt: skip
def test_few_channels_and_large_patches(case, which):
    rng = np.random.default_rng(12)
    inputs, spec = operands(case, rng, which, False)
    name, params = kernel_name(case, which), case.params()
    [result] = run_kernel(name, inputs, [spec], params)
    assert_near(result, expect(name, inputs, [spec], params)[0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("channels", [1, 3, 20])
@pytest.mark.parametrize("pool", [None, (2, 2), (3, 3)])
def test_gradient_of_one_filter(pool, channels, dtype, target):
    """It has the bits of the same filter beside others."""
    rng = np.random.default_rng(13)
    case = Case(2, channels, (13, 12), 3, (3, 3), padding=(1, 0), pool=pool, dtype=dtype)
    inputs, spec = operands(case, rng, "filter", False)
    [all_filters] = run_kernel(
        kernel_name(case, "filter"), inputs, [spec], case.params(), target, threads=1
    )
    one = replace(case, o=1)
    for o in range(case.o):
        x, *of_filter = inputs
        own = [x, *(a[:, o : o + 1] for a in of_filter)]
        [result] = run_kernel(kernel_name(one, "filter"), own, [one.w], one.params(), target)
        np.testing.assert_array_equal(result[0], all_filters[o])


@pytest.mark.parametrize("which", ["filter", "input"])
def test_images_that_32_bit_offsets_do_not_reach(which):
    """Behind a pool, the channels of a group count too."""
    huge = Case(1, 16, (2, 2), 1, (1, 1), padding=(5849, 5849), stride=(1060, 1060), pool=(6, 1))
    own = [np.zeros(huge.w.shape if which == "input" else huge.x.shape, np.float32)]
    own.append(np.zeros(huge.y.shape, np.float32))
    own.append(np.ones((*huge.y.shape, 1), np.uint8))
    spec = huge.x if which == "input" else huge.w
    with pytest.raises(ValueError, match=r"grad_.*less than 2\*\*31 elements"):
        run_kernel(kernel_name(huge, which), own, [spec], huge.params())


def test_images_whose_bytes_pass_a_number_of_64_bits():
    x = np.broadcast_to(np.float32(1), (2**23, 1, 2, 2))
    case = Case(2**23, 1, (2, 2), 1, (1, 1), padding=(2**19 - 1, 2**18 - 1), stride=(2**20, 2**19))
    with pytest.raises(ValueError, match="too large with their borders"):
        run_kernel("conv2d", [x, np.ones(case.w.shape, np.float32)], [case.y], case.params())
