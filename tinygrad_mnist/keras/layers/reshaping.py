"""Layers that move elements: Flatten, Reshape, ZeroPadding2D."""

from __future__ import annotations

from math import prod
from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import is_integer, several, shown
from tinygrad_mnist.keras.layers.layer import Layer
from tinygrad_mnist.keras.layers.signal import Shape, Signal
from tinygrad_mnist.keras.layers.windows import (
    ImageLayer,
    Pair,
    check_channels_last,
    int_pair,
    with_zeros,
)


class Flatten(Layer):
    """All elements of a sample side by side. The engine's order is its own; later layers show
    their weights in Keras's."""

    def __init__(self, data_format: Any = None, **options: Any) -> None:
        super().__init__(**options)
        with self.arguments():
            check_channels_last(data_format)

    def apply(self, signal: Signal, training: bool) -> Signal:
        return signal.flat()


class Reshape(Layer):
    """Samples in another shape, in Keras's order of elements; one length may be -1."""

    def __init__(self, target_shape: Any, **options: Any) -> None:
        super().__init__(**options)
        with self.arguments():
            lengths = several(target_shape, "target_shape")
            if not all(is_integer(n) and (n > 0 or n == -1) for n in lengths):
                raise ArgumentError(
                    f"target_shape is {shown(target_shape)}; its lengths are ints above 0, or -1"
                )
            self.target_shape = tuple(int(n) for n in lengths)
            if self.target_shape.count(-1) > 1:
                raise ArgumentError(f"target_shape is {shown(target_shape)}; it has -1 twice")

    def _resolved(self, shape: Shape) -> Shape:
        known = prod(n for n in self.target_shape if n != -1)
        size = prod(shape)
        if size % known or (size != known and -1 not in self.target_shape):
            raise self.misfit(shape, f"{size} elements can't have the shape {self.target_shape}")
        return tuple(size // known if n == -1 else n for n in self.target_shape)

    def apply(self, signal: Signal, training: bool) -> Signal:
        target = self._resolved(signal.shape)
        if target == signal.shape:
            return signal
        x = signal.in_keras_order()
        y = T.reshape(x, (x.shape[0], *target), ndim=len(target) + 1)
        return Signal.from_keras(y, target)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "target_shape": list(self.target_shape)}


class ZeroPadding2D(ImageLayer):
    """Images with zeros around them. padding: an int; (rows, columns), each on both sides; or
    ((above, below), (left, right))."""

    def __init__(self, padding: Any = (1, 1), data_format: Any = None, **options: Any) -> None:
        super().__init__(**options)
        with self.arguments():
            check_channels_last(data_format)
            self.padding = _sides(padding)

    def apply(self, signal: Signal, training: bool) -> Signal:
        height, width, channels = self.image(signal)
        rows, columns = self.padding
        y = with_zeros(signal.variable, (height, width), rows, columns)
        return Signal(y, (height + sum(rows), width + sum(columns), channels))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "padding": [list(pair) for pair in self.padding]}


def _sides(padding: Any) -> tuple[Pair, Pair]:
    """The zeros (above, below), (left, right)."""
    if isinstance(padding, list | tuple) and any(isinstance(n, list | tuple) for n in padding):
        if len(padding) != 2:
            raise ArgumentError(f"padding is {shown(padding)}; it is for rows and for columns")
        rows, columns = padding
        return int_pair(rows, "padding of rows", 0), int_pair(columns, "padding of columns", 0)
    rows, columns = int_pair(padding, "padding", 0)
    return (rows, rows), (columns, columns)
