"""Max-pools that give the gradient to the first winner, behind a convolution, a bias and ReLU: the
fused kernels give exactly what the graph as it is written gives."""

from __future__ import annotations

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
from tinygrad_mnist.ops.pool import POOL2D
from tinygrad_mnist.tensor.nnet import conv2d, relu

AnyArray = NDArray[Any]
X, W, B, R = T.ftensor4("x"), T.ftensor4("w"), T.fvector("b"), T.ftensor4("r")
ACTIVATIONS = {
    "relu": relu,
    "zero second": lambda z: T.maximum(z, 0),
    "none": lambda z: z,
    "switch": lambda z: T.switch(z > 0, z, 0),
    "clipped": lambda z: T.clip(z, 0, 3),
}
FUSED = {"conv2d_bias_pool", "conv2d_pool_grad_input", "conv2d_pool_grad_filter"}
ALONE = {"conv2d", "pool2d", "pool2d_grad"}


def pooled(
    x: theano.Variable,
    window: tuple[int, int],
    stride: tuple[int, int] | None = None,
    padding: tuple[int, int] = (0, 0),
    ignore_border: bool = True,
) -> theano.Variable:
    params = {"window": window, "stride": stride or window, "padding": padding}
    y: theano.Variable = POOL2D(x, **params, ignore_border=ignore_border, winners=True, first=1)
    return y


def drawn(seed: int, size: tuple[int, int] = (11, 12), scale: float = 1.0) -> list[AnyArray]:
    """Images of small integers with a black border, filters and biases: all sums are exact."""
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (3, 2, *size)).astype("float32")
    x[:, :, : size[0] // 3] = x[:, :, :, -size[1] // 3 :] = 0
    w = rng.integers(-2, 3, (6, 2, 3, 3)).astype("float32")
    return [x, w, rng.integers(-2, 3, 6).astype("float32") * np.float32(scale)]


def assert_exact(y: theano.Variable, values: list[AnyArray]) -> dict[str, set[str]]:
    """The kernels of each device; results and gradients are those of the graph as written."""
    shape = evaluate("reference", [X, W, B], y, *values, on_unused_input="ignore").shape
    r = np.random.default_rng(9).integers(-2, 3, shape).astype("float32")
    outputs = [y, *T.grad(T.sum(y * R), [X, W, B], disconnected_inputs="ignore")]
    found, expected = {}, None
    for device in ("reference", "fused", "cpu"):
        with making_functions_for(device):
            function = theano.function([X, W, B, R], outputs, on_unused_input="ignore")
        results = function(*values, r)
        expected = expected or results
        for result, wanted in zip(results, expected, strict=True):
            np.testing.assert_array_equal(result, wanted, device)
        found[device] = {call.kernel for call in function.plan.calls}
    return found


@pytest.mark.parametrize("scale", [1.0, 0.25, -100.0, 2.0**25])
@pytest.mark.parametrize("window", [(2, 2), (3, 3), (1, 2), (4, 3), (1, 1)])
@pytest.mark.parametrize("activation", ["relu", "none"])
def test_fused(activation: str, window: tuple[int, int], scale: float) -> None:
    bias = B.dimshuffle("x", 0, "x", "x")
    y = pooled(ACTIVATIONS[activation](conv2d(X, W) + bias), window)
    found = assert_exact(y, drawn(1, scale=scale))
    for device in ("fused", "cpu"):
        assert found[device] >= FUSED
        assert not found[device] & ALONE


@given(
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    window=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    stride=st.one_of(st.none(), st.tuples(st.integers(1, 3), st.integers(1, 3))),
    ignore_border=st.booleans(),
    size=st.tuples(st.integers(7, 12), st.integers(7, 12)),
    scale=st.sampled_from([0.0, 1.0, 0.5, 2.0**25]),
    seed=st.integers(0, 2**16),
)
@settings(max_examples=40)
def test_any_pool(
    activation: str,
    window: tuple[int, int],
    stride: tuple[int, int] | None,
    ignore_border: bool,
    size: tuple[int, int],
    scale: float,
    seed: int,
) -> None:
    bias = B.dimshuffle("x", 0, "x", "x")
    dense = ACTIVATIONS[activation](conv2d(X, W) + bias)
    assert_exact(pooled(dense, window, stride, (0, 0), ignore_border), drawn(seed, size, scale))


def test_a_slope_of_1_at_0_stays_before_the_pool() -> None:
    """Where the greatest is 0, the first zero of ReLU's result may be a negative number of z."""
    dense = T.maximum(conv2d(X, W) + B.dimshuffle("x", 0, "x", "x"), 0)
    found = assert_exact(pooled(dense, (2, 2)), drawn(1))
    assert "pool2d_grad" in found["cpu"]


def test_the_plan_shows_it() -> None:
    """Where a mask is read; without gradients there is none."""
    x, w, _ = drawn(2)
    for y in (pooled(relu(conv2d(X, W)), (2, 2)), pooled(X, (3, 3), (1, 2), (1, 1))):
        slopes = T.grad(T.sum(T.sqr(y)), [X, W], disconnected_inputs="ignore")
        for outputs, is_shown in ((slopes, True), ([y], False)):
            function = theano.function([X, W], outputs, on_unused_input="ignore")
            function(x, w)
            assert ("first winner" in " ".join(str(function.plan).split())) == is_shown


def test_both_kinds_of_one_image() -> None:
    """A pool of the same images that gives all winners the gradient is another node."""
    x = np.ones((1, 1, 4, 4), "float32")
    params = {"window": (2, 2), "stride": (2, 2), "padding": (0, 0), "ignore_border": True}
    every, first = (T.sum(POOL2D(X, **params, winners=True, **more)) for more in ({}, {"first": 1}))
    both = theano.function([X], [T.grad(every, X), T.grad(first, X)])(x)
    np.testing.assert_array_equal(both[0], x)
    wanted = np.zeros_like(x)
    wanted[:, :, ::2, ::2] = 1
    np.testing.assert_array_equal(both[1], wanted)


def test_the_gradient_of_the_gradient() -> None:
    """It gathers at the same positions."""
    x, v = drawn(3)[0], T.ftensor4("v")
    y = pooled(X, (3, 2), (2, 2), (1, 0))
    (slope,) = T.grad(T.sum(y**3), [X])
    (second,) = T.grad(T.sum(slope * v), [X])
    values = [x, np.random.default_rng(5).integers(-2, 3, x.shape).astype("float32")]
    expected = evaluate("reference", [X, v], [slope, second], *values)
    results = evaluate("cpu", [X, v], [slope, second], *values)
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)
    assert 0 < np.count_nonzero(results[1]) < x.size / 2
