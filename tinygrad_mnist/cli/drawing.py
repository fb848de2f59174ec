"""An image in the terminal: two rows of pixels in a line of text."""

from __future__ import annotations

from typing import TextIO

import numpy as np
from numpy.typing import NDArray

_BLOCKS = " ▄▀█"  # neither, the lower, the upper, both
_LEVELS = " .:-=+*#%@"
_LIGHT = 96  # a pixel from here on is drawn as light


def draw(image: NDArray[np.uint8], out: TextIO) -> str:
    """The image, uint8 (height, width), light on dark, in half blocks; in ASCII where `out` can't
    write these."""
    padded = np.pad(image, ((0, image.shape[0] % 2), (0, 0)))
    upper, lower = padded[::2], padded[1::2]
    if _can_write(out, _BLOCKS):
        codes = 2 * (upper >= _LIGHT) + (lower >= _LIGHT)
        return _text(codes, _BLOCKS)
    mean = (upper.astype(int) + lower) / 2
    return _text((mean * (len(_LEVELS) - 1) / 255).round().astype(int), _LEVELS)


def _can_write(out: TextIO, text: str) -> bool:
    try:
        text.encode(out.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _text(codes: NDArray[np.integer], characters: str) -> str:
    return "\n".join("".join(characters[code] for code in row).rstrip() for row in codes)
