from __future__ import annotations

import numpy as np
import pytest
from helpers.epilogues import EPILOGUES, epilogue
from helpers.layouts import normal, relaid
from helpers.native import TARGETS, assert_near, expect, run_kernel
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Tape

DTYPES = ["float32", "float64"]
SHAPES = [
    (10, 20, 576),  # images
    (3, 5, 5000),  # a channel's row in several blocks
    (70, 3, 130),  # a channel's rows in several blocks
    (300, 70, 1),  # activations: channels side by side, in several blocks each way
    (5000, 3, 1),  # fewer channels than a vector has lanes
    (1, 1, 10000),
    (7, 9, 2),
    (1, 6, 1),
]


def operands(rng, shape, dtype, strided, offset=0.0):
    """x, gamma, beta, epsilon."""
    x = normal(rng, shape, dtype) * 2 + offset
    channels = [normal(rng, shape[1:2], dtype) for _ in range(2)]
    arrays = [x.astype(dtype), *channels]
    return [relaid(a, rng) for a in arrays] if strided else arrays, np.array(1e-3, dtype)


def specs(shape, dtype, n_channels):
    return [ArraySpec(dtype, shape), *[ArraySpec(dtype, shape[1:2])] * n_channels]


def check(results, exact, x):
    tolerance = 2e-6 if x.dtype == np.float32 else 1e-14
    (y, mean, *others), (exact_y, exact_mean, *exact_others) = results, exact
    # A mean may come out near 0: its error is measured beside what was added up.
    assert (abs(mean - exact_mean) <= tolerance * abs(x).mean((0, 2))).all()
    for result, wanted in zip([y, *others], [exact_y, *exact_others], strict=True):
        assert_near(result, wanted, tolerance)


def check_gradient(rng, x, gamma, statistics, dtype, target, strided):
    mean, invstd = (a.astype(dtype) for a in statistics)
    g = normal(rng, x.shape, dtype)
    inputs = [x, relaid(g, rng) if strided else g, gamma, mean, invstd]
    outputs = specs(x.shape, dtype, 2)
    exact = expect("batch_norm_grad", inputs, outputs)
    views = [relaid(poisoned(spec), rng) if strided else spec for spec in outputs]
    dx, *sums = run_kernel("batch_norm_grad", inputs, views, {}, target)
    # Results may come out near 0: errors are measured beside what was added up.
    tolerance = 1e-6 if dtype == "float32" else 1e-14
    scaled = (gamma * invstd)[:, None] * g
    assert np.linalg.norm(dx - exact[0]) <= tolerance * np.linalg.norm(scaled)
    xhat = (x - mean[:, None]) * invstd[:, None]
    for result, wanted, terms in zip(sums, exact[1:], (g * xhat, g), strict=True):
        assert (abs(result - wanted) <= tolerance * abs(terms).sum((0, 2))).all()


@pytest.mark.covers("batch_norm", "batch_norm_grad")
@pytest.mark.parametrize("target", TARGETS)
@settings(max_examples=50)
@given(
    shape=st.tuples(
        st.integers(1, 9),
        st.one_of(st.integers(1, 9), st.sampled_from([16, 33, 70])),
        st.one_of(st.just(1), st.integers(1, 40)),
    ),
    kind=st.sampled_from(EPILOGUES),
    dtype=st.sampled_from(DTYPES),
    strided=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
@example(shape=(7, 1, 1), kind="identity", dtype="float32", strided=False, seed=305)
def test_any_shape(shape, kind, dtype, target, strided, seed):
    rng = np.random.default_rng(seed)
    (x, gamma, beta), epsilon = operands(rng, shape, dtype, strided)
    tail = epilogue(kind, rng, shape, dtype, bias_axis=1)
    params = {"epilogue": tail.tape}
    inputs = [x, gamma, beta, epsilon, *tail.extras]
    outputs = specs(shape, dtype, 3)
    exact = expect("batch_norm", inputs, outputs, params)
    targets = [relaid(poisoned(spec), rng) if strided else spec for spec in outputs]
    if tail.output is not None:
        targets[0] = tail.output
    results = run_kernel("batch_norm", inputs, targets, params, target)
    check(results, exact, x)
    check_gradient(rng, x, gamma, exact[1:3], dtype, target, strided)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_shapes_of_several_blocks(shape, target, dtype):
    rng = np.random.default_rng(2)
    (x, gamma, beta), epsilon = operands(rng, shape, dtype, strided=False)
    params = {"epilogue": Tape.identity(dtype)}
    outputs = specs(shape, dtype, 3)
    exact = expect("batch_norm", [x, gamma, beta, epsilon], outputs, params)
    check(run_kernel("batch_norm", [x, gamma, beta, epsilon], outputs, params, target), exact, x)
    check_gradient(rng, x, gamma, exact[1:3], dtype, target, strided=False)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(64, 3, 300), (3000, 5, 1)], ids=str)
def test_a_mean_that_is_large_beside_the_deviation(shape, target):
    """The mean of squares less the square of the mean would lose all digits here."""
    rng = np.random.default_rng(3)
    (x, gamma, beta), _ = operands(rng, shape, "float32", strided=False, offset=30_000.0)
    params = {"epilogue": Tape.identity("float32")}
    outputs = specs(shape, "float32", 3)
    inputs = [x, gamma, beta, np.float32(1e-5).reshape(())]
    exact = expect("batch_norm", inputs, outputs, params)
    y, _, invstd, variance = run_kernel("batch_norm", inputs, outputs, params, target)
    assert_near(y, exact[0], 1e-6)
    assert_near(invstd, exact[2], 1e-6)
    assert_near(variance, exact[3], 1e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_equal_values_have_no_deviation(target):
    x = np.full((9, 2, 700), 0.1, "float32")
    ones, zeros = np.ones(2, "float32"), np.zeros(2, "float32")
    params = {"epilogue": Tape.identity("float32")}
    inputs = [x, ones, zeros, np.float32(1e-4).reshape(())]
    y, mean, invstd, variance = run_kernel(
        "batch_norm", inputs, specs(x.shape, "float32", 3), params, target
    )
    np.testing.assert_allclose(mean, 0.1, rtol=1e-7)
    np.testing.assert_allclose(variance, 0, atol=1e-15)
    np.testing.assert_allclose(invstd, 100, rtol=1e-6)
    np.testing.assert_allclose(y, 0, atol=2e-6)


@pytest.mark.parametrize("target", TARGETS)
def test_nan_and_inf_stay_in_their_channel(target):
    rng = np.random.default_rng(4)
    for shape in ((4, 3, 50), (200, 3, 1)):
        (x, gamma, beta), epsilon = operands(rng, shape, "float32", strided=False)
        x[1, 0, 0], x[1, 2, 0] = np.nan, np.inf
        params = {"epilogue": Tape.identity("float32")}
        results = run_kernel(
            "batch_norm", [x, gamma, beta, epsilon], specs(shape, "float32", 3), params, target
        )
        y, mean, invstd, _ = results
        assert np.isnan(y[:, 0]).all()
        assert np.isnan(invstd[[0, 2]]).all()
        assert mean[2] == np.inf
        assert np.isfinite(y[:, 1]).all()


@pytest.mark.parametrize("shape", [(0, 3, 4), (0, 3, 1), (3, 0, 4), (3, 2, 0)], ids=str)
def test_no_values(shape):
    channels = np.ones(shape[1], "float32")
    x, epsilon = np.zeros(shape, "float32"), np.float32(1e-4).reshape(())
    params = {"epilogue": Tape.identity("float32")}
    y, *statistics = run_kernel(
        "batch_norm", [x, channels, channels, epsilon], specs(shape, "float32", 3), params
    )
    assert y.shape == shape
    assert all(np.isnan(s).all() for s in statistics)
    dx, dgamma, dbeta = run_kernel(
        "batch_norm_grad", [x, x, channels, channels, channels], specs(shape, "float32", 2)
    )
    assert dx.shape == shape
    assert not dgamma.any()
    assert not dbeta.any()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", [(40, 20, 576), (3000, 70, 1)], ids=str)
def test_same_bits_for_any_number_of_threads(shape, target):
    rng = np.random.default_rng(5)
    (x, gamma, beta), epsilon = operands(rng, shape, "float32", strided=False)
    params = {"epilogue": Tape.identity("float32")}
    g = normal(rng, shape, "float32")

    def all_results(threads):
        outputs = specs(shape, "float32", 3)
        inputs = [x, gamma, beta, epsilon]
        results = run_kernel("batch_norm", inputs, outputs, params, target, threads)
        gradient = [x, g, gamma, results[1], results[2]]
        return results + run_kernel(
            "batch_norm_grad", gradient, specs(shape, "float32", 2), {}, target, threads
        )

    first = all_results(1)
    for threads in (2, 4):
        for a, b in zip(first, all_results(threads), strict=True):
            np.testing.assert_array_equal(a, b)
