"""`KerasTensor`: what a layer of a model gets or gives, as a symbol."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tinygrad_mnist.keras.layers.signal import Signal


@dataclass(frozen=True, eq=False)
class KerasTensor:
    """A place in a model: its input, or what one of its layers gives.

    signal: the expression, in inference mode. layers: those between the model's input and here.
    """

    signal: Signal
    layers: tuple[Any, ...] = ()

    @property
    def shape(self) -> tuple[int | None, ...]:
        """Keras's shape, with None for the batch."""
        return (None, *self.signal.shape)

    @property
    def dtype(self) -> str:
        return self.signal.variable.dtype

    @property
    def name(self) -> str:
        """The name of the layer that gives it, or "input"."""
        return self.layers[-1].name if self.layers else "input"

    def behind(self, layer: Any, signal: Signal) -> KerasTensor:
        """What a layer that is applied here gives."""
        return KerasTensor(signal, (*self.layers, layer))

    def __repr__(self) -> str:
        return f"<KerasTensor shape={self.shape}, dtype={self.dtype}, name={self.name}>"
