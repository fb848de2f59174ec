"""TensorFlow: a tf.function called for each step, and a tf.function with the loop inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks.job import Job
from benchmarks.workloads import (
    AVERAGING,
    EPSILON,
    IMAGE,
    Conv,
    Dense,
    Layer,
    channels_last,
    initial_averages,
)

ACTIVATIONS: dict[str | None, Any] = {
    "relu": tf.nn.relu,
    "sigmoid": tf.sigmoid,
    None: lambda z: z,
}


def border(layer: Conv) -> str:
    """The padding's name; VALID and SAME are all that there is."""
    return "SAME" if layer.padding else "VALID"


def max_pool(x: Any, size: int) -> Any:
    """The maximum of each window; x itself where a window is one pixel."""
    return tf.nn.max_pool2d(x, size, size, "VALID") if size > 1 else x


def normalise(x: Any, shift: Any, scale: Any, averages: Any) -> Any:
    """By the batch's statistics, which also move the running averages."""
    images = x if x.shape.rank == 4 else x[:, None, None, :]
    images, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        images, scale, shift, epsilon=EPSILON, is_training=True
    )
    for average, batch in zip(averages, (mean, variance), strict=True):
        average.assign_add(AVERAGING * (batch - average))
    return images if x.shape.rank == 4 else images[:, 0, 0, :]


class Steps:
    """Steps of one workload; mode: call or loop (tf.range inside the graph)."""

    def __init__(self, job: Job) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(job.threads)
        tf.random.set_seed(0)
        self._workload = job.workload
        self.quantum = job.loop if job.loops else 1
        net = job.workload.net
        self._parameters = [tuple(map(tf.Variable, layer)) for layer in channels_last(net)]
        self._averages = [tuple(map(tf.Variable, layer)) for layer in initial_averages(net)]
        trained = net.adam is not None and not job.workload.infer
        self._moments = [
            [tuple(tf.Variable(tf.zeros_like(v)) for v in layer) for layer in self._parameters]
            for _ in range(2 * trained)
        ]
        self._i, self._steps = tf.Variable(0), tf.Variable(0.0)
        data = [tf.TensorSpec([None, *IMAGE[1:], 1]), tf.TensorSpec([None], tf.int32)]
        step = self._infer if job.workload.infer else self._train
        self._step = step
        self._f = tf.function(self._many if job.loops else step, input_signature=data)

    def load(self, images: NDArray[np.float32], labels: NDArray[np.int64]) -> None:
        self._x = tf.constant(images.reshape(-1, *IMAGE[1:], 1))
        self._y = tf.constant(labels.astype(np.int32))
        self._i.assign(0)

    def reset(self) -> None:
        self._i.assign(0)
        self._steps.assign(0.0)
        net = self._workload.net
        for state, initial in (
            (self._parameters, channels_last(net)),
            (self._averages, initial_averages(net)),
        ):
            for variables, values in zip(state, initial, strict=True):
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
        for moment in [m for moments in self._moments for layer in moments for m in layer]:
            moment.assign(tf.zeros_like(moment))

    def _multiply(self, layer: Layer, x: Any, w: Any) -> Any:
        """A convolution, or a product with dropout before it."""
        if isinstance(layer, Conv):
            return tf.nn.conv2d(x, w, layer.stride, border(layer))
        x = tf.reshape(x, [self._workload.batch, w.shape[0]])
        return tf.matmul(tf.nn.dropout(x, layer.dropout) if self._drops(layer) else x, w)

    def _drops(self, layer: Layer) -> bool:
        return isinstance(layer, Dense) and layer.dropout > 0 and self._workload.is_random

    def _forward(self, x: Any) -> Any:
        """Logits of the images x, (n, 28, 28, 1)."""
        layers = zip(self._workload.net.layers, self._parameters, self._averages, strict=True)
        for layer, (w, b, *scale), averages in layers:
            x = self._multiply(layer, x, w)
            x = normalise(x, b, scale[0], averages) if scale else tf.nn.bias_add(x, b)
            if isinstance(layer, Conv):
                x = max_pool(x, layer.first_pool)
            x = ACTIVATIONS[layer.activation](x)
            if isinstance(layer, Conv):
                x = max_pool(x, layer.last_pool)
        return x

    def _slice(self, x: Any, y: Any) -> tuple[Any, Any]:
        batch = self._workload.batch
        begin = self._i % (tf.shape(x)[0] // batch) * batch
        self._i.assign_add(1)
        images = tf.slice(x, [begin, 0, 0, 0], [batch, *IMAGE[1:], 1])
        return images, tf.slice(y, [begin], [batch])

    def _train(self, x: Any, y: Any) -> Any:
        images, labels = self._slice(x, y)
        with tf.GradientTape() as tape:
            logits = self._forward(images)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            cost = tf.reduce_mean(losses)
        self._descend(tape.gradient(cost, self._parameters))
        return cost

    def _descend(self, gradients: Any) -> None:
        """A step of the net's optimiser."""
        net = self._workload.net
        if net.adam is None:
            for (w, *bs), (dw, *dbs) in zip(self._parameters, gradients, strict=True):
                decayed = dw + net.decay * w if net.decay else dw
                for variable, gradient in zip((w, *bs), (decayed, *dbs), strict=True):
                    tf.raw_ops.ResourceApplyGradientDescent(
                        var=variable.handle, alpha=net.rate, delta=gradient
                    )
            return
        t, adam = self._steps.assign_add(1.0), net.adam
        for layer in zip(self._parameters, gradients, *self._moments, strict=True):
            for variable, gradient, first, second in zip(*layer, strict=True):
                tf.raw_ops.ResourceApplyAdam(
                    var=variable.handle,
                    m=first.handle,
                    v=second.handle,
                    beta1_power=adam.beta1**t,
                    beta2_power=adam.beta2**t,
                    lr=net.rate,
                    beta1=adam.beta1,
                    beta2=adam.beta2,
                    epsilon=adam.epsilon * tf.sqrt(1 - adam.beta2**t),  # it is added to sqrt(v)
                    grad=gradient,
                )

    def _infer(self, x: Any, y: Any) -> Any:
        return self._forward(self._slice(x, y)[0])

    def _many(self, x: Any, y: Any) -> Any:
        results = tf.TensorArray(tf.float32, self.quantum)
        for step in tf.range(self.quantum):
            results = results.write(step, self._step(x, y))
        return results.stack()

    def run(self, steps: int) -> NDArray[Any]:
        result = None
        for _ in range(steps // self.quantum):
            result = self._f(self._x, self._y)
        return np.atleast_1d(result.numpy()) if result is not None else np.empty(0)
