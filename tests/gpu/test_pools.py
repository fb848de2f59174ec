"""A max-pool behind a convolution with bias and ReLU: on a GPU, a CPU and in the reference, which
runs the graph as it is written, values and gradients are the same.

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
