"""Dense layers."""

from __future__ import annotations

from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.graph.values import flag, integer
from tinygrad_mnist.keras import initializers, regularizers
from tinygrad_mnist.keras.layers.activations import activated, activation_of, describe_activation
from tinygrad_mnist.keras.layers.arguments import BatchShape
from tinygrad_mnist.keras.layers.layer import Layer
from tinygrad_mnist.keras.layers.signal import IMAGE, Arrangement, Shape, Signal
from tinygrad_mnist.keras.objects import described
from tinygrad_mnist.tensor.nnet import conv2d


class Dense(Layer):
    """activation(x . kernel + bias) along the last axis.

    units: the length of the last axis of the outputs. kernel: (features, units), bias: (units,).
    Behind Flatten the engine holds the kernel's rows in the order of its features;
    `get_weights` gives Keras's order.
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        with self.arguments():
            self.units = integer(units, "units", 1)
            self.activation = activation_of(activation)
            self.use_bias = flag(use_bias, "use_bias")
            self.kernel_initializer = initializers.get(kernel_initializer)
            self.bias_initializer = initializers.get(bias_initializer)
            self.kernel_regularizer = regularizers.get(kernel_regularizer)
            self.bias_regularizer = regularizers.get(bias_regularizer)

    def check_input(self, shape: Shape) -> None:
        if not shape:
            raise self.misfit(shape, "it needs at least one axis of features besides the batch")

    def build(self, input_shape: BatchShape) -> None:
        self.kernel = self.add_weight(
            (input_shape[-1], self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
            arrangement=Arrangement(rows=self.input_order),
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.units,), self.bias_initializer, regularizer=self.bias_regularizer, name="bias"
            )

    def apply(self, signal: Signal, training: bool) -> Signal:
        x, images = signal.variable, len(signal.shape) == IMAGE
        if images:  # a filter of one pixel
            y = conv2d(x, self.kernel.dimshuffle(1, 0, "x", "x"), filter_flip=False)
        else:
            y = T.dot(x, self.kernel)
        if self.bias is not None:
            around = ("x", 0, "x", "x") if images else (*("x",) * len(signal.shape), 0)
            y = y + self.bias.dimshuffle(*around)
        result = Signal(y, (*signal.shape[:-1], self.units))
        return activated(result, self.activation, training)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "units": self.units,
            "activation": describe_activation(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": described(self.kernel_initializer),
            "bias_initializer": described(self.bias_initializer),
            "kernel_regularizer": described(self.kernel_regularizer),
            "bias_regularizer": described(self.bias_regularizer),
        }
