"""Digits of the fonts that matplotlib brings along: images that no classifier was trained on.

    from tinygrad_mnist.keras.datasets.font_digits import create_digits_from_local_fonts
    images, labels = create_digits_from_local_fonts(24)

The functions that show a row of digits have the arguments of the codelab's.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.graph.values import integer

SIDE = 28
#: The height of a digit in pixels; MNIST's fill a square of 20.
HEIGHT = 20
#: Files of matplotlib, ten digits each: the codelab's two, then others.
FONTS = (
    *("DejaVuSansMono-Oblique", "STIXGeneral", "DejaVuSans", "DejaVuSerif-Italic"),
    *("DejaVuSansMono", "STIXGeneralItalic", "DejaVuSans-Bold", "DejaVuSerif", "cmr10"),
    *("DejaVuSans-Oblique", "STIXGeneralBol", "DejaVuSerif-Bold"),
)


def _optional(module: str) -> Any:
    """A module that the extra `plot` installs."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"this needs matplotlib ({error}); pip install 'tinygrad_mnist[plot]'", name=error.name
        ) from error


def create_digits_from_local_fonts(n: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images float32 (n, 784) in 0..1, white digits on black as MNIST's, and their labels (n,).

    The digits are 0 to 9 in the first font of FONTS, then in the next, and so on from the
    beginning. Each is 20 pixels high, and its centre of mass is in the middle.

    Raises ModuleNotFoundError, which names the extra `plot`, without matplotlib.
    """
    count = integer(n, "n", 0)
    folder = Path(_optional("matplotlib").get_data_path()) / "fonts" / "ttf"
    images = np.zeros((count, SIDE, SIDE), np.float32)
    for i in range(count):
        font = FONTS[i // 10 % len(FONTS)]
        images[i] = _centred(_glyph(folder / f"{font}.ttf", str(i % 10)))
    return images.reshape(count, SIDE * SIDE), np.arange(count) % 10


def _glyph(font: Path, text: str) -> NDArray[np.float32]:
    """The digit alone, (HEIGHT, width), in 0..1."""
    image_font, image = _optional("PIL.ImageFont"), _optional("PIL.Image")
    large = 8  # drawn so many times as high, then made small, so that edges are grey
    size = HEIGHT * large
    face = image_font.truetype(str(font), 2 * size)
    mask = face.getmask(text, mode="L")
    drawn = image.frombytes("L", mask.size, bytes(mask))
    drawn = drawn.crop(drawn.getbbox())
    width = max(1, round(drawn.width * HEIGHT / drawn.height))
    small = drawn.resize((width, HEIGHT), image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)


def _centred(glyph: NDArray[np.float32]) -> NDArray[np.float32]:
    """A glyph in an image of SIDE x SIDE, its centre of mass in the middle."""
    canvas = np.zeros((SIDE, SIDE), np.float32)
    corner = []
    for axis, length in enumerate(glyph.shape):
        mass = glyph.sum(axis=1 - axis)
        middle = float((mass * (np.arange(length) + 0.5)).sum() / mass.sum())
        corner.append(min(max(round(SIDE / 2 - middle), 0), SIDE - length))
    top, left = corner
    canvas[top : top + glyph.shape[0], left : left + glyph.shape[1]] = glyph
    return canvas


def display_digits(digits: Any, predictions: Any, labels: Any, title: str, n: int) -> Any:
    """Draws a row of n digits with their predictions below, the wrong ones in red; the figure.

    digits: images, (n, 784) or (n, 28, 28). predictions, labels: n classes each, or one-hot rows.
    In a notebook the figure is shown. Raises ModuleNotFoundError without matplotlib.
    """
    pyplot = _optional("matplotlib.pyplot")
    count = integer(n, "n", 1)
    strip = np.reshape(np.asarray(digits)[:count], (-1, SIDE, SIDE))
    shown, true = _classes(predictions)[:count], _classes(labels)[:count]
    figure, axes = pyplot.subplots(figsize=(13, 1.4))
    axes.imshow(np.hstack(list(strip)), cmap="gray_r")
    axes.set_yticks([])
    ticks = [SIDE * x + SIDE // 2 for x in range(len(strip))]
    axes.set_xticks(ticks, [str(label) for label in shown])
    for tick, found, right in zip(axes.get_xticklabels(), shown, true, strict=True):
        if found != right:
            tick.set_color("red")
    axes.set_title(title)
    return figure


def display_top_unrecognized(
    digits: Any, predictions: Any, labels: Any, n: int, lines: int
) -> list[Any]:
    """Draws `lines` rows of n digits, those with a wrong prediction first; a figure for each.

    The arguments are those of `display_digits`, for all digits.
    """
    images, shown, true = np.asarray(digits), _classes(predictions), _classes(labels)
    order = np.argsort(shown == true, kind="stable")
    rows = [order[i * n : (i + 1) * n] for i in range(lines)]
    heading = (
        f"{n * lines} sample validation digits out of {len(images)} with bad predictions in red"
        " and sorted first"
    )
    return [
        display_digits(images[row], shown[row], true[row], "" if i else heading, n)
        for i, row in enumerate(rows)
        if len(row)
    ]


def _classes(values: Any) -> NDArray[Any]:
    """Classes; of one-hot rows or probabilities the likeliest."""
    array = np.asarray(values)
    return array if array.ndim == 1 else np.argmax(array, axis=-1)


__all__ = ["create_digits_from_local_fonts", "display_digits", "display_top_unrecognized"]
