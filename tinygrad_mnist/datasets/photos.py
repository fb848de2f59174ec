"""Images of single digits from files, brought to the form of MNIST's.

MNIST's digits are white on black. Each was scaled so that its longer side has 20 pixels, and put
into 28x28 with its centre of mass in the middle (Y. LeCun et al., Proc. of the IEEE 86, 1998).
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.splits import DatasetError

SIDE, BOX = 28, 20
_CENTRE = 14.0  # row and column of the centre of mass in MNIST's images, on average
_LARGEST = 1024  # larger images are reduced first
_FAINT = 0.1  # of the contrast: fainter pixels of images larger than MNIST's are no ink
_LEAST_CONTRAST, _FULL_CONTRAST = 16, 250  # levels; what is between is stretched
_WIDE = 3.0  # median deviations from the background that are still noise

Grey = NDArray[np.float64]


class ImageError(DatasetError):
    """A file is no image, or there is no digit in it."""


def read_image(path: str | os.PathLike[str]) -> NDArray[np.uint8]:
    """The grey levels of an image file, uint8 (height, width): PNG, JPEG and others that Pillow
    reads, in colour or not. What is transparent becomes white, or black below light ink.

    Raises ImageError for a missing file and for what is no image; ImportError without Pillow.
    """
    try:
        pillow: Any = import_module("PIL.Image")
        operations: Any = import_module("PIL.ImageOps")
    except ImportError as error:
        raise ImportError(
            "reading images needs Pillow: pip install 'tinygrad_mnist[plot]'"
        ) from error
    try:
        with pillow.open(path) as image:
            image.load()
            upright = operations.exif_transpose(image)
            factor = -(-max(upright.size) // _LARGEST)
            return _grey(upright.reduce(factor) if factor > 1 else upright)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: a folder, not an image") from None
    except pillow.UnidentifiedImageError:
        raise ImageError(f"{path}: not an image, or of an unknown kind") from None
    except Exception as error:  # each of Pillow's decoders has errors of its own
        raise ImageError(f"{path}: the image can't be read: {error}") from error


def _grey(image: Any) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):  # 16 bits, or more
        levels = np.asarray(image, np.float64)
        top = 255 if levels.max() <= 255 else 65535 if levels.max() <= 65535 else levels.max()
        return np.asarray(np.rint(np.clip(levels / top, 0, 1) * 255), np.uint8)
    if "A" not in image.getbands() and "transparency" not in image.info:
        return np.array(image.convert("L"))
    rgba = image.convert("RGBA")
    levels = np.asarray(rgba.convert("L"), np.float64)
    share = np.asarray(rgba.getchannel("A"), np.float64) / 255
    is_light = (levels * share).sum() > 127.5 * share.sum()
    mixed = levels * share + (1 - share) * (0 if is_light else 255)
    return np.asarray(np.rint(mixed), np.uint8)


def as_mnist(image: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], list[str]]:
    """The digit in MNIST's form, uint8 (28, 28), and what was done, in words.

    image: grey levels (height, width), of one digit before a background that is lighter or darker
        than it all around the edge. An image in MNIST's form stays as it is.

    Raises ImageError where there is no digit.
    """
    background, noise = _background(image)
    ink = image - background
    is_dark = abs(ink.min()) > ink.max()
    ink = -ink if is_dark else ink
    contrast = ink.max()
    if contrast < _LEAST_CONTRAST:
        raise ImageError("there is no digit: all pixels are nearly equal")
    top = 255 if contrast >= _FULL_CONTRAST else contrast
    least = max(noise, _FAINT * contrast if max(image.shape) > SIDE else 0)
    cropped = _cropped(np.where(ink > least, np.clip(ink / top, 0, 1), 0))
    scaled = _scaled(cropped)
    result = np.rint(255 * _centred(scaled)).astype(np.uint8)
    if np.array_equal(result, image):
        return result, []
    done = {
        "inverted": is_dark,
        "contrast stretched": top < 255,
        f"cropped to {_size(cropped)}": cropped.shape != image.shape,
        f"scaled to {_size(scaled)}": scaled.shape != cropped.shape,
        "centred by mass": True,
    }
    return result, [step for step, is_done in done.items() if is_done]


def _size(image: Grey) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _background(image: NDArray[np.uint8]) -> tuple[Grey, float]:
    """The background at every pixel, a smooth surface through those at the edge, and its noise."""
    rows, columns = (np.linspace(-1, 1, n) for n in image.shape)
    y, x = np.meshgrid(rows, columns, indexing="ij")
    width = max(1, min(image.shape) // 20)
    edge = np.ones(image.shape, bool)
    edge[width:-width, width:-width] = False
    levels = image[edge].astype(np.float64)
    middle = np.median(levels)
    flat = np.full(image.shape, middle)
    spread = np.median(np.abs(levels - middle))
    if spread == 0:
        return flat, 0.0
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], -1)
    near = np.abs(levels - middle) <= max(_WIDE * 2 * spread, 1)
    for _ in range(3):
        factors = np.linalg.lstsq(terms[edge][near], levels[near], rcond=None)[0]
        deviation = np.abs(levels - terms[edge] @ factors)
        noise = _WIDE * 1.5 * float(np.median(deviation))
        near = deviation <= max(noise, 1)
    return terms @ factors, noise


def _cropped(ink: Grey) -> Grey:
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _scaled(ink: Grey) -> Grey:
    """The longer side becomes 20 pixels; averages where it was longer, interpolates else."""
    height, width = ink.shape
    longest = max(height, width)
    sizes = [max(1, round(n * BOX / longest)) for n in (height, width)]
    down, across = (_resampling(n, size) for n, size in zip(ink.shape, sizes, strict=True))
    return np.clip(down @ ink @ across.T, 0, 1)


def _resampling(n: int, size: int) -> Grey:
    """The matrix (size, n) that resamples n pixels, with weights that fall linearly."""
    if n == size:
        return np.eye(n)
    step = n / size
    centres = (np.arange(size) + 0.5) * step
    distance = np.abs(np.arange(n) + 0.5 - centres[:, None]) / max(step, 1)
    weights = np.maximum(1 - distance, 0)
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _centred(ink: Grey) -> Grey:
    """In 28x28, with the centre of mass in the middle, as far as the ink stays inside."""
    result = np.zeros((SIDE, SIDE))
    starts = []
    for axis, n in enumerate(ink.shape):
        mass = ink.sum(1 - axis)
        start = round(_CENTRE - float(mass @ np.arange(n) / mass.sum()))
        starts.append(min(max(start, 0), SIDE - n))
    row, column = starts
    result[row : row + ink.shape[0], column : column + ink.shape[1]] = ink
    return result
