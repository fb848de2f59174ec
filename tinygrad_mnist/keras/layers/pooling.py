"""Pools of images: maxima and means over windows, and over whole images."""

from __future__ import annotations

from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.contracts.pool2d.average_pool2d import INSIDE
from tinygrad_mnist.graph.values import flag
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras.layers.signal import Shape, Signal
from tinygrad_mnist.keras.layers.windows import (
    ImageLayer,
    check_channels_last,
    int_pair,
    padding_name,
    same_padding,
)
from tinygrad_mnist.ops.average_pool import AVERAGE_POOL2D
from tinygrad_mnist.ops.pool import POOL2D
from tinygrad_mnist.ops.reduce import max_shared


class _Pooling2D(ImageLayer):
    """A pool of windows. pool_size, strides (default: pool_size): an int or (rows, columns).
    padding: 'valid' leaves out what fills no window; 'same' gives ceil(length / stride)."""

    def __init__(
        self,
        pool_size: Any = (2, 2),
        strides: Any = None,
        padding: str = "valid",
        data_format: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        with self.arguments():
            check_channels_last(data_format)
            self.pool_size = int_pair(pool_size, "pool_size", 1)
            self.strides = self.pool_size if strides is None else int_pair(strides, "strides", 1)
            self.padding = padding_name(padding)

    def check_input(self, shape: Shape) -> None:
        super().check_input(shape)
        self.check_fits(shape, self.pool_size, "window", self.padding)

    def apply(self, signal: Signal, training: bool) -> Signal:
        height, width, channels = self.image(signal)
        axes = list(zip((height, width), self.pool_size, self.strides, strict=True))
        whole = {"window": self.pool_size, "stride": self.strides}
        if self.padding == "valid":
            size = [(n - k) // s + 1 for n, k, s in axes]
            y = self.pool(signal.variable, **whole, padding=(0, 0), ignore_border=True)
        elif all(n % s == 0 and k == s for n, k, s in axes):
            size = [n // s for n, _, s in axes]
            y = self.pool(signal.variable, **whole, padding=(0, 0), ignore_border=True)
        else:
            # The windows begin before the image by the smaller half of the padding; those that
            # reach beyond its end are cut off there.
            size = [-(-n // s) for n, _, s in axes]
            before = tuple(same_padding(n, k, s)[0] for n, k, s in axes)
            y = self.pool(
                signal.variable, **whole, padding=before, ignore_border=False, pooled=tuple(size)
            )
        return Signal(y, (*size, channels))

    def pool(self, images: Variable, **params: Any) -> Variable:
        """The pooled images, for parameters of the ops `pool2d` and `average_pool2d`."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "pool_size": list(self.pool_size),
            "strides": list(self.strides),
            "padding": self.padding,
        }


class MaxPooling2D(_Pooling2D):
    """The maxima of windows. The first of several equal maxima gets the gradient; padding never
    wins. The arguments are those of `AveragePooling2D`."""

    def pool(self, images: Variable, **params: Any) -> Variable:
        return POOL2D(images, **params, winners=True, first=1)


class AveragePooling2D(_Pooling2D):
    """The means of windows, over their pixels inside the image.

    pool_size, strides (default: pool_size): an int or (rows, columns). padding: 'valid' leaves out
    what fills no window; 'same' gives ceil(length / stride).
    """

    def pool(self, images: Variable, **params: Any) -> Variable:
        return AVERAGE_POOL2D(images, **params, count=INSIDE)


class _GlobalPooling2D(ImageLayer):
    """A number per channel: (batch, channels), or (batch, 1, 1, channels) with `keepdims`."""

    def __init__(self, data_format: Any = None, keepdims: bool = False, **options: Any) -> None:
        super().__init__(**options)
        with self.arguments():
            check_channels_last(data_format)
            self.keepdims = flag(keepdims, "keepdims")

    def apply(self, signal: Signal, training: bool) -> Signal:
        y = self.pool(signal.variable)
        channels = signal.shape[2]
        if self.keepdims:
            y = T.reshape(y, (y.shape[0], channels, 1, 1), ndim=4)
            return Signal(y, (1, 1, channels))
        return Signal(y, (channels,))

    def pool(self, images: Variable) -> Variable:
        """(batch, channels)."""
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "keepdims": self.keepdims}


class GlobalAveragePooling2D(_GlobalPooling2D):
    """The mean of each channel."""

    def pool(self, images: Variable) -> Variable:
        return T.mean(images, axis=(2, 3))


class GlobalMaxPooling2D(_GlobalPooling2D):
    """The maximum of each channel. Several equal maxima get equal shares of the gradient."""

    def pool(self, images: Variable) -> Variable:
        return max_shared(images, (2, 3))
