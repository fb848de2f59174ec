"""The input of a model, Dense and Dropout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import flag, integer, is_integer, number, several, shown
from tinygrad_mnist.keras import initializers, regularizers
from tinygrad_mnist.keras.layers.activations import activated, activation_of, describe_activation
from tinygrad_mnist.keras.layers.layer import BatchShape, Layer
from tinygrad_mnist.keras.layers.objects import described
from tinygrad_mnist.keras.layers.signal import IMAGE, Arrangement, Shape, Signal, held_axes
from tinygrad_mnist.ops.shape import shape_scalars
from tinygrad_mnist.tensor.nnet import conv2d
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams


class InputLayer(Layer):
    """The shape of a model's samples, as its first layer. shape: without the batch; or batch_shape
    or input_shape."""

    def __init__(self, shape: Any = None, **options: Any) -> None:
        if shape is not None:
            options = {**options, "input_shape": shape}
        super().__init__(**options)
        if self.given_shape is None:
            with self.arguments():
                raise ArgumentError("a model's input needs a shape, such as shape=(28, 28, 1)")
        self.built = True

    @property
    def shape(self) -> BatchShape:
        """The shape with the batch, which is None."""
        assert self.given_shape is not None
        return (None, *self.given_shape)

    def apply(self, signal: Signal, training: bool) -> Signal:
        if signal.shape != self.given_shape:
            raise self.misfit(signal.shape, f"the model's input has the shape {self.given_shape}")
        return signal


def Input(  # noqa: N802
    shape: Any = None,
    batch_size: Any = None,
    dtype: Any = None,
    batch_shape: Any = None,
    name: str | None = None,
    **others: Any,
) -> InputLayer:
    """The input of a Sequential, the first entry of its list."""
    return InputLayer(
        shape, batch_size=batch_size, dtype=dtype, batch_shape=batch_shape, name=name, **others
    )


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


class Dropout(Layer):
    """Sets a fraction `rate` of the elements to 0 in training and divides the others by 1 - rate.

    noise_shape: of the random numbers, with the batch; None for a length of the inputs, 1 for one
    number along an axis. seed: of the random numbers; default from `numpy.random`, which
    `numpy.random.seed` seeds.
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **options: Any
    ) -> None:
        super().__init__(**options)
        with self.arguments():
            self.rate = number(rate, "rate")
            if not 0 <= self.rate <= 1:
                raise ArgumentError(f"rate is {shown(rate)}; it must be between 0 and 1")
            self.seed = None if seed is None else integer(seed, "seed", 0)
            self.noise_shape = None
            if noise_shape is not None:
                lengths = several(noise_shape, "noise_shape")
                if any(n is not None and not (is_integer(n) and n > 0) for n in lengths):
                    raise GraphTypeError(f"noise_shape is {shown(noise_shape)}; see Dropout")
                self.noise_shape = tuple(None if n is None else int(n) for n in lengths)
        drawn = np.random.randint(2**31) if self.seed is None else self.seed  # noqa: NPY002
        self._stream = RandomStreams(drawn)

    def apply(self, signal: Signal, training: bool) -> Signal:
        x = signal.variable
        if not training or self.rate == 0:
            return signal
        if self.rate == 1:
            return signal.of(T.zeros_like(x))
        keep = 1 - self.rate
        kept = T.lt(self._noise(signal), np.asarray(keep, config.floatX))
        return signal.of(T.switch(kept, x * np.asarray(1 / keep, config.floatX), T.zeros_like(x)))

    def _noise(self, signal: Signal) -> Any:
        x = signal.variable
        if self.noise_shape is None:
            return self._drawn([x.shape[i] for i in range(x.ndim)])
        if len(self.noise_shape) != x.ndim:
            raise self.misfit(signal.shape, f"noise_shape has {len(self.noise_shape)} lengths")
        signal = signal.in_order(None)
        order = (0, *(a + 1 for a in held_axes(len(signal.shape))))
        given = [self.noise_shape[a] for a in order]
        lengths = [x.shape[i] if n is None else n for i, n in enumerate(given)]
        noise = self._drawn(lengths)
        return T.addbroadcast(noise, *(i for i, n in enumerate(given) if n == 1))

    def _drawn(self, lengths: Sequence[Any]) -> Any:
        """Numbers of the layer's one draw: they depend on the seed and the step, and not on how
        often the layer was applied before."""
        return self._stream.drawn(shape_scalars(lengths), config.floatX, 0)

    def named_streams(self) -> list[tuple[str, SharedVariable]]:
        return [(f"{self.name}/step", step) for step, _ in self._stream.updates()]

    def get_config(self) -> dict[str, Any]:
        shape = None if self.noise_shape is None else list(self.noise_shape)
        own = {"rate": self.rate, "seed": self.seed, "noise_shape": shape}
        return {**super().get_config(), **own}
