"""Images of single digits from files, brought to the form of MNIST's.

MNIST's digits are white on black. Each was scaled so that its longer side has 20 pixels, and put
into 28x28 with its centre of mass in the middle (Y. LeCun et al., Proc. of the IEEE 86, 1998).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.splits import DatasetError
from tinygrad_mnist.files import open_regular
from tinygrad_mnist.limits import limits

SIDE, BOX = 28, 20
_CENTRE = 14.0  # row and column of the centre of mass in MNIST's images, on average
_LARGEST, _WORKING = 1024, 10 * SIDE  # larger images are reduced when they are read, and again
_FAINT = 0.1  # of the contrast: fainter pixels of images larger than MNIST's are no ink
_LEAST_CONTRAST, _FULL_CONTRAST = 16, 250  # levels; what is between is stretched
_PART = 0.6  # of an image: a digit in a smaller part is cut out before the rest is reduced
_NOISE = 6.0  # median deviations from the background, about 4 standard ones, that are no ink
_SPECK = 3  # pixels: fewer together are no ink, in images larger than MNIST's

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
        with open_regular(path) as file, _without_limit(pillow), pillow.open(file) as image:
            _check_size(path, image.size)
            image.load()
            upright = operations.exif_transpose(image)
            factor = -(-max(upright.size) // _LARGEST)
            return _grey(upright.reduce(factor) if factor > 1 else upright)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: a folder, not an image") from None
    except ImageError:
        raise
    except MemoryError:
        raise ImageError(f"{path}: the image does not fit into memory") from None
    except pillow.UnidentifiedImageError:
        raise ImageError(f"{path}: not an image, or of an unknown kind") from None
    except Exception as error:  # each of Pillow's decoders has errors of its own
        raise ImageError(f"{path}: the image can't be read: {error}") from error


@contextmanager
def _without_limit(pillow: Any) -> Iterator[None]:
    """Without Pillow's own limit, whose warning would come first."""
    before = pillow.MAX_IMAGE_PIXELS
    pillow.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        pillow.MAX_IMAGE_PIXELS = before


def _check_size(path: str | os.PathLike[str], size: tuple[int, int]) -> None:
    width, height = size
    if not 0 < width * height <= limits.picture_pixels:
        raise ImageError(
            f"{path}: an image of {width:,} x {height:,} pixels; the limit `picture_pixels` is"
            f" {limits.picture_pixels:,}"
        )


def _grey(image: Any) -> NDArray[np.uint8]:
    if image.mode.startswith(("I", "F")):  # 16 bits or more, or floats
        levels = np.asarray(image, np.float64)
        tops = (1, 255, 65535) if image.mode == "F" else (255, 65535)
        top = next((top for top in tops if levels.max() <= top), levels.max())
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
    levels = _scaled(image.astype(np.float64), min(_WORKING, max(image.shape)))
    background, noise = _background(levels)
    ink = levels - background
    is_dark = abs(ink.min()) > ink.max()
    ink = -ink if is_dark else ink
    contrast = ink.max()
    if contrast < _LEAST_CONTRAST:
        raise ImageError("there is no digit: all pixels are nearly equal")
    is_ink = ink > noise
    if max(image.shape) > SIDE:
        is_ink = _without_specks(is_ink & (ink > _FAINT * contrast))
    if not is_ink.any():
        raise ImageError("there is no digit: only specks differ from the background")
    if levels.shape != image.shape:
        near = image[_region(is_ink, image.shape)]
        if near.size < _PART * image.size:  # a small digit, of which the reduction loses too much
            result, steps = as_mnist(near)
            return result, [f"cut out {_size(near)}", *steps]
    top = 255 if contrast >= _FULL_CONTRAST else contrast
    cropped = _cropped(np.where(is_ink, np.clip(ink / top, 0, 1), 0))
    scaled = np.clip(_scaled(cropped, BOX), 0, 1)
    result = np.rint(255 * _centred(scaled)).astype(np.uint8)
    if np.array_equal(result, image):
        return result, []
    done = {
        f"reduced to {_size(levels)}": levels.shape != image.shape,
        "inverted": is_dark,
        "contrast stretched": top < 255,
        f"cropped to {_size(cropped)}": cropped.shape != levels.shape,
        f"scaled to {_size(scaled)}": scaled.shape != cropped.shape,
        "centred by mass": True,
    }
    return result, [step for step, is_done in done.items() if is_done]


def _region(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """The part of an image of this shape, which was reduced to that of `mask`, in which the mask is
    true; with a margin of half its longer side all around."""
    lines = [np.flatnonzero(mask.any(axis)) for axis in (1, 0)]
    margin = max(np.ptp(line) + 1 for line in lines) / 2
    factor = max(shape) / max(mask.shape)
    bounds = [
        (max(0, int((line[0] - margin) * factor)), min(n, int((line[-1] + 1 + margin) * factor)))
        for line, n in zip(lines, shape, strict=True)
    ]
    return slice(*bounds[0]), slice(*bounds[1])


def _size(image: NDArray[Any]) -> str:
    return f"{image.shape[1]}x{image.shape[0]}"


def _background(image: Grey) -> tuple[Grey, float]:
    """The background at every pixel, a smooth surface through those at the edge, and its noise."""
    y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
    width = max(1, min(image.shape) // 20)
    edge = np.ones(image.shape, bool)
    edge[width:-width, width:-width] = False
    levels = image[edge]
    middle = np.median(levels)
    deviation = np.abs(levels - middle)
    if np.median(deviation) == 0:
        return np.full(image.shape, middle), 0.0
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], -1)
    surface = np.full(image.shape, middle)
    for _ in range(3):  # each time without the digit, where it reaches the edge
        near = deviation <= max(_NOISE * float(np.median(deviation)), 1)
        factors = np.linalg.lstsq(terms[edge][near], levels[near], rcond=None)[0]
        surface = terms @ factors
        deviation = np.abs(levels - surface[edge])
    return surface, _NOISE * float(np.median(deviation))


def _cropped(ink: Grey) -> Grey:
    rows, columns = (np.flatnonzero(ink.any(axis)) for axis in (1, 0))
    return ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _without_specks(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The true pixels that are among at least _SPECK in their 3x3, and what touches these."""
    return mask & (_neighbours(mask & (_neighbours(mask) >= _SPECK)) > 0)


def _neighbours(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """How many of the 3x3 pixels around each are true, itself included."""
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(mask, 1), (3, 3))
    return np.asarray(windows.sum((2, 3)))


def _scaled(image: Grey, size: int) -> Grey:
    """The longer side becomes `size` pixels; averages where it was longer, interpolates else."""
    longest = max(image.shape)
    sizes = [max(1, round(n * size / longest)) for n in image.shape]
    down, across = (_resampling(n, size) for n, size in zip(image.shape, sizes, strict=True))
    return np.asarray(down @ image @ across.T)


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
