"""Windows on images: TensorFlow's padding, and the arguments that layers with windows share."""

from __future__ import annotations

from typing import Any

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.values import choice, integer, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.keras.layers.layer import Layer
from tinygrad_mnist.keras.layers.signal import IMAGE, Shape, Signal

Pair = tuple[int, int]
PADDINGS = ("valid", "same")


def int_pair(value: Any, what: str, least: int) -> Pair:
    """Two ints, given as a pair or as one for both. Raises GraphTypeError, ArgumentError."""
    is_pair = isinstance(value, list | tuple)
    if is_pair and len(value) != 2:
        raise ArgumentError(f"{what} is {shown(value)}; it is an int or two, for rows and columns")
    rows, columns = value if is_pair else (value, value)
    return integer(rows, what, least), integer(columns, what, least)


def same_padding(n: int, window: int, stride: int) -> Pair:
    """The elements that 'same' adds before and behind an axis of length n: enough for
    ceil(n / stride) windows, the odd one behind."""
    total = max((-(-n // stride) - 1) * stride + window - n, 0)
    return total // 2, total - total // 2


def with_zeros(x: Variable, size: Pair, rows: Pair, columns: Pair) -> Variable:
    """Images (batch, channels, *size) with rows of zeros (above, below) and columns (left, right)
    around them, in one array that is written once."""
    if not any((*rows, *columns)):
        return x
    height, width = size
    lengths = (x.shape[0], x.shape[1], sum(rows) + height, sum(columns) + width)
    (top, _), (left, _) = rows, columns
    zeros = T.zeros(lengths, x.dtype)
    inside = zeros[:, :, top : top + height, left : left + width]
    return T.set_subtensor(inside, x)


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
