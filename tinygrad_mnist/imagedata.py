"""Images and labels that come from outside: what is wrong with them, by the image's number."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4096  # images checked at a time


def wrong_pixel(images: NDArray[Any]) -> str | None:
    """The problem with the first image that has a NaN or infinite pixel; None if there is none.

    images: (n, ...), of any dtype.
    """
    if images.dtype.kind != "f":
        return None
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK].reshape(len(images[start : start + _BLOCK]), -1)
        finite = np.isfinite(block)
        if not finite.all():
            image, pixel = np.argwhere(~finite)[0]
            return f"image {start + image} has a pixel that is {block[image, pixel]}"
    return None


def wrong_label(labels: NDArray[Any], classes: int | None = None) -> str | None:
    """The problem with the first wrong label: one that is NaN, infinite or fractional, or not in
    0..classes-1; None if there is none.

    labels: (n,), of any number dtype. classes: None does not limit them.
    """
    if labels.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = labels == np.floor(labels)
        fractional = np.flatnonzero(~(whole & np.isfinite(labels)))
        if fractional.size:
            return f"label {labels[fractional[0]]} at index {fractional[0]} is not an integer"
    if classes is None:
        return None
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if not wrong.size:
        return None
    first = int(wrong[0])
    more = f" ({wrong.size} such labels)" if wrong.size > 1 else " (1 such label)"
    return f"label {labels[first]:g} at index {first} is not in 0..{classes - 1}{more}"
