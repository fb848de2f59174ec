from __future__ import annotations

import numpy as np
import pytest
from helpers.layouts import normal, relaid
from helpers.native import TARGETS, expect, run_kernel
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist.contracts import CONTRACTS, ArraySpec
from tinygrad_mnist.contracts.pool2d import mask_bytes

PAIRS = st.tuples(st.integers(1, 5), st.integers(1, 5))


def pooled_size(image, window, stride, padding, whole):
    """Windows along each axis: those that fit, or those that begin inside the padded image."""
    slack = [0, 0] if whole else [w - 1 for w in window]
    return tuple(
        max(0, (image[i] + 2 * padding[i] + slack[i] - window[i]) // stride[i] + 1) for i in (0, 1)
    )


@given(
    planes=st.tuples(st.integers(0, 3), st.integers(1, 3)),
    image=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    window=PAIRS,
    stride=PAIRS,
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    whole=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    target=st.sampled_from(TARGETS),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_pool(planes, image, window, stride, padding, whole, dtype, target, seed):
    rng = np.random.default_rng(seed)
    x = relaid(normal(rng, (*planes, *image), dtype, whole=True), rng)
    params = {"window": window, "stride": stride, "padding": padding}
    y = ArraySpec(dtype, (*planes, *pooled_size(image, window, stride, padding, whole)))
    mask = ArraySpec("uint8", (*y.shape, mask_bytes(window)))
    exact = expect("pool2d", [x], [y, mask], params)
    result = run_kernel("pool2d", [x], [y, mask], params, target)
    np.testing.assert_array_equal(result[0], exact[0])
    np.testing.assert_array_equal(result[1], exact[1])
    [alone] = run_kernel("pool2d", [x], [y], params, target)
    np.testing.assert_array_equal(alone, exact[0])

    # Windows of a pixel add up in one fixed order: the same bits as the reference's.
    g = relaid(normal(rng, y.shape, dtype), rng)
    dx = ArraySpec(dtype, x.shape)
    [wanted] = CONTRACTS["pool2d_grad"].reference(params, [g, exact[1]], [dx])
    [result] = run_kernel("pool2d_grad", [g, relaid(exact[1], rng)], [dx], params, target)
    np.testing.assert_array_equal(result, wanted)


def test_nan_wins_and_ties_all_win():
    x = np.zeros((1, 1, 2, 4), np.float32)
    x[0, 0, 1, 3] = np.nan
    params = {"window": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    y, winners = run_kernel(
        "pool2d",
        [x],
        [ArraySpec("float32", (1, 1, 1, 2)), ArraySpec("uint8", (1, 1, 1, 2, 1))],
        params,
    )
    np.testing.assert_array_equal(y[0, 0, 0], np.float32([0, np.nan]))
    assert winners.ravel().tolist() == [0b1111, 0b1000]


@pytest.mark.parametrize("target", TARGETS)
def test_same_bits_for_any_number_of_threads(target):
    rng = np.random.default_rng(5)
    x = normal(rng, (8, 20, 24, 24), "float32")
    params = {"window": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    y, mask = ArraySpec("float32", (8, 20, 12, 12)), ArraySpec("uint8", (8, 20, 12, 12, 2))
    first = run_kernel("pool2d", [x], [y, mask], params, target, 1)
    g = normal(rng, y.shape, "float32")
    dx = ArraySpec("float32", x.shape)
    [grad] = run_kernel("pool2d_grad", [g, first[1]], [dx], params, target, 1)
    for threads in (2, 4):
        for a, b in zip(
            first, run_kernel("pool2d", [x], [y, mask], params, target, threads), strict=True
        ):
            np.testing.assert_array_equal(a, b)
        [again] = run_kernel("pool2d_grad", [g, first[1]], [dx], params, target, threads)
        np.testing.assert_array_equal(again, grad)
