"""Masks with the first winner of each window alone: those of `pool2d` with `first`."""

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


def first_of_each(x, window, stride, padding, pooled):
    """The masks, window by window: the first position in C order that no other one exceeds."""
    masks = np.zeros((*x.shape[:2], *pooled, mask_bytes(window)), np.uint8)
    for n, c, h, w in np.ndindex(*masks.shape[:4]):
        best, winner = -np.inf, None
        for bit in range(window[0] * window[1]):
            row = h * stride[0] - padding[0] + bit // window[1]
            column = w * stride[1] - padding[1] + bit % window[1]
            if not (0 <= row < x.shape[2] and 0 <= column < x.shape[3]):
                continue
            value = x[n, c, row, column]
            if winner is None or value > best or (np.isnan(value) and not np.isnan(best)):
                best, winner = value, bit
        if winner is not None:
            masks[n, c, h, w, winner // 8] = 1 << winner % 8
    return masks


@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=60)
@given(
    image=st.tuples(st.integers(1, 9), st.integers(1, 30)),
    window=st.one_of(st.just((2, 2)), st.just((3, 3)), PAIRS),
    stride=PAIRS,
    padding=st.tuples(st.integers(0, 4), st.integers(0, 4)),
    whole=st.booleans(),
    dtype=st.sampled_from(["float32", "float64"]),
    values=st.sampled_from(["whole", "constant", "least", "nan"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_pool(image, window, stride, padding, whole, dtype, values, target, seed):
    rng = np.random.default_rng(seed)
    x = normal(rng, (2, 2, *image), dtype, whole=True)
    if values == "constant":
        x[:] = 1.5
    if values in ("least", "nan"):
        x[rng.random(x.shape) < 0.6] = -np.inf
    if values == "nan":
        x[rng.random(x.shape) < 0.3] = np.nan
    x = relaid(x, rng)
    params = {"window": window, "stride": stride, "padding": padding, "first": 1}
    pooled = pooled_size(image, window, stride, padding, whole)
    y = ArraySpec(dtype, (2, 2, *pooled))
    mask = ArraySpec("uint8", (*y.shape, mask_bytes(window)))
    wanted = first_of_each(x, window, stride, padding, pooled)
    exact = CONTRACTS["pool2d"].reference(params, [x], [y, mask])
    np.testing.assert_array_equal(exact[1], wanted)
    views = [relaid(poisoned(spec), rng) for spec in (y, mask)]
    result = run_kernel("pool2d", [x], views, params, target)
    np.testing.assert_array_equal(result[0], exact[0])
    np.testing.assert_array_equal(result[1], wanted)
    [alone] = run_kernel("pool2d", [x], [y], params, target)
    np.testing.assert_array_equal(alone, exact[0])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize(
    ("image", "window", "stride", "padding"),
    [
        ((70, 300), (3, 3), (1, 1), (1, 1)),  # a plane in several blocks of rows
        ((50, 60), (31, 40), (3, 2), (7, 9)),  # masks of 155 bytes
    ],
    ids=str,
)
def test_large_ones_with_any_number_of_threads(target, image, window, stride, padding):
    rng = np.random.default_rng(3)
    x = normal(rng, (1, 2, *image), "float32", whole=True)
    params = {"window": window, "stride": stride, "padding": padding, "first": 1}
    y = ArraySpec("float32", (1, 2, *pooled_size(image, window, stride, padding, True)))
    mask = ArraySpec("uint8", (*y.shape, mask_bytes(window)))
    exact = CONTRACTS["pool2d"].reference(params, [x], [y, mask])
    for threads in (1, 2, 4):
        results = run_kernel("pool2d", [x], [y, mask], params, target, threads)
        for result, wanted in zip(results, exact, strict=True):
            np.testing.assert_array_equal(result, wanted)
    assert (np.bitwise_count(exact[1]).sum(axis=-1) == 1).all()


def test_a_gradient_goes_to_one_pixel_of_each_window():
    rng = np.random.default_rng(6)
    x = normal(rng, (2, 3, 9, 8), "float32", whole=True)
    params = {"window": (3, 2), "stride": (3, 2), "padding": (0, 0)}
    y, mask = ArraySpec("float32", (2, 3, 3, 4)), ArraySpec("uint8", (2, 3, 3, 4, 1))
    winners = run_kernel("pool2d", [x], [y, mask], {**params, "first": 1})[1]
    g = normal(rng, y.shape, "float32")
    [dx] = run_kernel("pool2d_grad", [g, winners], [ArraySpec("float32", x.shape)], params)
    windows = dx.reshape(2, 3, 3, 3, 4, 2).transpose(0, 1, 2, 4, 3, 5).reshape(*y.shape, 6)
    pixels = x.reshape(2, 3, 3, 3, 4, 2).transpose(0, 1, 2, 4, 3, 5).reshape(*y.shape, 6)
    expected = np.zeros_like(windows)
    np.put_along_axis(expected, pixels.argmax(axis=-1)[..., None], g[..., None], axis=-1)
    np.testing.assert_array_equal(windows, expected)


def test_a_parameter_too_many_is_refused():
    x, y = np.zeros((1, 1, 4, 4), np.float32), ArraySpec("float32", (1, 1, 2, 2))
    params = {"window": (2, 2, 2, 2), "stride": (2, 2), "padding": (0, 0)}
    with pytest.raises(ValueError, match="takes 7 integer parameters"):
        run_kernel("pool2d", [x], [y], params)
