"""Convolutions, as Keras has them: cross-correlation, TensorFlow's padding, channels last."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import flag, integer
from tinygrad_mnist.keras import initializers, regularizers
from tinygrad_mnist.keras.layers.activations import activated, activation_of, describe_activation
from tinygrad_mnist.keras.layers.arguments import BatchShape
from tinygrad_mnist.keras.layers.signal import Arrangement, Shape, Signal
from tinygrad_mnist.keras.layers.windows import (
    ImageLayer,
    Pair,
    check_channels_last,
    int_pair,
    padding_name,
    same_padding,
    with_zeros,
)
from tinygrad_mnist.keras.objects import described
from tinygrad_mnist.tensor.nnet import conv2d

_HELD = (3, 2, 0, 1)  # the engine's filters (filters, channels, height, width) among Keras's axes


class Conv2D(ImageLayer):
    """activation(images * kernel + bias), with filters that are not flipped.

    filters: the number of channels of the result. kernel_size, strides, dilation_rate: an int or
    (rows, columns). padding: 'valid', or 'same', which gives ceil(length / stride). groups: the
    channels and filters are in so many groups, and a filter sees its own group's channels. kernel:
    (height, width, channels / groups, filters), bias: (filters,); the engine holds the kernel as
    (filters, channels / groups, height, width).
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = (1, 1),
        padding: str = "valid",
        data_format: Any = None,
        dilation_rate: Any = (1, 1),
        groups: int = 1,
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
            check_channels_last(data_format)
            self.filters = integer(filters, "filters", 1)
            self.kernel_size = int_pair(kernel_size, "kernel_size", 1)
            self.strides = int_pair(strides, "strides", 1)
            self.padding = padding_name(padding)
            self.dilation_rate = int_pair(dilation_rate, "dilation_rate", 1)
            self.groups = integer(groups, "groups", 1)
            if self.filters % self.groups:
                raise ArgumentError(f"{filters} filters can't be divided into {groups} groups")
            if max(self.strides) > 1 and max(self.dilation_rate) > 1:
                raise ArgumentError(
                    f"strides is {strides} and dilation_rate is {dilation_rate}; as in Keras, one "
                    "of them has to be 1"
                )
            self.activation = activation_of(activation)
            self.use_bias = flag(use_bias, "use_bias")
            self.kernel_initializer = initializers.get(kernel_initializer)
            self.bias_initializer = initializers.get(bias_initializer)
            self.kernel_regularizer = regularizers.get(kernel_regularizer)
            self.bias_regularizer = regularizers.get(bias_regularizer)

    def check_input(self, shape: Shape) -> None:
        super().check_input(shape)
        if shape[2] % self.groups:
            raise self.misfit(shape, f"its channels can't be divided into {self.groups} groups")
        height, width = self._window
        self.check_fits(shape, (height, width), "kernel", self.padding)

    @property
    def _window(self) -> tuple[int, int]:
        """The kernel's size with the gaps of its dilation."""
        rows, columns = (
            (k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)
        )
        return rows, columns

    def build(self, input_shape: BatchShape) -> None:
        channels = input_shape[-1] or 1
        self.kernel = self.add_weight(
            (*self.kernel_size, channels // self.groups, self.filters),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            name="kernel",
            arrangement=Arrangement(_HELD),
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                (self.filters,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                name="bias",
            )

    def apply(self, signal: Signal, training: bool) -> Signal:
        height, width, _ = self.image(signal)
        zeros: list[Pair] = [(0, 0), (0, 0)]
        if self.padding == "same":
            zeros = [
                same_padding(n, k, s)
                for n, k, s in zip((height, width), self._window, self.strides, strict=True)
            ]
        x, around = signal.variable, (zeros[0][0], zeros[1][0])
        if any(before != behind for before, behind in zeros):
            x, around = with_zeros(x, (height, width), *zeros), (0, 0)
        size = [
            (n + sum(z) - k) // s + 1
            for n, z, k, s in zip((height, width), zeros, self._window, self.strides, strict=True)
        ]
        y = conv2d(
            x,
            self.kernel,
            border_mode=around,
            subsample=self.strides,
            filter_flip=False,
            filter_dilation=self.dilation_rate,
            num_groups=self.groups,
        )
        if self.bias is not None:
            y = y + self.bias.dimshuffle("x", 0, "x", "x")
        return activated(Signal(y, (*size, self.filters)), self.activation, training)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": list(self.kernel_size),
            "strides": list(self.strides),
            "padding": self.padding,
            "dilation_rate": list(self.dilation_rate),
            "groups": self.groups,
            "activation": describe_activation(self.activation),
            "use_bias": self.use_bias,
            "kernel_initializer": described(self.kernel_initializer),
            "bias_initializer": described(self.bias_initializer),
            "kernel_regularizer": described(self.kernel_regularizer),
            "bias_regularizer": described(self.bias_regularizer),
        }
