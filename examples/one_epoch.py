"""More than 99 % of MNIST's test images after one pass over the training images, in seconds.

    python examples/one_epoch.py [seed]

A net like the book's conv2-relu, written as expressions. Three things make one pass enough:
Nesterov's momentum, a learning rate that rises in the first fifth of the steps and then falls to
zero, and targets that leave 5 % to all digits (label smoothing). The whole schedule is part of the
compiled step, so a sweep runs it without returning to Python. It sees all 60,000 images that MNIST
has for training, since nothing is chosen by validation.

The printed time starts with the images in memory and ends with the last step. It includes initial
weights, gradients, compilation and all steps.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T
from tinygrad_mnist.datasets import load_mnist
from tinygrad_mnist.tensor.nnet import conv2d, softmax
from tinygrad_mnist.tensor.signal import pool

theano.config.floatX = "float32"

BATCH = 50
PEAK_RATE, WARM_UP = 0.15, 0.2  # learning rate at its highest; the part of the steps before that
MOMENTUM = 0.9
SMOOTHING = 0.05
MAPS = (20, 40)
HIDDEN = 100


def parameters(seed: int) -> list[Any]:
    """Filters and weights ~ N(0, 2 / fan-in), each followed by its biases, zeros."""
    rng = np.random.default_rng(seed)
    shapes = [(MAPS[0], 1, 5, 5), (MAPS[1], MAPS[0], 5, 5), (MAPS[1] * 16, HIDDEN), (HIDDEN, 10)]
    shared = []
    for shape in shapes:
        units, fan_in = (shape[0], np.prod(shape[1:])) if len(shape) == 4 else shape[::-1]
        w = rng.standard_normal(shape) * np.sqrt(2 / fan_in)
        shared += [theano.shared(w.astype("float32")), theano.shared(np.zeros(units, "float32"))]
    return shared


def logits(params: list[Any], images: Any, n: int) -> Any:
    """The logits (n, 10) of n images (n, 784)."""
    w1, b1, w2, b2, w3, b3, w4, b4 = params
    x = images.reshape((n, 1, 28, 28))
    for w, b in ((w1, b1), (w2, b2)):
        maps = pool.pool_2d(conv2d(x, w), ws=(2, 2), ignore_border=True)
        x = T.maximum(0.0, maps + b.dimshuffle("x", 0, "x", "x"))
    x = T.maximum(0.0, T.dot(x.flatten(2), w3) + b3)
    return T.dot(x, w4) + b4


def training_step(params: list[Any], images: Any, labels: Any, order: Any, steps: int) -> Any:
    """A function of the step's number that trains on that step's images of `order` and returns the
    cost."""
    i = T.lscalar("i")
    batch = order[i * BATCH : (i + 1) * BATCH]
    log_p = T.log(softmax(logits(params, images[batch], BATCH)))
    right = T.mean(log_p[T.arange(BATCH), labels[batch]])
    cost = -(1 - SMOOTHING) * right - SMOOTHING * T.mean(log_p)
    done = T.cast(i, "float32") / steps
    rate = PEAK_RATE * T.minimum((done + 1e-3) / WARM_UP, (1 - done) / (1 - WARM_UP))
    updates = []
    for param, gradient in zip(params, theano.grad(cost, params), strict=True):
        velocity = theano.shared(np.zeros(param.get_value().shape, "float32"))
        faster = MOMENTUM * velocity + gradient
        updates += [
            (velocity, faster),
            (param, param - rate * (gradient + MOMENTUM * faster)),
        ]
    return theano.function([i], cost, updates=updates)


def accuracy_on(params: list[Any], images: Any, labels: Any) -> float:
    """The share of images that the net reads correctly; above 1000, only whole thousands count."""
    x, y = theano.shared(images.astype("float32")), theano.shared(labels.astype("int32"))
    n = min(1000, len(images))
    i = T.lscalar("i")
    batch = slice(i * n, (i + 1) * n)
    digits = T.argmax(logits(params, x[batch], n), axis=1)
    right = theano.function([i], T.mean(T.eq(digits, y[batch])))
    return float(np.mean(right.sweep(np.arange(len(images) // n))))


def main() -> None:
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    data = load_mnist()
    both = zip(data.training, data.validation, strict=True)
    images, labels = (theano.shared(np.concatenate(arrays)) for arrays in both)
    start = time.perf_counter()
    steps = len(images.get_value(borrow=True)) // BATCH
    order = theano.shared(np.random.default_rng(seed).permutation(steps * BATCH))
    params = parameters(seed)
    step = training_step(params, images, labels, order, steps)
    step.sweep(np.arange(steps))
    seconds = time.perf_counter() - start
    accuracy = accuracy_on(params, *data.test)
    after = f"{steps} step{'s' * (steps != 1)}"
    print(f"{accuracy:.2%} of the test images after {after} in {seconds:.2f} s")


if __name__ == "__main__":
    main()
