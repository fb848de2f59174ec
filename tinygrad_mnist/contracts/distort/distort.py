"""Images distorted at random: scaled, skewed, rotated, moved, and elastically.

    distort: images (n, h, w) uint8, float32 or float64; amounts (10,) float64; weights (r + 1,)
        float32 -> (n, h, w) of the images' dtype

amounts: the lowest and the highest angle (radians, counterclockwise), translation (pixels), skew
and factor of the size, each drawn uniformly, the translation and the factor for each axis; then
alpha, by which the displacements are multiplied, and fill, the pixel outside of an image. weights:
half of the Gaussian that smooths the displacements, from its middle on; none: no elastic
distortion. params: seed; first, the number of the first image. An image's distortion depends on
seed and number alone.

Pixel p of a result is the image at M (p - centre - translation) + centre + displacement, where M
is the inverse of scaling, then skewing, then rotating. Between pixels it is interpolated linearly
along both axes, also from the last pixel to `fill` beside it. uint8 is rounded, halves to even.

The displacements are random numbers from -1 to 1, smoothed along both axes; beyond the image they
are 0. Source: Simard, Steinkraus, Platt, Best Practices for Convolutional Neural Networks Applied
to Visual Document Analysis, ICDAR 2003.

Coordinates are float32, of float64 images too. Every pixel is computed in the same order with the
same roundings on every instruction set.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..core.base import Array, ArraySpec, Contract, Params, register
from ..core.philox import uniform

_FIRST_OF_FIELD = 8  # numbers that an image draws before those of its fields
_PLAIN_FLOPS = 32
Floats = NDArray[np.float32]


def _sources(amounts: Array, draws: Floats, height: int, width: int) -> Floats:
    """The coordinates (2, h, w) that an image's pixels come from, without a displacement; counted
    from the corner of the image's frame."""
    low, high = amounts[:8:2], amounts[1:8:2]
    amount = np.repeat(np.arange(4), [1, 2, 1, 2])  # drawn for: angle, y, x, skew, factor y, x
    drawn = low[amount] + (high - low)[amount] * draws[:6].astype(np.float64)
    angle, move, skew, factor = drawn[0], drawn[1:3], drawn[3], drawn[4:6]
    cosine, sine = np.cos(angle), np.sin(angle)
    inverse = np.array([[cosine, sine], [skew * cosine - sine, skew * sine + cosine]])
    inverse /= factor[:, None]
    centre = np.array([height - 1, width - 1]) / 2
    row = np.arange(height) - centre[0] - move[0]
    middle = 1 + centre[:, None] + (inverse[:, :1] * row - inverse[:, 1:] * move[1])
    x = np.arange(width, dtype=np.float32) - np.float32(centre[1])
    step = inverse[:, 1].astype(np.float32)
    return np.asarray(middle.astype(np.float32)[:, :, None] + step[:, None, None] * x)


def _smoothed(field: Floats, weights: Floats, axis: int) -> Floats:
    """The field convolved with the Gaussian along an axis, zeros around it."""
    length = field.shape[axis]
    reach = min(len(weights), length) - 1
    around = [(reach, reach) if a == axis else (0, 0) for a in range(2)]
    rows = np.moveaxis(np.pad(field, around), axis, 0)
    total = rows[reach : reach + length] * weights[0]
    for k in range(1, reach + 1):
        both = rows[reach - k : reach - k + length] + rows[reach + k : reach + k + length]
        total += both * weights[k]
    return np.asarray(np.moveaxis(total, 0, axis))


def _sampled(image: Array, source: Floats, fill: float) -> Array:
    """The image, in its frame of `fill`, at fractional coordinates; in float64, or wider."""
    height, width = image.shape
    wide = image.astype(np.promote_types(image.dtype, np.float64))
    framed = np.pad(wide, ((1, 2), (1, 2)), constant_values=fill)
    limits = np.array([height + 1, width + 1], np.float32)[:, None, None]
    at = np.clip(np.nan_to_num(source, nan=0.0), 0, limits)
    y, x = corner = at.astype(np.int64)
    part_y, part_x = (at - corner.astype(np.float32)).astype(wide.dtype)
    upper = framed[y, x] * (1 - part_x) + framed[y, x + 1] * part_x
    lower = framed[y + 1, x] * (1 - part_x) + framed[y + 1, x + 1] * part_x
    return np.asarray(upper * (1 - part_y) + lower * part_y)


def distort_reference(
    params: Params, inputs: Sequence[Array], outputs: Sequence[ArraySpec]
) -> list[Array]:
    """Every image by itself: coordinates in float32 as in the kernel, pixels in float64."""
    images, amounts, weights = inputs
    amounts, weights = amounts.astype(np.float64), weights.astype(np.float32)
    _, height, width = images.shape
    pixels = height * width
    result = np.empty(images.shape, images.dtype)
    for i, image in enumerate(images):
        index = np.arange(_FIRST_OF_FIELD + 2 * pixels)
        draws = uniform("float32", index, params["first"] + i, params["seed"])
        source = _sources(amounts, draws, height, width)
        if len(weights):
            noise = 2 * draws[_FIRST_OF_FIELD:] - 1
            for at, field in zip(source, noise.reshape(2, height, width), strict=True):
                smooth = _smoothed(_smoothed(field, weights, 1), weights, 0)
                at += smooth * np.float32(amounts[8])
        pixel = _sampled(image, source, amounts[9])
        result[i] = np.rint(pixel) if images.dtype.kind == "u" else pixel
    return [result]


def distort_flops(params: Params, inputs: Sequence[ArraySpec], outputs: Sequence[ArraySpec]) -> int:
    """Coordinates and interpolation, and three per neighbour, field and axis."""
    _, height, width = inputs[0].shape
    weights = inputs[2].size
    reach = sum(min(weights, length) - 1 for length in (height, width))
    pixel = _PLAIN_FLOPS + (6 * reach + _PLAIN_FLOPS if weights else 0)
    return outputs[0].size * pixel


DISTORT = register(
    Contract("distort", distort_reference, distort_flops, ints=("seed", "first"), base=False)
)
