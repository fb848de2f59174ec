"""TensorFlow: a tf.function called for each step, and a tf.function with the loop inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from benchmarks.job import Job
from benchmarks.workloads import IMAGE, Conv, channels_last

ACTIVATIONS: dict[str | None, Any] = {
    "relu": tf.nn.relu,
    "sigmoid": tf.sigmoid,
    None: lambda z: z,
}


class Steps:
    """Steps of one workload; mode: call or loop (tf.range inside the graph)."""

    def __init__(self, job: Job) -> None:
        tf.config.threading.set_intra_op_parallelism_threads(job.threads)
        tf.config.threading.set_inter_op_parallelism_threads(job.threads)
        tf.random.set_seed(0)
        self._workload = job.workload
        self.quantum = job.loop if job.loops else 1
        self._weights = [tuple(map(tf.Variable, pair)) for pair in channels_last(job.workload.net)]
        self._i = tf.Variable(0)
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
        for variables, values in zip(self._weights, channels_last(self._workload.net), strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)

    def _forward(self, x: Any) -> Any:
        """Logits of the images x, (n, 28, 28, 1)."""
        for layer, (w, b) in zip(self._workload.net.layers, self._weights, strict=True):
            activation = ACTIVATIONS[layer.activation]
            if isinstance(layer, Conv):
                x = tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "VALID"), b)
                x = activation(tf.nn.max_pool2d(x, layer.pool, layer.pool, "VALID"))
            else:
                x = tf.reshape(x, [self._workload.batch, w.shape[0]])
                if layer.dropout and not self._workload.infer:
                    x = tf.nn.dropout(x, layer.dropout)
                x = activation(tf.nn.bias_add(tf.matmul(x, w), b))
        return x

    def _slice(self, x: Any, y: Any) -> tuple[Any, Any]:
        batch = self._workload.batch
        begin = self._i % (tf.shape(x)[0] // batch) * batch
        self._i.assign_add(1)
        images = tf.slice(x, [begin, 0, 0, 0], [batch, *IMAGE[1:], 1])
        return images, tf.slice(y, [begin], [batch])

    def _train(self, x: Any, y: Any) -> Any:
        net = self._workload.net
        images, labels = self._slice(x, y)
        with tf.GradientTape() as tape:
            logits = self._forward(images)
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            cost = tf.reduce_mean(losses)
        gradients = tape.gradient(cost, self._weights)
        for (w, b), (dw, db) in zip(self._weights, gradients, strict=True):
            decayed = dw + net.decay * w if net.decay else dw
            for variable, gradient in ((w, decayed), (b, db)):
                tf.raw_ops.ResourceApplyGradientDescent(
                    var=variable.handle, alpha=net.rate, delta=gradient
                )
        return cost

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
