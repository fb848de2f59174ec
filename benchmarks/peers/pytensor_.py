"""PyTensor, Theano's successor: a compiled function called for each step.

It has no convolution and no pooling for nets: both are written with slices, as for JAX.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytensor
import pytensor.tensor as pt
from numpy.typing import NDArray
from pytensor.tensor.random.utils import RandomStream
from pytensor.tensor.special import log_softmax

from benchmarks.job import Job
from benchmarks.workloads import (
    AVERAGING,
    EPSILON,
    IMAGE,
    Adam,
    Conv,
    Shape,
    channels_last,
    initial_averages,
)

ACTIVATIONS: dict[str | None, Any] = {
    "relu": lambda z: pt.maximum(z, np.float32(0)),
    "sigmoid": pt.sigmoid,
    None: lambda z: z,
}


def convolve(x: Any, w: Any, batch: int, before: Shape, layer: Conv) -> Any:
    """Patches of x (batch, h, w, maps before) times filters: (batch, side, side, maps)."""
    size, stride, border = layer.size, layer.stride, layer.padding
    maps, pixels = before[0], before[1]
    if border:
        inner = slice(border, border + pixels)
        zeros = pt.zeros((batch, pixels + 2 * border, pixels + 2 * border, maps), "float32")
        x = pt.set_subtensor(zeros[:, inner, inner], x)
    side = layer.places(pixels)
    end = stride * (side - 1) + 1
    shifted = [
        x[:, i : i + end : stride, j : j + end : stride] for i in range(size) for j in range(size)
    ]
    patches = pt.concatenate(shifted, axis=3).reshape((batch * side**2, size * size * maps))
    product = pt.dot(patches, w.reshape((-1, layer.maps)))
    return product.reshape((batch, side, side, layer.maps))


def max_pool(x: Any, size: int, side: int) -> Any:
    """The maximum of a window's pixels, each a slice; faster than that of a reshaped array. x
    itself where a window is one pixel."""
    if size == 1:
        return x
    end = size * side
    corners = [(i, j) for i in range(size) for j in range(size)]
    return functools.reduce(pt.maximum, [x[:, i:end:size, j:end:size] for i, j in corners])


def normalise(x: Any, shift: Any, scale: Any, averages: Any) -> tuple[Any, dict[Any, Any]]:
    """By the batch's statistics; with the updates of the running averages."""
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axes)
    variance = pt.sqr(x - mean).mean(axes)
    x = (x - mean) / pt.sqrt(variance + np.float32(EPSILON)) * scale + shift
    pairs = zip(averages, (mean, variance), strict=True)
    return x, {a: a + np.float32(AVERAGING) * (batch - a) for a, batch in pairs}


def adam_updates(adam: Adam, rate: float, gradients: dict[Any, Any]) -> dict[Any, Any]:
    """A step of Adam: of parameters, given with their gradients, of moments, and of their count.

    Multiplied out, as ours is: one division an element.
    """
    count = pytensor.shared(np.float32(0))
    t = count + np.float32(1)
    c1, c2 = (np.float32(1) - np.float32(beta) ** t for beta in (adam.beta1, adam.beta2))
    deviation = pt.sqrt(c2)
    step, epsilon = np.float32(rate) * deviation / c1, np.float32(adam.epsilon) * deviation
    updates = {count: t}
    for w, g in gradients.items():
        m, v = (pytensor.shared(np.zeros_like(w.get_value()), shape=w.type.shape) for _ in "mv")
        updates[m] = np.float32(adam.beta1) * m + np.float32(1 - adam.beta1) * g
        updates[v] = np.float32(adam.beta2) * v + np.float32(1 - adam.beta2) * pt.sqr(g)
        updates[w] = w - step * updates[m] / (pt.sqrt(updates[v]) + epsilon)
    return updates


class Steps:
    """Steps of one workload, compiled to C; mode: call."""

    quantum = 1

    def __init__(self, job: Job) -> None:
        self._workload = job.workload
        net, batch = job.workload.net, job.workload.batch
        side = IMAGE[1:]
        self._x = pytensor.shared(np.zeros((batch, *side, 1), "float32"), shape=(None, *side, 1))
        self._y = pytensor.shared(np.zeros(batch, "int32"), shape=(None,))
        self._parameters, self._averages = (
            [tuple(pytensor.shared(v, shape=v.shape) for v in layer) for layer in values]
            for values in (channels_last(net), initial_averages(net))
        )
        i = pt.lscalar("i")
        rows = slice(i * batch, (i + 1) * batch)
        x = pt.specify_shape(self._x[rows], (batch, *side, 1))
        y = pt.specify_shape(self._y[rows], (batch,))
        logits, updates = self._forward(x)
        cost = -log_softmax(logits, axis=1)[pt.arange(batch), y].mean()
        updates |= self._descend(cost)
        self._initial = {variable: variable.get_value() for variable in updates}
        mode = pytensor.compile.mode.Mode("cvm", "fast_run")
        self._f = pytensor.function([i], cost, updates=updates, mode=mode, trust_input=True)

    def _forward(self, x: Any) -> tuple[Any, dict[Any, Any]]:
        """Logits of the images x, (n, 28, 28, 1), and updates of running averages."""
        batch, random = self._workload.batch, RandomStream(1)
        updates: dict[Any, Any] = {}
        layers = zip(self._workload.net.walk(), self._parameters, self._averages, strict=True)
        for (layer, before, after), (w, b, *scale), averages in layers:
            if isinstance(layer, Conv):
                x = convolve(x, w, batch, before, layer)
                x = max_pool(x, layer.first_pool, after[1])
            else:
                x = x.reshape((batch, before[0]))
                if layer.dropout and self._workload.is_random:
                    keep = np.float32(1 - layer.dropout)
                    draw = random.uniform(0, 1, size=(batch, before[0]), dtype="float32")
                    x = x * (draw < keep).astype("float32") / keep
                x = pt.dot(x, w)
            if scale:
                x, running = normalise(x, b, scale[0], averages)
                updates |= running
            else:
                x = x + b
            x = ACTIVATIONS[layer.activation](x)
            if isinstance(layer, Conv):
                x = max_pool(x, layer.last_pool, after[1])
        return x, updates

    def _descend(self, cost: Any) -> dict[Any, Any]:
        """A step of the net's optimiser."""
        net = self._workload.net
        parameters = [v for layer in self._parameters for v in layer]
        gradients = dict(zip(parameters, pytensor.grad(cost, parameters), strict=True))
        if net.adam is not None:
            return adam_updates(net.adam, net.rate, gradients)
        decay = np.float32(net.decay)
        return {
            w: w - np.float32(net.rate) * (g + decay * w if decay and w.ndim > 1 else g)
            for w, g in gradients.items()
        }

    def load(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self._x.set_value(images.reshape(-1, *IMAGE[1:], 1), borrow=True)
        self._y.set_value(labels.astype("int32"), borrow=True)
        self._batches = [np.asarray(i) for i in range(len(images) // self._workload.batch)]
        self._next = 0

    def reset(self) -> None:
        self._next = 0
        for variable, value in self._initial.items():
            variable.set_value(value)

    def run(self, steps: int) -> NDArray[Any]:
        result: Any = np.empty(0)
        for _ in range(steps):
            result = self._f(self._batches[self._next])
            self._next = (self._next + 1) % len(self._batches)
        return np.atleast_1d(result)
