"""Windows on images: TensorFlow's padding, and the arguments that layers with windows share."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import choice, shown
from tinygrad_mnist.keras.layers.layer import Layer
from tinygrad_mnist.keras.layers.signal import IMAGE, Shape, Signal

Pair = tuple[int, int]
PADDINGS = ("valid", "same")


def same_padding(n: int, window: int, stride: int) -> Pair:
    """The elements that 'same' adds before and behind an axis of length n: enough for
    ceil(n / stride) windows, the odd one behind."""
    total = max((-(-n // stride) - 1) * stride + window - n, 0)
    return total // 2, total - total // 2


def padding_name(padding: Any) -> str:
    """'valid' or 'same', in lower case. Raises GraphTypeError, ArgumentError."""
    return choice(padding.lower() if isinstance(padding, str) else padding, PADDINGS, "padding")


def check_channels_last(data_format: Any) -> None:
    """Raises ArgumentError for images with the channels before the rows."""
    if data_format not in (None, "channels_last"):
        raise ArgumentError(
            f"data_format is {shown(data_format)}; users' images are 'channels_last' here: "
            "(batch, height, width, channels)"
        )


class ImageLayer(Layer):
    """A layer of images (height, width, channels)."""

    def check_input(self, shape: Shape) -> None:
        """Raises ShapeError for samples that are no images."""
        if len(shape) != IMAGE:
            hint = f": Reshape(({', '.join(map(str, shape))}, 1)) adds the channel"
            raise self.misfit(
                shape,
                "it needs images (height, width, channels)" + (hint if len(shape) == 2 else ""),
            )

    def check_fits(self, shape: Shape, window: Pair, what: str, padding: str) -> None:
        """Raises ShapeError where a window is larger than the image."""
        if padding == "valid" and (window[0] > shape[0] or window[1] > shape[1]):
            raise self.misfit(
                shape,
                f"its {what} of {window[0]}x{window[1]} is larger than images of "
                f"{shape[0]}x{shape[1]}; padding='same' or fewer layers with strides before it "
                "leave more",
            )

    @staticmethod
    def image(signal: Signal) -> tuple[int, int, int]:
        """Height, width and channels."""
        height, width, channels = signal.shape
        return height, width, channels
