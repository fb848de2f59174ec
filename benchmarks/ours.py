"""This package: a function called for each step, and its sweep over many steps."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from benchmarks.job import Job
from benchmarks.workloads import PIXELS, Conv, initial_weights
from tinygrad_mnist.tensor.nnet import conv2d, sigmoid, softmax
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams
from tinygrad_mnist.tensor.signal import pool

ACTIVATIONS: dict[str | None, Any] = {
    "relu": lambda z: T.maximum(0.0, z),
    "sigmoid": sigmoid,
    None: lambda z: z,
}


def _versions() -> dict[str, str]:
    """Of what makes our kernels on a GPU."""
    return {name: metadata.version(name) for name in ("numba", "numba-cuda", "cuda-bindings")}


class Steps:
    """Steps of one workload; mode: call or loop (sweep)."""

    def __init__(self, job: Job) -> None:
        theano.config.floatX = "float32"
        theano.config.threads = job.threads
        theano.config.device = job.device
        self.details = _versions() if job.device == "cuda" else {}
        self._workload = job.workload
        self._loops = job.loops
        self.quantum = job.loop if self._loops else 1
        self._x = theano.shared(np.zeros((job.workload.batch, PIXELS), np.float32), "x")
        self._y = theano.shared(np.zeros(job.workload.batch, np.int32), "y")
        self._initial = initial_weights(job.workload.net)
        self._weights = [(theano.shared(w, "w"), theano.shared(b, "b")) for w, b in self._initial]
        self._batches, self._next = 1, 0
        self._f = self._infer() if job.workload.infer else self._train()

    def load(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self._x.set_value(images)
        self._y.set_value(labels.astype(np.int32))
        self._batches = len(images) // self._workload.batch
        self._next = 0

    def reset(self) -> None:
        self._next = 0
        for variables, values in zip(self._weights, self._initial, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.set_value(value)

    def _forward(self, x: T.Variable) -> T.Variable:
        """Logits of the images x, (n, 784)."""
        random = RandomStreams(0)
        net = self._workload.net
        for (layer, before, _), (w, b) in zip(net.walk(), self._weights, strict=True):
            if isinstance(layer, Conv):
                images = x.reshape((self._workload.batch, *before))
                maps = conv2d(images, w, filter_flip=False)
                x = pool.pool_2d(maps, ws=(layer.pool, layer.pool), ignore_border=True)
                x = x + b.dimshuffle("x", 0, "x", "x")
            else:
                x = x.reshape((self._workload.batch, before[0]))
                if layer.dropout and not self._workload.infer:
                    keep = 1 - layer.dropout
                    mask = random.binomial(n=1, p=keep, size=x.shape)
                    x = x * T.cast(mask, "float32") / keep
                x = T.dot(x, w) + b
            x = ACTIVATIONS[layer.activation](x)
        return x

    def _batch(self, data: T.Variable, i: T.Variable) -> T.Variable:
        return data[i * self._workload.batch : (i + 1) * self._workload.batch]

    def _train(self) -> Any:
        net = self._workload.net
        i = T.lscalar("i")
        labels = self._batch(self._y, i)
        logits = self._forward(self._batch(self._x, i))
        cost = -T.mean(T.log(softmax(logits))[T.arange(self._workload.batch), labels])
        updates = []
        for w, b in self._weights:
            dw, db = theano.grad(cost, [w, b])
            decayed = dw + net.decay * w if net.decay else dw
            updates += [(w, w - net.rate * decayed), (b, b - net.rate * db)]
        return theano.function([i], cost, updates=updates, name="train")

    def _infer(self) -> Any:
        i = T.lscalar("i")
        return theano.function([i], self._forward(self._batch(self._x, i)), name="infer")

    def run(self, steps: int) -> NDArray[Any]:
        result: NDArray[Any] = np.empty(0)
        for _ in range(steps // self.quantum):
            numbers = [(self._next + k) % self._batches for k in range(self.quantum)]
            result = self._f.sweep(numbers) if self._loops else self._f(self._next)
            self._next = (self._next + self.quantum) % self._batches
        return np.atleast_1d(result)
