"""JAX: a jitted step called from Python, and lax.scan over many steps.

Products of float32 keep float32's precision (no tf32).
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
from jax import lax
from numpy.typing import NDArray

from benchmarks.job import Job
from benchmarks.workloads import IMAGE, Conv, Net, channels_last

ACTIVATIONS: dict[str | None, Any] = {
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    None: lambda z: z,
}
State = tuple[jax.Array, Any]  # number of the step, weights


def convolve(x: jax.Array, w: jax.Array) -> jax.Array:
    """The library's convolution, cuDNN's on a GPU."""
    axes = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, w, (1, 1), "VALID", dimension_numbers=axes)


def multiply_patches(x: jax.Array, w: jax.Array) -> jax.Array:
    """Patches times filters: on a processor, at these sizes, many times as fast as `convolve`."""
    size, _, before, maps = w.shape
    n, height, width, _ = x.shape
    rows, columns = height - size + 1, width - size + 1
    shifted = [x[:, i : i + rows, j : j + columns] for i in range(size) for j in range(size)]
    patches = jnp.concatenate(shifted, axis=3).reshape(-1, size * size * before)
    return (patches @ w.reshape(-1, maps)).reshape(n, rows, columns, maps)


def max_pool(x: jax.Array, size: int) -> jax.Array:
    """The maximum of a reshaped array: its gradient is faster than that of lax.reduce_window."""
    n, height, width, maps = x.shape
    return x.reshape(n, height // size, size, width // size, size, maps).max(axis=(2, 4))


def forward(
    net: Net, weights: Any, x: jax.Array, key: jax.Array | None, convolution: Any
) -> jax.Array:
    """Logits of the images x, (n, 28, 28, 1), with dropout where there is a key."""
    for layer, (w, b) in zip(net.layers, weights, strict=True):
        if isinstance(layer, Conv):
            x = max_pool(convolution(x, w), layer.pool) + b
        else:
            x = x.reshape(len(x), -1)
            if layer.dropout and key is not None:
                key, draw = jax.random.split(key)
                keep = jax.random.bernoulli(draw, 1 - layer.dropout, x.shape)
                x = jnp.where(keep, x / (1 - layer.dropout), 0)
            x = x @ w + b
        x = ACTIVATIONS[layer.activation](x)
    return x


class Steps:
    """Steps of one workload; mode: call (jit), loop (scan), or loop-patches, which computes
    convolutions as products on a GPU, as both others do on a processor.
    """

    def __init__(self, job: Job) -> None:
        jax.config.update("jax_default_matmul_precision", "highest")
        devices = jax.devices(job.device)  # an error where there is none
        self.details = {"jaxlib": jaxlib.__version__, "device": devices[0].device_kind}
        by_products = job.device == "cpu" or job.mode.endswith("patches")
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
        weights = [(jnp.asarray(w), jnp.asarray(b)) for w, b in channels_last(self._workload.net)]
        self._state: State = (jnp.zeros((), jnp.int32), weights)

    def _slice(self, i: jax.Array, data: jax.Array) -> jax.Array:
        batch = self._workload.batch
        begin = i % (len(data) // batch) * batch
        return lax.dynamic_slice_in_dim(data, begin, batch)

    def _forward(self, weights: Any, x: jax.Array, key: jax.Array | None) -> jax.Array:
        return forward(self._workload.net, weights, x, key, self._convolution)

    def _train(self, state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        net = self._workload.net
        i, weights = state
        images, labels = self._slice(i, x), self._slice(i, y)
        key = jax.random.fold_in(jax.random.key(0), i) if self._workload.is_random else None

        def cost_of(weights: Any) -> jax.Array:
            scores = jax.nn.log_softmax(self._forward(weights, images, key))
            return -jnp.take_along_axis(scores, labels[:, None], axis=1).mean()

        cost, gradients = jax.value_and_grad(cost_of)(weights)
        updated = [
            (w - net.rate * (dw + net.decay * w), b - net.rate * db)
            for (w, b), (dw, db) in zip(weights, gradients, strict=True)
        ]
        return (i + 1, updated), cost

    def _infer(self, state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        i, weights = state
        return (i + 1, weights), self._forward(weights, self._slice(i, x), None)

    def _many(self, state: State, x: jax.Array, y: jax.Array) -> tuple[State, jax.Array]:
        return lax.scan(lambda s, _: self._step(s, x, y), state, length=self.quantum)

    def run(self, steps: int) -> NDArray[Any]:
        result: Any = np.empty(0)
        for _ in range(steps // self.quantum):
            self._state, result = self._run(self._state, self._x, self._y)
        jax.block_until_ready(self._state)
        return np.atleast_1d(np.asarray(result))
