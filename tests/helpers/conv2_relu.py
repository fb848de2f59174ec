"""A training step of the book's convolutional net, written in Theano's API.

A golden plan names the lines of this file.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import conv2d
from tinygrad_mnist.tensor.signal import pool


def weights(rng: np.random.Generator, name: str, *shape: int) -> Any:
    return theano.shared(rng.normal(scale=0.1, size=shape).astype("float32"), name=name)


def convolution(x: Any, w: Any, b: Any) -> Any:
    pooled = pool.pool_2d(conv2d(x, w), (2, 2), ignore_border=True)
    return T.nnet.relu(pooled + b.dimshuffle("x", 0, "x", "x"))


def conv2_relu_step(mini_batch: int = 10, images: int = 25) -> theano.Function:
    """A step of SGD for the book's two convolutions, a ReLU layer and a softmax, with L2."""
    rng = np.random.default_rng(1)
    data = theano.shared(rng.uniform(size=(images, 784)).astype("float32"), name="data")
    labels = T.cast(theano.shared(rng.integers(0, 10, images), name="labels"), "int32")
    w1, b1 = weights(rng, "w1", 20, 1, 5, 5), weights(rng, "b1", 20)
    w2, b2 = weights(rng, "w2", 40, 20, 5, 5), weights(rng, "b2", 40)
    w3, b3 = weights(rng, "w3", 640, 100), weights(rng, "b3", 100)
    w4, b4 = weights(rng, "w4", 100, 10), weights(rng, "b4", 10)
    params = [w1, b1, w2, b2, w3, b3, w4, b4]
    x, y, i = T.matrix("x"), T.ivector("y"), T.lscalar("i")
    hidden = convolution(x.reshape((mini_batch, 1, 28, 28)), w1, b1)
    hidden = convolution(hidden, w2, b2).reshape((mini_batch, 640))
    hidden = T.nnet.relu(T.dot(hidden, w3) + b3)
    scores = T.nnet.softmax(T.dot(hidden, w4) + b4)
    squares = sum((T.sum(w**2) for w in (w2, w3, w4)), T.sum(w1**2))
    cost = -T.mean(T.log(scores)[T.arange(y.shape[0]), y]) + 0.5 * 0.1 * squares / 100
    updates = [(p, p - 0.03 * g) for p, g in zip(params, T.grad(cost, params), strict=True)]
    here = slice(i * mini_batch, (i + 1) * mini_batch)
    return theano.function([i], cost, updates=updates, givens={x: data[here], y: labels[here]})
