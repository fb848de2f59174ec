"""Max-pools behind a convolution, a bias and an activation: which of them become one kernel, and
that values, winners and gradients are exactly those of the graph as it is written.

All sums are exact here, in any order: images, filters and weights of the cost are small integers.
So results may be compared bit for bit, also those of kernels that add in another order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import evaluate
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.backends import BACKENDS
from tinygrad_mnist.tensor.nnet import conv2d, relu
from tinygrad_mnist.tensor.nnet.bn import batch_normalization_test
from tinygrad_mnist.tensor.signal import pool

AnyArray = NDArray[Any]
Expression = Callable[[theano.Variable], theano.Variable]
X, W, B, R = T.ftensor4("x"), T.ftensor4("w"), T.fvector("b"), T.ftensor4("r")
BIAS = B.dimshuffle("x", 0, "x", "x")

ACTIVATIONS: dict[str, Expression] = {
    "relu": relu,
    "zero second": lambda z: T.maximum(z, 0),
    "none": lambda z: z,
    "leaky": lambda z: relu(z, 0.1),
    "switch": lambda z: T.switch(z > 0, z, 0),
    "tanh": T.tanh,
    "sigmoid": T.nnet.sigmoid,
    "clipped": lambda z: T.clip(z, 0, 3),
}
MOVED = ("relu", "zero second", "none")
WINDOWS = [(2, 2), (3, 3), (1, 2), (4, 2), (1, 1)]


def pooled(x: theano.Variable, window: tuple[int, int], ignore_border: bool = True) -> Any:
    return pool.pool_2d(x, window, ignore_border=ignore_border)


def whole(rng: np.random.Generator, *shape: int) -> AnyArray:
    return rng.integers(-2, 3, shape).astype("float32")


def images(rng: np.random.Generator, *shape: int) -> AnyArray:
    """Small integers with a black border, over which the patches are equal."""
    x = whole(rng, *shape)
    x[:, :, : shape[2] // 3] = x[:, :, :, -shape[3] // 3 :] = 0
    return x


# Biases of six channels: some windows are all negative, or all zero; and large ones, with which
# sums round to multiples of 4, so that positions tie which differ without them.
BIASES = {
    "whole": np.float32([0, 1, -1, 2, -3, -0.0]),
    "fractions": np.float32([0.25, -0.5, 1.75, -7.125, 0, 3.5]),
    "negative": np.float32([-100, -64, -1, -300, 0, -50]),
    "rounds": np.float32([2**25, -(2**25), 2**26, 2**24, 0, 2**25 + 4]),
    "special": np.float32([np.nan, np.inf, -np.inf, 0, 1, -1]),
}


def outcome(
    device: str, order: Expression, values: Sequence[AnyArray], **options: Any
) -> tuple[list[AnyArray], list[str]]:
    """The result of an order, the gradients of sum(result * r), and the kernels that ran."""
    y = order(X)
    cost = T.sum(y * R)
    outputs = [y, *T.grad(cost, [X, W, B], disconnected_inputs="ignore")]
    with making_functions_for(device):
        function = theano.function([X, W, B, R], outputs, on_unused_input="ignore", **options)
    r = whole(
        np.random.default_rng(9),
        *evaluate("reference", [X, W, B], y, *values, on_unused_input="ignore").shape,
    )
    results = function(*values, r)
    assert all(count > 0 for count in function.plan.rewrites.values())
    return results, [call.kernel for call in function.plan.calls]


def assert_exact(order: Expression, values: Sequence[AnyArray]) -> dict[str, list[str]]:
    """The kernels of each device, whose results equal those of the graph as it is written."""
    expected, kernels = outcome("reference", order, values)
    found = {"reference": kernels}
    for device in ("fused", "cpu"):
        results, found[device] = outcome(device, order, values)
        for result, wanted in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result, wanted, device)
    return found


def drawn(seed: int, bias: AnyArray, size: tuple[int, int] = (11, 12)) -> list[AnyArray]:
    rng = np.random.default_rng(seed)
    return [images(rng, 3, 2, *size), whole(rng, 6, 2, 3, 3), bias]


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("activation", MOVED)
def test_equal_to_the_graph_as_written(activation: str, window: tuple[int, int], bias: str) -> None:
    def order(x: theano.Variable) -> theano.Variable:
        return pooled(ACTIVATIONS[activation](conv2d(x, W) + BIAS), window)

    kernels = assert_exact(order, drawn(1, BIASES[bias]))
    for device in ("fused", "cpu"):
        used = set(kernels[device])
        assert {"conv2d_bias_pool", "conv2d_pool_grad_input", "conv2d_pool_grad_filter"} <= used
        assert not used & {"conv2d", "pool2d", "pool2d_grad"}


@pytest.mark.parametrize("activation", MOVED)
def test_one_bias_for_all_channels(activation: str) -> None:
    def order(x: theano.Variable) -> theano.Variable:
        return pooled(ACTIVATIONS[activation](conv2d(x, W) + T.sum(B).dimshuffle(*"xxxx")), (2, 2))

    kernels = assert_exact(order, drawn(10, BIASES["whole"]))
    for device in ("fused", "cpu"):
        assert not set(kernels[device]) & {"conv2d", "pool2d", "pool2d_grad"}


@pytest.mark.parametrize("activation", ["relu", "zero second"])
def test_without_a_bias(activation: str) -> None:
    def order(x: theano.Variable) -> theano.Variable:
        return pooled(ACTIVATIONS[activation](conv2d(x, W)), (2, 2))

    kernels = assert_exact(order, drawn(2, BIASES["whole"]))
    assert "conv2d_pool" in kernels["cpu"]
    assert not set(kernels["cpu"]) & {"conv2d", "pool2d", "pool2d_grad"}


@pytest.mark.parametrize("bias", ["whole", "rounds", "special"])
@pytest.mark.parametrize("ignore_border", [True, False])
@pytest.mark.parametrize("size", [(10, 10), (11, 13), (5, 4)])
def test_borders(size: tuple[int, int], ignore_border: bool, bias: str) -> None:
    assert_exact(
        lambda x: pooled(relu(conv2d(x, W) + BIAS), (2, 2), ignore_border),
        drawn(3, BIASES[bias], size),
    )


def test_all_negative_windows_have_no_gradient() -> None:
    values = drawn(4, np.full(6, -1000, "float32"))
    results, _ = outcome("cpu", lambda x: pooled(relu(conv2d(x, W) + BIAS), (2, 2)), values)
    for result in results:
        np.testing.assert_array_equal(result, 0)


def test_every_winner_has_the_whole_gradient() -> None:
    """A black image ties everywhere: each of the four positions counts for the bias."""
    values = [np.zeros((1, 2, 6, 6), "float32"), np.ones((6, 2, 3, 3), "float32")]
    bias = np.float32([1, 2, 0, -1, 1e-30, 5])
    with making_functions_for("cpu"):
        y = pooled(relu(conv2d(X, W) + BIAS), (2, 2))
        slope = theano.function([X, W, B], T.grad(T.sum(y), B))
        np.testing.assert_array_equal(slope(*values, bias), [16, 16, 0, 0, 16, 16])
        assert "conv2d_bias_pool" in [call.kernel for call in slope.plan.calls]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("activation", MOVED)
def test_special_pixels(activation: str, value: float) -> None:
    """Values only: in the gradients of the dense kernels 0 * inf is NaN."""
    values = drawn(5, BIASES["whole"])
    values[0][0, 0, 4, 4] = values[0][1, 1, 7, 3] = value
    y = pooled(ACTIVATIONS[activation](conv2d(X, W) + BIAS), (2, 2))
    expected = evaluate("reference", [X, W, B], y, *values)
    for device in ("fused", "cpu"):
        np.testing.assert_array_equal(evaluate(device, [X, W, B], y, *values), expected)


@settings(max_examples=60, deadline=None)
@given(
    channels=st.integers(1, 3),
    filters=st.sampled_from([1, 3, 9, 17]),
    size=st.tuples(st.integers(5, 13), st.integers(5, 13)),
    kernel=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    window=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    border_mode=st.sampled_from(["valid", "half", "full"]),
    subsample=st.sampled_from([(1, 1), (2, 1)]),
    activation=st.sampled_from(MOVED),
    scale=st.sampled_from([1.0, 0.5, 2.0**25]),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_layer(
    channels: int,
    filters: int,
    size: tuple[int, int],
    kernel: tuple[int, int],
    window: tuple[int, int],
    border_mode: str,
    subsample: tuple[int, int],
    activation: str,
    scale: float,
    seed: int,
) -> None:
    positions = [
        (n + {"valid": 0, "half": 2 * (k // 2), "full": 2 * k - 2}[border_mode] - k) // s + 1
        for n, k, s in zip(size, kernel, subsample, strict=True)
    ]
    window = (min(window[0], positions[0]), min(window[1], positions[1]))
    rng = np.random.default_rng(seed)
    values = [
        images(rng, 2, channels, *size),
        whole(rng, filters, channels, *kernel),
        whole(rng, filters) * np.float32(scale),
    ]

    def order(x: theano.Variable) -> theano.Variable:
        z = conv2d(x, W, border_mode=border_mode, subsample=subsample)
        return pooled(ACTIVATIONS[activation](z + BIAS), window)

    assert_exact(order, values)


# --- what stays as it is ------------------------------------------------------------------------


@pytest.mark.parametrize("bias", ["fractions", "rounds"])
@pytest.mark.parametrize("activation", sorted(ACTIVATIONS.keys() - set(MOVED)))
def test_other_activations_stay_before_the_pool(activation: str, bias: str) -> None:
    """They round, so that other positions tie behind them: with gradients that matters."""
    values = drawn(6, BIASES[bias])
    y = pooled(ACTIVATIONS[activation](conv2d(X, W) + BIAS), (2, 2))
    outputs = [y, *T.grad(T.sum(y), [X, W, B])]
    expected = evaluate("reference", [X, W, B], outputs, *values)
    with making_functions_for("cpu"):
        function = theano.function([X, W, B], outputs)
        results = function(*values)
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, wanted, rtol=1e-5, atol=1e-4)
    assert "pool2d_grad" in [call.kernel for call in function.plan.calls]


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("slope", [0.1, 0.3, 1e-30, 1.0, 2.5, -0.5])
def test_leaky_relu_at_inference(slope: float, bias: str) -> None:
    """It moves if it rises: the maximum of the results is the result of the maximum, with the same
    bits. Normal numbers, so that products round."""
    rng = np.random.default_rng(12)
    values = [rng.normal(size=s).astype("float32") for s in ((3, 2, 9, 11), (6, 2, 3, 3))]
    dense = relu(conv2d(X, W) + BIAS, slope)
    y = pooled(dense, (2, 2))
    for device in ("fused", "cpu"):
        with making_functions_for(device):
            function = theano.function([X, W, B], y)
            result = function(*values, BIASES[bias])
        wanted = evaluate(device, [X, W, B], dense, *values, BIASES[bias])[:, :, :6, :8]
        wanted = wanted.reshape(3, 6, 3, 2, 4, 2).max((3, 5))
        np.testing.assert_array_equal(result, wanted)
        kernels = [call.kernel for call in function.plan.calls]
        assert ("pool2d" in kernels) == (slope < 0)


READ_TOO: dict[str, Callable[[Any, Any, Any], list[Any]]] = {
    "the convolution with its bias": lambda z, a, y: [T.sum(z)],
    "the activation": lambda z, a, y: [a],
    "the slope of the activation": lambda z, a, y: [T.sum(T.grad(T.sum(y * y), a))],
    "who wins": lambda z, a, y: [T.grad(T.sum(T.sqr(T.grad(T.sum(y * y), W))), W)],
}


@pytest.mark.parametrize("read", READ_TOO)
def test_what_is_read_besides(read: str) -> None:
    values = drawn(7, BIASES["whole"])
    z = conv2d(X, W) + BIAS
    a = relu(z)
    y = pooled(a, (2, 2))
    outputs = [*READ_TOO[read](z, a, y), y, *T.grad(T.sum(y * y), [X, W, B])]
    expected = evaluate("reference", [X, W, B], outputs, *values)
    for device in ("fused", "cpu"):
        results = evaluate(device, [X, W, B], outputs, *values)
        for result, wanted in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, wanted, rtol=1e-6, err_msg=device)


@pytest.mark.parametrize("missing", ["conv2d_bias_pool", "conv2d_pool_grad_filter"])
def test_only_kernels_of_the_backend(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(BACKENDS["cpu"])
    kernels = BACKENDS["cpu"].kernels - {missing}
    monkeypatch.setattr(kind, "kernels", property(lambda self: kernels))
    found = assert_exact(
        lambda x: pooled(relu(conv2d(x, W) + BIAS), (2, 2)), drawn(8, BIASES["rounds"])
    )
    assert missing not in found["cpu"]
    assert "pool2d_grad" in found["cpu"]


@pytest.mark.parametrize("gamma", [2.0, -2.0, 0.0, -0.0])
@pytest.mark.parametrize("activation", ["relu", "none"])
def test_batch_norm_at_inference(activation: str, gamma: float) -> None:
    """With a negative scale the least position wins, with 0 all of them; the sign is known when
    the function runs. The arithmetic is exact: sqrt(variance + epsilon) is 0.5."""
    values = drawn(9, BIASES["whole"])
    scale, shift, mean, variance = (np.full(6, v, "float32") for v in (gamma, 1.0, -4.0, 0.125))
    scale[::2] *= -4
    z = batch_normalization_test(
        conv2d(X, W) + BIAS, scale, shift, mean, variance, axes="spatial", epsilon=0.125
    )
    y = pooled(ACTIVATIONS[activation](z), (2, 2))
    dense = evaluate("reference", [X, W, B], conv2d(X, W) + BIAS, *values)
    exact = (dense + 4) * 2 * scale[:, None, None] + 1
    if activation == "relu":
        exact = np.maximum(exact, 0)
    wanted = exact[:, :, :8, :10].reshape(3, 6, 4, 2, 5, 2).max((3, 5))
    for device in ("reference", "fused", "cpu"):
        np.testing.assert_array_equal(evaluate(device, [X, W, B], y, *values), wanted[:, :, :4])


# --- plans --------------------------------------------------------------------------------------


def step(keras: bool) -> theano.Variable:
    """A training step of two convolutions and a softmax, with SGD."""
    rng = np.random.default_rng(10)

    def shared(*shape: int) -> theano.Variable:
        return theano.shared(rng.normal(size=shape).astype("float32") / 4)

    def layer(x: theano.Variable, w: theano.Variable, b: theano.Variable) -> theano.Variable:
        z, bias = conv2d(x, w), b.dimshuffle("x", 0, "x", "x")
        return pooled(relu(z + bias), (2, 2)) if keras else relu(pooled(z, (2, 2)) + bias)

    params = [shared(*s) for s in ((8, 1, 3, 3), (8,), (12, 8, 3, 3), (12,), (300, 10), (10,))]
    h = layer(layer(X, *params[:2]), *params[2:4]).flatten(2)
    p = T.nnet.softmax(T.dot(h, params[4]) + params[5])
    cost = -T.mean(T.log(p)[T.arange(5), T.arange(5)])
    updates = [(v, v - 0.1 * g) for v, g in zip(params, T.grad(cost, params), strict=True)]
    return theano.function([X], cost, updates=updates)


@pytest.mark.parametrize("device", ["fused", "cpu"])
def test_both_orders_have_as_many_calls(device: str) -> None:
    x = np.random.default_rng(11).random((5, 1, 28, 28)).astype("float32")
    with making_functions_for(device):
        functions = [step(keras=False), step(keras=True)]
    costs = [[float(function(x)) for _ in range(3)] for function in functions]
    np.testing.assert_allclose(costs[1], costs[0], rtol=1e-4)
    book, keras = ([call.kernel for call in f.plan.calls] for f in functions)
    assert [k.replace("_bias", "") for k in keras] == book
