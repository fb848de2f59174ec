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
from tinygrad_mnist.contracts.core.windows import mask_bytes


def reference(name, inputs, outputs, params):
    """The contract's answer in the inputs' own dtype: every sum has one fixed order."""
    return CONTRACTS[name].reference(params, inputs, outputs)


@pytest.mark.covers("pool2d", "pool2d_grad", "pool2d_gather")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=50)
@given(
    planes=st.tuples(st.integers(0, 3), st.integers(1, 3)),
    image=st.tuples(st.integers(1, 12), st.integers(1, 40)),
    window=PAIRS,
    stride=PAIRS,
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    whole=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_pool(planes, image, window, stride, padding, whole, dtype, target, seed):
    rng = np.random.default_rng(seed)
    x = relaid(normal(rng, (*planes, *image), dtype, whole=True), rng)
    x[rng.random(x.shape) < 0.2] = -np.inf  # which padding must not equal
    params = {"window": window, "stride": stride, "padding": padding}
    y = ArraySpec(dtype, (*planes, *pooled_size(image, window, stride, padding, whole)))
    mask = ArraySpec("uint8", (*y.shape, mask_bytes(window)))
    exact = reference("pool2d", [x], [y, mask], params)
    views = [relaid(poisoned(spec), rng) for spec in (y, mask)]
    result = run_kernel("pool2d", [x], views, params, target)
    np.testing.assert_array_equal(result[0], exact[0])
    np.testing.assert_array_equal(result[1], exact[1])
    [alone] = run_kernel("pool2d", [x], [y], params, target)
    np.testing.assert_array_equal(alone, exact[0])

    winners = relaid(exact[1], rng)
    g = relaid(normal(rng, y.shape, dtype), rng)
    dx = ArraySpec(dtype, x.shape)
    [wanted] = reference("pool2d_grad", [g, exact[1]], [dx], params)
    view = relaid(poisoned(dx), rng)
    [result] = run_kernel("pool2d_grad", [g, winners], [view], params, target)
    np.testing.assert_array_equal(result, wanted)

    h = relaid(normal(rng, x.shape, dtype), rng)
    [wanted] = reference("pool2d_gather", [h, exact[1]], [y], params)
    view = relaid(poisoned(y), rng)
    [result] = run_kernel("pool2d_gather", [h, winners], [view], params, target)
    np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("image", "window", "stride", "padding"),
    [
        ((70, 300), (3, 3), (1, 1), (1, 1)),  # a plane in several blocks of rows
        ((9, 9000), (2, 2), (2, 2), (0, 1)),  # a row that is longer than a block
        ((50, 60), (31, 40), (3, 2), (7, 9)),  # windows that are larger than a block
        ((20, 20), (2, 1), (9, 7), (0, 0)),
    ],
    ids=str,
)
def test_blocks_of_rows(dtype, target, image, window, stride, padding):
    rng = np.random.default_rng(3)
    x = normal(rng, (1, 2, *image), dtype, whole=True)
    params = {"window": window, "stride": stride, "padding": padding}
    y = ArraySpec(dtype, (1, 2, *pooled_size(image, window, stride, padding, True)))
    mask, dx = ArraySpec("uint8", (*y.shape, mask_bytes(window))), ArraySpec(dtype, x.shape)
    exact = reference("pool2d", [x], [y, mask], params)
    for result, wanted in zip(
        run_kernel("pool2d", [x], [y, mask], params, target), exact, strict=True
    ):
        np.testing.assert_array_equal(result, wanted)
    g = normal(rng, y.shape, dtype)
    for name, operand, spec in (("pool2d_grad", g, dx), ("pool2d_gather", x, y)):
        [wanted] = reference(name, [operand, exact[1]], [spec], params)
        [result] = run_kernel(name, [operand, exact[1]], [spec], params, target)
        np.testing.assert_array_equal(result, wanted)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("window", [(2, 2), (3, 3), (1, 5)], ids=str)
def test_nan_wins_and_ties_all_win(target, window):
    x = np.zeros((1, 1, 3, 20), np.float32)
    x[0, 0, 0, 3:5] = np.nan
    x[0, 0, 1, 6] = np.inf
    params = {"window": window, "stride": window, "padding": (0, 0)}
    y = ArraySpec("float32", (1, 1, 3 // window[0], 20 // window[1]))
    mask = ArraySpec("uint8", (*y.shape, mask_bytes(window)))
    maxima, winners = run_kernel("pool2d", [x], [y, mask], params, target)
    wanted = reference("pool2d", [x], [y, mask], params)
    np.testing.assert_array_equal(maxima, wanted[0])
    np.testing.assert_array_equal(winners, wanted[1])
    assert np.isnan(maxima[0, 0, 0, 3 // window[1]])
    ties = winners[0, 0, 0, -1] if window != (1, 5) else winners[0, 0, 2, -1]
    bits = window[0] * window[1]
    assert int.from_bytes(ties.tobytes(), "little") == (1 << bits) - 1


@pytest.mark.parametrize("target", TARGETS)
def test_what_does_not_win_adds_nothing(target):
    params = {"window": (2, 2), "stride": (2, 2), "padding": (0, 0)}
    winners = np.array([[[[[0b0010], [0]]]]], np.uint8)
    g = np.array([[[[np.inf, np.nan]]]], np.float32)
    [dx] = run_kernel(
        "pool2d_grad", [g, winners], [ArraySpec("float32", (1, 1, 2, 4))], params, target
    )
    np.testing.assert_array_equal(dx[0, 0], [[0, np.inf, 0, 0], [0, 0, 0, 0]])
    x = np.full((1, 1, 2, 4), np.nan, np.float32)
    x[0, 0, 0, 1] = 5
    [y] = run_kernel("pool2d_gather", [x, winners], [ArraySpec("float32", g.shape)], params, target)
    np.testing.assert_array_equal(y[0, 0], [[5, 0]])


@pytest.mark.parametrize("target", TARGETS)
def test_same_bits_for_any_number_of_threads(target):
    rng = np.random.default_rng(5)
    x = normal(rng, (8, 20, 24, 24), "float32")
    params = {"window": (3, 3), "stride": (2, 2), "padding": (1, 1)}
    y, mask = ArraySpec("float32", (8, 20, 12, 12)), ArraySpec("uint8", (8, 20, 12, 12, 2))
    dx = ArraySpec("float32", x.shape)
    g = normal(rng, y.shape, "float32")

    def all_results(threads):
        results = run_kernel("pool2d", [x], [y, mask], params, target, threads)
        results += run_kernel("pool2d_grad", [g, results[1]], [dx], params, target, threads)
        return results + run_kernel("pool2d_gather", [x, results[1]], [y], params, target, threads)

    first = all_results(1)
    for threads in (2, 4):
        for a, b in zip(first, all_results(threads), strict=True):
            np.testing.assert_array_equal(a, b)
