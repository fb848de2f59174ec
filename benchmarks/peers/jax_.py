"""JAX: a jitted step called from Python, and lax.scan over many steps.

Products of float32 keep float32's precision (no tf32).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import lax
from numpy.typing import NDArray

from benchmarks.job import Job
from benchmarks.workloads import (
    AVERAGING,
    EPSILON,
    IMAGE,
    Conv,
    Layer,
    Net,
    channels_last,
    initial_averages,
)

ACTIVATIONS: dict[str | None, Any] = {
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    None: lambda z: z,
}


class State(NamedTuple):
    """What a step changes: its number, weights, running averages, and Adam's two moments."""

    i: jax.Array
    weights: Any
    averages: Any
    moments: Any


def convolve(x: jax.Array, w: jax.Array, layer: Conv) -> jax.Array:
    """The library's convolution, cuDNN's on a GPU."""
    axes, border = ("NHWC", "HWIO", "NHWC"), [(layer.padding,) * 2] * 2
    return lax.conv_general_dilated(x, w, (layer.stride,) * 2, border, dimension_numbers=axes)


def multiply_patches(x: jax.Array, w: jax.Array, layer: Conv) -> jax.Array:
    """Patches times filters: on a processor, for most nets many times as fast as `convolve`."""
    size, stride, border = layer.size, layer.stride, (layer.padding,) * 2
    if layer.padding:
        x = jnp.pad(x, ((0, 0), border, border, (0, 0)))
    n, height, width, before = x.shape
    rows, columns = (height - size) // stride + 1, (width - size) // stride + 1
    ends = [stride * (rows - 1) + 1, stride * (columns - 1) + 1]
    shifted = [
        x[:, i : i + ends[0] : stride, j : j + ends[1] : stride]
        for i in range(size)
        for j in range(size)
    ]
    patches = jnp.concatenate(shifted, axis=3).reshape(-1, size * size * before)
    return (patches @ w.reshape(-1, layer.maps)).reshape(n, rows, columns, layer.maps)


def max_pool(x: jax.Array, size: int) -> jax.Array:
    """The maximum of each window; x itself where a window is one pixel. It is that of a reshaped
    array: its gradient is faster than that of lax.reduce_window."""
    if size == 1:
        return x
    n, height, width, maps = x.shape
    rows, columns = height // size, width // size
    x = x[:, : rows * size, : columns * size]
    return x.reshape(n, rows, size, columns, size, maps).max(axis=(2, 4))


def shift(x: jax.Array, layer: Layer, b: Any, averages: Any) -> tuple[jax.Array, Any]:
    """Adds the bias, or normalises by the batch's statistics; with the averages behind it."""
    if not layer.normalise:
        return x + b[0], ()
    axes = tuple(range(x.ndim - 1))
    batch = (x.mean(axes), x.var(axes))
    shift, scale = b
    x = (x - batch[0]) * lax.rsqrt(batch[1] + EPSILON) * scale + shift
    return x, tuple(a + AVERAGING * (new - a) for a, new in zip(averages, batch, strict=True))


def forward(
    net: Net, weights: Any, averages: Any, x: jax.Array, key: jax.Array | None, convolution: Any
) -> tuple[jax.Array, Any]:
    """Logits of the images x, (n, 28, 28, 1), with dropout where there is a key; new averages."""
    updated = []
    for layer, (w, *b), average in zip(net.layers, weights, averages, strict=True):
        if isinstance(layer, Conv):
            x = convolution(x, w, layer)
            x = max_pool(x, layer.first_pool)
        else:
            x = x.reshape(len(x), -1)
            if layer.dropout and key is not None:
                key, draw = jax.random.split(key)
                keep = jax.random.bernoulli(draw, 1 - layer.dropout, x.shape)
                x = jnp.where(keep, x / (1 - layer.dropout), 0)
            x = x @ w
        x, average = shift(x, layer, b, average)
        updated.append(average)
        x = ACTIVATIONS[layer.activation](x)
        if isinstance(layer, Conv):
            x = max_pool(x, layer.last_pool)
    return x, updated


def descend(net: Net, state: State, gradients: Any) -> tuple[Any, Any]:
    """Weights and moments after a step of the net's optimiser."""
    each = jax.tree_util.tree_map
    if net.adam is None:

        def decayed(w: jax.Array, g: jax.Array) -> jax.Array:
            return w - net.rate * (g + net.decay * w if w.ndim > 1 else g)

        return each(decayed, state.weights, gradients), state.moments
    adam, t = net.adam, (state.i + 1).astype(jnp.float32)
    first, second = state.moments
    first = each(lambda m, g: adam.beta1 * m + (1 - adam.beta1) * g, first, gradients)
    second = each(lambda v, g: adam.beta2 * v + (1 - adam.beta2) * g * g, second, gradients)
    # Multiplied out, as ours is: one division an element.
    deviation = jnp.sqrt(1 - adam.beta2**t)
    step, epsilon = net.rate * deviation / (1 - adam.beta1**t), adam.epsilon * deviation

    def updated(w: jax.Array, m: jax.Array, v: jax.Array) -> jax.Array:
        return w - step * m / (jnp.sqrt(v) + epsilon)

    return each(updated, state.weights, first, second), [first, second]


class Steps:
    """Steps of one workload; mode: call (jit) or loop (scan). Where it ends in `-patches`, or on a
    processor doesn't end in `-convolve`, convolutions are computed as products.
    """

    def __init__(self, job: Job) -> None:
        jax.config.update("jax_default_matmul_precision", "highest")
        devices = jax.devices(job.device)  # an error where there is none
        self.details = {"jaxlib": jaxlib.__version__, "device": devices[0].device_kind}
        usual = "patches" if job.device == "cpu" else "convolve"
        by_products = (job.mode.partition("-")[2] or usual) == "patches"
        self._convolution = multiply_patches if by_products else convolve
        self._workload = job.workload
        self.quantum = job.loop if job.loops else 1
        self._step = self._infer if job.workload.infer else self._train
        self._run = jax.jit(self._many if job.loops else self._step, donate_argnums=0)
        self.reset()

    def load(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self._x = jnp.asarray(images.reshape(-1, *IMAGE[1:], 1))
        self._y = jnp.asarray(labels.astype(np.int32))
        self.reset()

    def reset(self) -> None:
        net = self._workload.net
        weights, averages = (
            jax.tree_util.tree_map(jnp.array, values)
            for values in (channels_last(net), initial_averages(net))
        )
        trained = net.adam is not None and not self._workload.infer
        moments = [jax.tree_util.tree_map(jnp.zeros_like, weights) for _ in range(2 * trained)]
        self._state = State(jnp.zeros((), jnp.int32), weights, averages, moments)

    def _slice(self, i: jax.Array, data: jax.Array) -> jax.Array:
        batch = self._workload.batch
        begin = i % (len(data) // batch) * batch
        return lax.dynamic_slice_in_dim(data, begin, batch)

    def _train(self, state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        net, i = self._workload.net, state.i
        images, labels = self._slice(i, x), self._slice(i, y)
        key = jax.random.fold_in(jax.random.key(0), i) if self._workload.is_random else None

        def cost_of(weights: Any) -> tuple[jax.Array, Any]:
            logits, averages = forward(net, weights, state.averages, images, key, self._convolution)
            scores = jax.nn.log_softmax(logits)
            return -jnp.take_along_axis(scores, labels[:, None], axis=1).mean(), averages

        graded = jax.value_and_grad(cost_of, has_aux=True)
        (cost, averages), gradients = graded(state.weights)
        weights, moments = descend(net, state, gradients)
        return State(i + 1, weights, averages, moments), cost

    def _infer(self, state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        images = self._slice(state.i, x)
        logits, _ = forward(
            self._workload.net, state.weights, state.averages, images, None, self._convolution
        )
        return state._replace(i=state.i + 1), logits

    def _many(self, state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        state, results = lax.scan(lambda s, _: self._step(s, x, y), state, length=self.quantum)
        return state, results

    def run(self, steps: int) -> NDArray[Any]:
        result: Any = np.empty(0)
        for _ in range(steps // self.quantum):
            self._state, result = self._run(self._state, self._x, self._y)
        jax.block_until_ready(self._state)
        return np.atleast_1d(np.asarray(result))
