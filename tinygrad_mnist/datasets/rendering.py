"""Pictures of the pen's path, normalised like MNIST's: 20 x 20 pixels, centred in 28 x 28.

Source of the normalisation: Y. LeCun, C. Cortes, C. Burges, http://yann.lecun.com/exdb/mnist/.
As in `handwriting`, the arithmetic gives the same bytes on every machine.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.handwriting import Floats, Ink

SIDE = 28
_BOX = 20
_CENTRE = 14  # row and column of the centre of mass

Pixels = NDArray[np.uint8]


def render(ink: Ink, softness: float) -> Pixels:
    """The pictures (images, 28, 28) of `ink`: 0 is paper, 255 is ink.

    The path is scaled, its aspect kept, until the ink just fits into 20 x 20 pixels. A pixel's
    grey follows from its centre's distance to the pen's edge; the edge is `softness` pixels wide.
    Then the picture moves by whole pixels until its centre of mass is in the middle.
    """
    x, y = _into_box(ink)
    return _centred(_grey(x, y, ink.radius, ink.pen, softness))


def _into_box(ink: Ink) -> tuple[Floats, Floats]:
    """The pen's positions in pixels, from the box's upper left corner."""
    axes = ((ink.x, ink.radius * ink.pen), (ink.y, ink.radius / ink.pen))
    fits = []
    for positions, radius in axes:
        extent = positions.max(axis=0) - positions.min(axis=0)
        # The pen's radius is in pixels already, so only the path is scaled, to the room it leaves.
        room = np.float32(_BOX) - 2 * radius.max(axis=0)
        fits.append(room / np.maximum(extent, np.float32(1e-3)))
    scale = np.minimum(fits[0], fits[1])
    placed = []
    for positions, radius in axes:
        scaled = positions * scale
        middle = ((scaled - radius).min(axis=0) + (scaled + radius).max(axis=0)) / 2
        placed.append(scaled - middle + np.float32(_BOX / 2))
    return placed[0], placed[1]


def _grey(x: Floats, y: Floats, radius: Floats, pen: Floats, softness: float) -> Pixels:
    """Pictures (images, 20, 20) of a pen that passed all positions x, y."""
    images = x.shape[1]
    centres = np.arange(_BOX, dtype=np.float32)[:, None] + np.float32(0.5)
    deepest = np.full((_BOX, _BOX, images), -np.inf, np.float32)
    depth = np.empty_like(deepest)
    for pen_x, pen_y, r in zip(x, y, radius, strict=True):
        # (r**2 - distance**2) / (2 * r) is, near the pen's edge, the depth below it. It is a sum
        # of a term for the column and one for the row: one subtraction per pixel.
        dx, dy = (centres - pen_x) / pen, (centres - pen_y) * pen
        column = r / 2 - dx * dx / (2 * r)
        row = dy * dy / (2 * r)
        np.subtract(column[None, :, :], row[:, None, :], out=depth)
        np.maximum(deepest, depth, out=deepest)
    grey = np.clip(deepest / np.float32(softness) + np.float32(0.5), 0, 1)
    grey *= grey * (3 - 2 * grey)
    pictures: Pixels = np.rint(grey * np.float32(255)).astype(np.uint8).transpose(2, 0, 1)
    return pictures


def _centred(boxes: Pixels) -> Pixels:
    """Boxes (images, 20, 20) put into pictures (images, 28, 28) by their centre of mass."""
    images = len(boxes)
    mass = boxes.sum(axis=(1, 2), dtype=np.int64)
    ranges = []
    for other in (2, 1):  # rows, then columns
        moment = (boxes.sum(axis=other, dtype=np.int64) * np.arange(_BOX)).sum(axis=1)
        offset = _CENTRE - np.rint(moment / mass).astype(np.int64)
        ranges.append(np.clip(offset, 0, SIDE - _BOX)[:, None] + np.arange(_BOX))
    rows, columns = ranges
    pictures = np.zeros((images, SIDE, SIDE), np.uint8)
    pictures[np.arange(images)[:, None, None], rows[:, :, None], columns[:, None, :]] = boxes
    return pictures
