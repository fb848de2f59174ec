"""A max-pool behind a convolution, a bias, batch normalisation and ReLU: on a GPU, a CPU and in the
reference, which runs the graph as it is written, values and gradients are the same.

Images and filters are small integers, so all sums are exact in any order.
"""

from __future__ import annotations

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.gpu import BACKEND

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import conv2d, relu
from tinygrad_mnist.tensor.nnet.bn import batch_normalization_test
from tinygrad_mnist.tensor.signal import pool

pytestmark = [pytest.mark.sim, pytest.mark.gpu]

BIASES = {
    "whole": np.float32([0, 1, -2]),
    "negative": np.float32([-100, -1, 0]),
    "rounds": np.float32([2**25, -(2**25), 2**26]),  # positions tie that differ without it
    "special": np.float32([np.nan, np.inf, -np.inf]),
}


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("window", [(2, 2), (3, 3)])
def test_values_and_gradients(window: tuple[int, int], bias: str) -> None:
    x, w, b = T.ftensor4("x"), T.ftensor4("w"), T.fvector("b")
    y = pool.pool_2d(
        relu(conv2d(x, w) + b.dimshuffle("x", 0, "x", "x")), window, ignore_border=True
    )
    outputs = [y, *T.grad(T.sum(y), [x, w, b])]
    rng = np.random.default_rng(1)
    values = [rng.integers(-2, 3, s).astype("float32") for s in ((2, 2, 8, 9), (3, 2, 3, 3))]
    values[0][:, :, :4] = 0
    results = {}
    for device in ("reference", "cpu", BACKEND):
        with making_functions_for(device):
            function = theano.function([x, w, b], outputs)
            results[device] = function(*values, BIASES[bias])
    assert "conv2d_bias_pool" in [call.kernel for call in function.plan.calls]
    assert "pool2d_grad" not in [call.kernel for call in function.plan.calls]
    for device in ("cpu", BACKEND):
        for result, wanted in zip(results[device], results["reference"], strict=True):
            np.testing.assert_array_equal(result, wanted, device)


def test_one_number_as_bias() -> None:
    """It is added before positions are compared, too: with it they tie."""
    x, w, b = T.ftensor4("x"), T.ftensor4("w"), T.fscalar("b")
    y = pool.pool_2d(relu(conv2d(x, w) + b), (2, 2), ignore_border=False)
    outputs = [y, *T.grad(T.sum(y), [x, w])]
    rng = np.random.default_rng(2)
    values = [rng.integers(-2, 3, s).astype("float32") for s in ((2, 2, 8, 10), (3, 2, 3, 3))]
    results = {}
    for device in ("reference", "cpu", BACKEND):
        with making_functions_for(device):
            function = theano.function([x, w, b], outputs)
            results[device] = function(*values, np.float32(2**25))
    assert "conv2d_bias_pool" in [call.kernel for call in function.plan.calls]
    for device in ("cpu", BACKEND):
        for result, wanted in zip(results[device], results["reference"], strict=True):
            np.testing.assert_array_equal(result, wanted, device)


@pytest.mark.parametrize("bias", ["whole", "special"])
def test_batch_norm_of_either_sign(bias: str) -> None:
    """A negative scale wants the smallest number of a window; with 0, infinities give NaN."""
    x, w, b, *parameters = T.ftensor4("x"), T.ftensor4("w"), *(T.fvector(n) for n in "bgsmv")
    z = conv2d(x, w) + b.dimshuffle("x", 0, "x", "x")
    z = relu(batch_normalization_test(z, *parameters, axes="spatial", epsilon=0.125))
    y = pool.pool_2d(z, (2, 2), ignore_border=True)
    rng = np.random.default_rng(3)
    values = [rng.integers(-2, 3, s).astype("float32") for s in ((2, 2, 8, 9), (3, 2, 3, 3))]
    vectors = ([2, -0.5, 0], [1, -1, 3], [1, 2, -3], [0.125, 0.125, 0.125])
    results = {}
    for device in ("reference", "cpu", BACKEND):
        with making_functions_for(device):
            function = theano.function([x, w, b, *parameters], y)
            results[device] = function(*values, BIASES[bias], *map(np.float32, vectors))
    assert "conv2d_bias_pool" in [call.kernel for call in function.plan.calls]
    for device in ("cpu", BACKEND):
        np.testing.assert_array_equal(results[device], results["reference"], device)
