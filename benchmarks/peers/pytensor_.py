"""PyTensor, Theano's successor: a compiled function called for each step.

It has no convolution and no pooling for nets: both are written with slices, as for JAX.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.random.utils import RandomStream
from pytensor.tensor.special import log_softmax

from benchmarks.job import Job
from benchmarks.workloads import IMAGE, Conv, channels_last

ACTIVATIONS: dict[str | None, Any] = {
    "relu": lambda z: pt.maximum(z, np.float32(0)),
    "sigmoid": pt.sigmoid,
    None: lambda z: z,
}


def convolve(x: Any, w: Any, batch: int, before: int, side: int, layer: Conv) -> Any:
    """Patches of x (batch, h, w, before) times filters: (batch, side, side, maps)."""
    size = layer.size
    corners = [(i, j) for i in range(size) for j in range(size)]
    shifted = [x[:, i : i + side, j : j + side, :] for i, j in corners]
    patches = pt.concatenate(shifted, axis=3).reshape((batch * side**2, size * size * before))
    product = pt.dot(patches, w.reshape((-1, layer.maps)))
    return product.reshape((batch, side, side, layer.maps))


def max_pool(x: Any, batch: int, side: int, maps: int, size: int) -> Any:
    """The maximum over blocks, as that of a reshaped array."""
    return x.reshape((batch, side // size, size, side // size, size, maps)).max(axis=(2, 4))


class Steps:
    """Steps of one workload, compiled to C; mode: call."""

    quantum = 1

    def __init__(self, job: Job) -> None:
        self._workload = job.workload
        net, batch = job.workload.net, job.workload.batch
        side = IMAGE[1:]
        self._x = pytensor.shared(np.zeros((batch, *side, 1), "float32"), shape=(None, *side, 1))
        self._y = pytensor.shared(np.zeros(batch, "int32"), shape=(None,))
        self._initial = channels_last(net)
        self._weights = [
            tuple(pytensor.shared(v, shape=v.shape) for v in pair) for pair in self._initial
        ]
        i = pt.lscalar("i")
        rows = slice(i * batch, (i + 1) * batch)
        x = pt.specify_shape(self._x[rows], (batch, *side, 1))
        y = pt.specify_shape(self._y[rows], (batch,))
        cost = -log_softmax(self._forward(x), axis=1)[pt.arange(batch), y].mean()
        updates = {}
        for pair in self._weights:
            for variable, gradient in zip(pair, pytensor.grad(cost, list(pair)), strict=True):
                if net.decay and variable.ndim > 1:
                    gradient = gradient + np.float32(net.decay) * variable
                updates[variable] = variable - np.float32(net.rate) * gradient
        mode = pytensor.compile.mode.Mode("cvm", "fast_run")
        self._f = pytensor.function([i], cost, updates=updates, mode=mode, trust_input=True)

    def _forward(self, x: Any) -> Any:
        """Logits of the images x, (n, 28, 28, 1)."""
        batch, random = self._workload.batch, RandomStream(1)
        walk = self._workload.net.walk()
        for (layer, before, _), (w, b) in zip(walk, self._weights, strict=True):
            if isinstance(layer, Conv):
                side = before[1] - layer.size + 1
                x = convolve(x, w, batch, before[0], side, layer)
                x = max_pool(x, batch, side, layer.maps, layer.pool) + b
            else:
                x = x.reshape((batch, before[0]))
                if layer.dropout:
                    keep = np.float32(1 - layer.dropout)
                    draw = random.uniform(0, 1, size=(batch, before[0]), dtype="float32")
                    x = x * (draw < keep).astype("float32") / keep
                x = pt.dot(x, w) + b
            x = ACTIVATIONS[layer.activation](x)
        return x

    def load(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self._x.set_value(images.reshape(-1, *IMAGE[1:], 1), borrow=True)
        self._y.set_value(labels.astype("int32"), borrow=True)
        self._batches = [np.asarray(i) for i in range(len(images) // self._workload.batch)]
        self._next = 0

    def reset(self) -> None:
        self._next = 0
        for pair, values in zip(self._weights, self._initial, strict=True):
            for variable, value in zip(pair, values, strict=True):
                variable.set_value(value)

    def run(self, steps: int) -> NDArray[Any]:
        result: Any = np.empty(0)
        for _ in range(steps):
            result = self._f(self._batches[self._next])
            self._next = (self._next + 1) % len(self._batches)
        return np.atleast_1d(result)
