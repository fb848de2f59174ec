"""A net whose max-pools follow bias, activation and batch normalisation, at inference.

A golden plan names the lines of this file.
"""

from __future__ import annotations

import numpy as np
from helpers.conv2_relu import weights

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import conv2d, relu
from tinygrad_mnist.tensor.nnet.bn import batch_normalization_test
from tinygrad_mnist.tensor.signal import pool


def pooled_inference() -> theano.Function:
    """tanh between a convolution and its pool, and batch normalisation and ReLU between others."""
    rng = np.random.default_rng(1)
    w1, b1, w2 = (
        weights(rng, name, *shape)
        for name, shape in (("w1", (20, 1, 5, 5)), ("b1", (20,)), ("w2", (40, 20, 5, 5)))
    )
    gamma, beta, mean, variance = (weights(rng, n, 40) for n in ("gamma", "beta", "mean", "var"))
    x = T.ftensor4("x")
    z = T.tanh(conv2d(x, w1) + b1.dimshuffle("x", 0, "x", "x"))
    z = conv2d(pool.pool_2d(z, (2, 2), ignore_border=True), w2)
    z = relu(batch_normalization_test(z, gamma, beta, mean, variance, axes="spatial"))
    return theano.function([x], pool.pool_2d(z, (2, 2), ignore_border=True))
