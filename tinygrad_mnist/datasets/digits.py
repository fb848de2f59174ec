"""Generated digits: a data set like MNIST for machines with neither MNIST nor a network.

`glyphs` has the strokes of digits, `handwriting` varies them, `rendering` draws the pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_mnist.datasets.glyphs import GLYPHS
from tinygrad_mnist.datasets.handwriting import Style, write
from tinygrad_mnist.datasets.rendering import SIDE, Pixels, render
from tinygrad_mnist.datasets.splits import CLASSES, Labels, Pair, Splits, as_floats
from tinygrad_mnist.graph.values import integer

STYLE = Style()
_BLOCK = 512  # pictures drawn at a time: enough for NumPy, few enough for the processor's cache


def _shares(count: int, weights: Sequence[float]) -> list[int]:
    """`count` divided in proportion to `weights`, into whole numbers that add up to it."""
    edges = np.rint(np.cumsum(weights) * count / np.sum(weights)).astype(int)
    return [int(share) for share in np.diff(edges, prepend=0)]


def draw_digits(
    count: int, seed: int | np.random.SeedSequence = 0, style: Style = STYLE
) -> tuple[Pixels, Labels]:
    """Pictures of digits as people write them, and their classes, in random order.

    count: how many; each class has a tenth of them, to within one picture.
    seed: of NumPy's PCG64 generator. A seed and a count give the same bytes on every machine.
    style: how much the handwriting varies.

    Returns uint8 (count, 28, 28), 0 for paper, 255 for ink, and int64 (count,).
    Raises ValueError where count is negative.
    """
    if integer(count, "count") < 0:
        raise ValueError(f"count is {count}, not 0 or more")
    if not isinstance(seed, np.random.SeedSequence):
        seed = integer(seed, "seed", least=0)
    rng = np.random.default_rng(seed)
    pictures = np.empty((count, SIDE, SIDE), np.uint8)
    labels = np.empty(count, np.int64)
    order = rng.permutation(count)
    start = 0
    for digit, share in enumerate(_shares(count, [1.0] * CLASSES)):
        glyphs = [glyph for glyph in GLYPHS if glyph.digit == digit]
        labels[order[start : start + share]] = digit
        for glyph, rest in zip(glyphs, _shares(share, [g.weight for g in glyphs]), strict=True):
            while rest:
                size = min(_BLOCK, rest)
                ink = write(glyph, size, rng, style)
                pictures[order[start : start + size]] = render(ink, style.softness)
                start, rest = start + size, rest - size
    return pictures, labels


def load_digits(
    seed: int = 0, training: int = 50_000, validation: int = 10_000, test: int = 10_000
) -> Splits:
    """Generated digits in MNIST's form: float32 images (n, 784), byte / 256, and int64 labels (n,).

    seed: the three parts are drawn from independent streams derived from it.
    training, validation, test: how many images each part has; MNIST's sizes take seconds.

    Raises ValueError where a number is negative.
    """
    pairs = []
    streams = np.random.SeedSequence(integer(seed, "seed", least=0)).spawn(3)
    for count, stream in zip((training, validation, test), streams, strict=True):
        pictures, labels = draw_digits(count, stream)
        pairs.append(Pair(as_floats(pictures), labels))
    return Splits(*pairs)
