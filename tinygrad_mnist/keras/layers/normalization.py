"""Batch normalisation, as Keras has it."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import axis_number, flag, integer, number, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras import initializers, regularizers
from tinygrad_mnist.keras.layers.arguments import BatchShape
from tinygrad_mnist.keras.layers.layer import Layer
from tinygrad_mnist.keras.layers.signal import Arrangement, Signal, held_axis
from tinygrad_mnist.keras.objects import described
from tinygrad_mnist.ops.batch_norm import BATCH_NORMALIZATION
from tinygrad_mnist.tensor.nnet import batch_normalization_test


class BatchNormalization(Layer):
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over all axes but `axis`.

    In training mean and variance are the batch's, and the moving ones follow: moving * momentum +
    the batch's * (1 - momentum). Elsewhere, and if `trainable` is False, they are the moving ones.
    scale, center: whether there are gamma and beta. The weights are gamma, beta, moving_mean and
    moving_variance, vectors; the last two are not trained.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        with self.arguments():
            self.axis = integer(axis, "axis")
            self.momentum = number(momentum, "momentum")
            if not 0 <= self.momentum <= 1:
                raise ArgumentError(f"momentum is {shown(momentum)}; it is between 0 and 1")
            self.epsilon = number(epsilon, "epsilon")
            if not self.epsilon > 0:
                raise ArgumentError(f"epsilon is {shown(epsilon)}; it must be greater than 0")
            self.center, self.scale = flag(center, "center"), flag(scale, "scale")
            self.beta_initializer = initializers.get(beta_initializer)
            self.gamma_initializer = initializers.get(gamma_initializer)
            self.moving_mean_initializer = initializers.get(moving_mean_initializer)
            self.moving_variance_initializer = initializers.get(moving_variance_initializer)
            self.beta_regularizer = regularizers.get(beta_regularizer)
            self.gamma_regularizer = regularizers.get(gamma_regularizer)

    def build(self, input_shape: BatchShape) -> None:
        features = input_shape[axis_number(self.axis, len(input_shape))]
        as_held = Arrangement(rows=self.input_order)

        def weight(
            name: str, initializer: Any, regularizer: Any = None, trainable: bool = True
        ) -> Any:
            return self.add_weight(
                (features,),
                initializer,
                trainable=trainable,
                regularizer=regularizer,
                name=name,
                arrangement=as_held,
            )

        self.gamma = self.beta = None
        if self.scale:
            self.gamma = weight("gamma", self.gamma_initializer, self.gamma_regularizer)
        if self.center:
            self.beta = weight("beta", self.beta_initializer, self.beta_regularizer)
        self.moving_mean = weight("moving_mean", self.moving_mean_initializer, None, False)
        self.moving_variance = weight(
            "moving_variance", self.moving_variance_initializer, None, False
        )

    def kept_lengths(self, shape: Any) -> Any:
        """The number of features."""
        return [shape[axis_number(self.axis, len(shape) + 1) - 1]]

    def apply(self, signal: Signal, training: bool) -> Signal:
        x = signal.variable
        feature = held_axis(axis_number(self.axis, x.ndim), x.ndim)
        axes = tuple(a for a in range(x.ndim) if a != feature)
        if not (training and self.trainable):
            scale, shift = self._or_constant(self.gamma, 1), self._or_constant(self.beta, 0)
            y = batch_normalization_test(
                x, scale, shift, self.moving_mean, self.moving_variance, axes, self.epsilon
            )
            return signal.of(y)
        along = ["x" if a in axes else 0 for a in range(x.ndim)]
        y, mean, _, variance = BATCH_NORMALIZATION.node(
            x,
            self._or_constant(self.gamma, 1).dimshuffle(*along),
            self._or_constant(self.beta, 0).dimshuffle(*along),
            axes=axes,
            epsilon=self.epsilon,
        ).outputs
        updates = (
            (self.moving_mean, self._moved(self.moving_mean, mean.dimshuffle(feature))),
            (self.moving_variance, self._moved(self.moving_variance, variance.dimshuffle(feature))),
        )
        return Signal(y, signal.shape, signal.order, updates)

    def _or_constant(self, weight: Any, value: float) -> Variable:
        """A weight, or a vector of one number in its place."""
        if weight is not None:
            return T.as_tensor_variable(weight)
        n = self.moving_mean.host_array.size
        return T.as_tensor_variable(np.full(n, value, config.floatX))

    def _moved(self, moving: Variable, batch: Variable) -> Variable:
        kept, new = (np.asarray(n, config.floatX) for n in (self.momentum, 1 - self.momentum))
        return T.as_tensor_variable(moving * kept + batch * new)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
            "epsilon": self.epsilon,
            "center": self.center,
            "scale": self.scale,
            "beta_initializer": described(self.beta_initializer),
            "gamma_initializer": described(self.gamma_initializer),
            "moving_mean_initializer": described(self.moving_mean_initializer),
            "moving_variance_initializer": described(self.moving_variance_initializer),
            "beta_regularizer": described(self.beta_regularizer),
            "gamma_regularizer": described(self.gamma_regularizer),
        }
