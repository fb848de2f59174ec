"""A training step of a net with batch normalisation: of maps of a convolution, and of neurons."""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.conv2_relu import weights

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.tensor.nnet import conv2d, relu
from tinygrad_mnist.tensor.nnet.bn import batch_normalization_train
from tinygrad_mnist.tensor.signal import pool

MAPS, NEURONS, SIDE = 3, 20, 28


def batch_norm_step(mini_batch: int = 16, images: int = 48) -> theano.Function:
    """A step of SGD. A map has so many values that several blocks normalise it; a neuron's are few.
    Running averages are updated, too."""
    rng = np.random.default_rng(2)
    data = theano.shared(rng.uniform(size=(images, 1, SIDE, SIDE)).astype("float32"), "data")
    labels = theano.shared(rng.integers(0, 10, images), "labels")
    pooled = MAPS * 13 * 13
    w1, w2, w3 = (
        weights(rng, name, *shape)
        for name, shape in (
            ("w1", (MAPS, 1, 3, 3)),
            ("w2", (pooled, NEURONS)),
            ("w3", (NEURONS, 10)),
        )
    )
    params: list[Any] = [w1, w2, w3]
    averages: list[Any] = []
    i = T.lscalar("i")
    here = slice(i * mini_batch, (i + 1) * mini_batch)

    def normalised(z: T.Variable, n: int, axes: str) -> T.Variable:
        scale, shift, mean, variance = (weights(rng, name, n) for name in ("s", "b", "m", "v"))
        y, _, _, *running = batch_normalization_train(
            z, 1 + scale, shift, axes, running_mean=mean, running_var=variance
        )
        params.extend((scale, shift))
        averages.extend(zip((mean, variance), running, strict=True))
        return relu(y)

    maps = normalised(conv2d(data[here], w1), MAPS, "spatial")
    hidden = pool.pool_2d(maps, (2, 2), ignore_border=True).reshape((mini_batch, pooled))
    hidden = normalised(T.dot(hidden, w2), NEURONS, "per-activation")
    scores = T.nnet.softmax(T.dot(hidden, w3))
    cost = -T.mean(T.log(scores)[T.arange(mini_batch), labels[here]])
    updates = [(p, p - 0.1 * g) for p, g in zip(params, T.grad(cost, params), strict=True)]
    return theano.function([i], cost, updates=updates + averages)
