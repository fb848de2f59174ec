"""This package: a function called for each step, and its sweep over many steps."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from benchmarks.job import Job
from benchmarks.workloads import (
    AVERAGING,
    EPSILON,
    PIXELS,
    Adam,
    Conv,
    Layer,
    Shape,
    initial_averages,
    initial_parameters,
)
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.tensor.nnet import conv2d, sigmoid, softmax
from tinygrad_mnist.tensor.nnet.bn import batch_normalization_train
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams
from tinygrad_mnist.tensor.signal import pool

ACTIVATIONS: dict[str | None, Any] = {
    "relu": lambda z: T.maximum(0.0, z),
    "sigmoid": sigmoid,
    None: lambda z: z,
}


Updates = list[tuple[theano.SharedVariable, T.Variable]]


def adam_updates(adam: Adam, rate: float, gradients: Updates) -> Updates:
    """A step of Adam: of parameters, given with their gradients, of moments, and of their count.

    Multiplied out, as its paper has it in section 2, so that an element costs one division.
    """
    count = theano.shared(np.zeros((), theano.config.floatX), "t")
    t = count + 1
    deviation = T.sqrt(1 - adam.beta2**t)
    step = rate * deviation / (1 - adam.beta1**t)
    updates: Updates = [(count, t)]
    for w, g in gradients:
        zeros = np.zeros_like(w.get_value())
        m, v = theano.shared(zeros, "m"), theano.shared(zeros, "v")
        first = adam.beta1 * m + (1 - adam.beta1) * g
        second = adam.beta2 * v + (1 - adam.beta2) * T.sqr(g)
        w_next = w - step * first / (T.sqrt(second) + adam.epsilon * deviation)
        updates += [(m, first), (v, second), (w, w_next)]
    return updates


def max_pool(x: T.Variable, size: int) -> T.Variable:
    """The maximum of each window; x itself where a window is one pixel."""
    return pool.pool_2d(x, ws=(size, size), ignore_border=True) if size > 1 else x


class Steps:
    """Steps of one workload; mode: call or loop (sweep). dtype: that it computes in."""

    def __init__(self, job: Job, dtype: str = "float32") -> None:
        theano.config.floatX = dtype
        theano.config.threads = job.threads
        theano.config.device = job.device
        self._device, self._dtype = job.device, dtype
        self._workload = job.workload
        self._loops = job.loops
        self.quantum = job.loop if self._loops else 1
        self._x = theano.shared(np.zeros((job.workload.batch, PIXELS), dtype), "x")
        self._y = theano.shared(np.zeros(job.workload.batch, np.int32), "y")
        net = job.workload.net
        self._parameters, self._averages = (
            [tuple(theano.shared(v.astype(dtype)) for v in layer) for layer in values]
            for values in (initial_parameters(net), initial_averages(net))
        )
        self._batches, self._next = 1, 0
        self._initial: dict[Any, NDArray[Any]] = {}
        self._f = self._infer() if job.workload.infer else self._train()

    @property
    def plan(self) -> Plan:
        """The plan of a step, which need not have run."""
        plan: Plan = self._f.plan_for(0)
        return plan

    @property
    def details(self) -> dict[str, Any]:
        """FLOPs that a step executes (a gradient behind a max-pool: for one winner per window),
        and on a GPU the versions of what makes our kernels."""
        plan = self._f.plan
        details = {"executed_flops": sum(call.least_flops for call in plan.calls)}
        if self._device == "cuda":
            packages = ("numba", "numba-cuda", "cuda-bindings")
            return details | {name: metadata.version(name) for name in packages}
        return details

    def load(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self._x.set_value(images.astype(self._dtype))
        self._y.set_value(labels.astype(np.int32))
        self._batches = len(images) // self._workload.batch
        self._next = 0

    def reset(self) -> None:
        self._next = 0
        for variable, value in self._initial.items():
            variable.set_value(value)

    def _multiply(self, layer: Layer, x: T.Variable, w: T.Variable, before: Shape) -> T.Variable:
        """A convolution, with the pool that comes right behind it, or a product with dropout before
        it."""
        if isinstance(layer, Conv):
            images = x.reshape((self._workload.batch, *before))
            steps = (layer.stride, layer.stride)
            maps = conv2d(images, w, None, None, layer.padding, steps, filter_flip=False)
            return max_pool(maps, layer.first_pool)
        x = x.reshape((self._workload.batch, before[0]))
        if layer.dropout and self._workload.is_random:
            keep = 1 - layer.dropout
            mask = self._random.binomial(n=1, p=keep, size=x.shape)
            x = x * T.cast(mask, self._dtype) / keep
        return T.dot(x, w)

    def _forward(self, x: T.Variable) -> tuple[T.Variable, Updates]:
        """Logits of the images x, (n, 784), and updates of running averages."""
        self._random = RandomStreams(0)
        updates: Updates = []
        layers = zip(self._workload.net.walk(), self._parameters, self._averages, strict=True)
        for (layer, before, _), (w, b, *scale), averages in layers:
            x = self._multiply(layer, x, w, before)
            if scale:
                axes = "spatial" if isinstance(layer, Conv) else "per-activation"
                x, _, _, *running = batch_normalization_train(
                    x, scale[0], b, axes, EPSILON, AVERAGING, *averages
                )
                updates += zip(averages, running, strict=True)
            else:
                x = x + (b.dimshuffle("x", 0, "x", "x") if isinstance(layer, Conv) else b)
            x = ACTIVATIONS[layer.activation](x)
            if isinstance(layer, Conv):
                x = max_pool(x, layer.last_pool)
        return x, updates

    def _batch(self, data: T.Variable, i: T.Variable) -> T.Variable:
        return data[i * self._workload.batch : (i + 1) * self._workload.batch]

    def _train(self) -> Any:
        net, i = self._workload.net, T.lscalar("i")
        labels = self._batch(self._y, i)
        logits, updates = self._forward(self._batch(self._x, i))
        cost = -T.mean(T.log(softmax(logits))[T.arange(self._workload.batch), labels])
        parameters = [v for layer in self._parameters for v in layer]
        gradients = list(zip(parameters, theano.grad(cost, parameters), strict=True))
        if net.adam is not None:
            updates += adam_updates(net.adam, net.rate, gradients)
        for w, g in gradients if net.adam is None else ():
            decayed = g + net.decay * w if net.decay and w.ndim > 1 else g
            updates.append((w, w - net.rate * decayed))
        self._initial = {variable: variable.get_value() for variable, _ in updates}
        return theano.function([i], cost, updates=updates, name="train")

    def _infer(self) -> Any:
        i = T.lscalar("i")
        logits, _ = self._forward(self._batch(self._x, i))
        return theano.function([i], logits, name="infer")

    def run(self, steps: int) -> NDArray[Any]:
        result: NDArray[Any] = np.empty(0)
        for _ in range(steps // self.quantum):
            numbers = [(self._next + k) % self._batches for k in range(self.quantum)]
            result = self._f.sweep(numbers) if self._loops else self._f(self._next)
            self._next = (self._next + self.quantum) % self._batches
        return np.atleast_1d(result)
