from __future__ import annotations

import numpy as np
import pytest
from helpers.layouts import normal, relaid
from helpers.native import TARGETS, run_kernel
from helpers.pools import PAIRS, pooled_size
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import CONTRACTS, ArraySpec
from tinygrad_mnist.contracts.pool2d.average_pool2d import INSIDE, PADDED, SUM

COUNTS = [SUM, PADDED, INSIDE]


def by_definition(x, pooled, params):
    """Window by window, in float64."""
    padding = params["padding"]
    sides = [(p, p + 99) for p in padding]  # 99: more than any window needs
    padded = np.pad(x.astype(np.float64), [(0, 0), (0, 0), *sides])
    inside = np.pad(np.ones(x.shape[2:]), sides)
    both = np.pad(np.ones([n + 2 * p for n, p in zip(x.shape[2:], padding, strict=True)]), (0, 99))
    y = np.empty((*x.shape[:2], *pooled))
    for h, w in np.ndindex(*pooled):
        window = tuple(
            slice(i * s, i * s + k)
            for i, s, k in zip((h, w), params["stride"], params["window"], strict=True)
        )
        count = {SUM: 1, PADDED: both[window].sum(), INSIDE: inside[window].sum()}[params["count"]]
        y[:, :, h, w] = padded[(..., *window)].sum((-2, -1)) / max(count, 1)
    return y


@pytest.mark.covers("average_pool2d", "average_pool2d_grad")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=50)
@given(
    planes=st.tuples(st.integers(0, 3), st.integers(1, 3)),
    image=st.tuples(st.integers(1, 12), st.integers(1, 40)),
    window=PAIRS,
    stride=PAIRS,
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    whole=st.booleans(),
    count=st.sampled_from(COUNTS),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_pool(planes, image, window, stride, padding, whole, count, dtype, target, seed):
    rng = np.random.default_rng(seed)
    x = relaid(normal(rng, (*planes, *image), dtype), rng)
    params = {"window": window, "stride": stride, "padding": padding, "count": count}
    y = ArraySpec(dtype, (*planes, *pooled_size(image, window, stride, padding, whole)))
    [wanted] = CONTRACTS["average_pool2d"].reference(params, [x], [y])
    tolerance = 1e-5 if dtype == "float32" else 1e-13
    exact = by_definition(x, y.shape[2:], params)
    np.testing.assert_allclose(wanted, exact, tolerance, tolerance)
    # Every sum has one fixed order: the same bits as the reference's.
    [result] = run_kernel("average_pool2d", [x], [relaid(poisoned(y), rng)], params, target)
    np.testing.assert_array_equal(result, wanted)

    g, dx = relaid(normal(rng, y.shape, dtype), rng), ArraySpec(dtype, x.shape)
    [wanted] = CONTRACTS["average_pool2d_grad"].reference(params, [g], [dx])
    [result] = run_kernel("average_pool2d_grad", [g], [relaid(poisoned(dx), rng)], params, target)
    np.testing.assert_array_equal(result, wanted)
    # The gradient is the transposed map: <g, pool(x)> = <grad(g), x>.
    np.testing.assert_allclose(np.vdot(g, exact), np.vdot(wanted, x), 100 * tolerance, tolerance)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("image", "window", "stride", "padding"),
    [
        ((70, 300), (3, 3), (1, 1), (1, 1)),  # a plane in several blocks of rows
        ((9, 9000), (2, 2), (2, 2), (0, 1)),  # a row that is longer than a block
        ((50, 60), (50, 60), (1, 1), (0, 0)),  # a window that is larger than a block
    ],
    ids=str,
)
def test_blocks_of_rows(target, image, window, stride, padding):
    rng = np.random.default_rng(3)
    x = normal(rng, (1, 2, *image), "float32")
    params = {"window": window, "stride": stride, "padding": padding, "count": INSIDE}
    y = ArraySpec("float32", (1, 2, *pooled_size(image, window, stride, padding, True)))
    [wanted] = CONTRACTS["average_pool2d"].reference(params, [x], [y])
    np.testing.assert_array_equal(run_kernel("average_pool2d", [x], [y], params, target)[0], wanted)
    g, dx = normal(rng, y.shape, "float32"), ArraySpec("float32", x.shape)
    [wanted] = CONTRACTS["average_pool2d_grad"].reference(params, [g], [dx])
    np.testing.assert_array_equal(
        run_kernel("average_pool2d_grad", [g], [dx], params, target)[0], wanted
    )


@pytest.mark.parametrize("target", TARGETS)
def test_nan_and_inf_reach_their_own_windows_only(target):
    x = np.ones((1, 1, 4, 20), np.float32)
    x[0, 0, 0, 1], x[0, 0, 3, 18] = np.nan, np.inf
    params = {"window": (2, 2), "stride": (2, 2), "padding": (0, 0), "count": PADDED}
    [y] = run_kernel("average_pool2d", [x], [ArraySpec("float32", (1, 1, 2, 10))], params, target)
    wanted = np.ones((2, 10), np.float32)
    wanted[0, 0], wanted[1, 9] = np.nan, np.inf
    np.testing.assert_array_equal(y[0, 0], wanted)


@pytest.mark.parametrize("target", TARGETS)
def test_same_bits_for_any_number_of_threads(target):
    rng = np.random.default_rng(5)
    x = normal(rng, (8, 20, 24, 24), "float32")
    params = {"window": (3, 3), "stride": (2, 2), "padding": (1, 1), "count": INSIDE}
    y, dx = ArraySpec("float32", (8, 20, 12, 12)), ArraySpec("float32", x.shape)
    g = normal(rng, y.shape, "float32")
    [pooled] = run_kernel("average_pool2d", [x], [y], params, target, 1)
    [grad] = run_kernel("average_pool2d_grad", [g], [dx], params, target, 1)
    for threads in (2, 4):
        [again] = run_kernel("average_pool2d", [x], [y], params, target, threads)
        np.testing.assert_array_equal(again, pooled)
        [again] = run_kernel("average_pool2d_grad", [g], [dx], params, target, threads)
        np.testing.assert_array_equal(again, grad)
