"""The input of a model."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.keras.layers.arguments import BatchShape
from tinygrad_mnist.keras.layers.layer import Layer
from tinygrad_mnist.keras.layers.signal import Signal


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
