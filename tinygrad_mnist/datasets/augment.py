"""Images distorted at random, as often as one likes: more data of the same kind.

Source of the elastic distortion: Simard, Steinkraus, Platt, Best Practices for Convolutional Neural
Networks Applied to Visual Document Analysis, ICDAR 2003.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.backends.cpu import run_kernel
from tinygrad_mnist.datasets.distortions import Amount, Distortions
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import integer, plain_array, shown

_SLAB = 1 << 23  # pixels of one native call; signals are seen between calls
_MOST = 2**63
_COMPUTED = {"float16": "float32"}  # other dtypes are computed as they are
_DTYPES = ("uint8", "float16", "float32", "float64")


def augment(
    images: Any,
    *,
    rotation: Amount = 0.0,
    translation: Amount = 0.0,
    skew: Amount = 0.0,
    scale: Amount = 0.0,
    elastic: tuple[float, float] | None = None,
    fill: float = 0.0,
    seed: int = 0,
    first: int = 0,
) -> NDArray[Any]:
    """Images, each distorted at random; an array of the same shape and dtype.

    images: (n, height, width), with another axis of length 1 at the end or none, or (n, side²) of
        square images; uint8, float16, float32 or float64, finite.
    rotation: degrees, counterclockwise. A number a means angles from -a to a, a pair those between
        the two; so for the next three.
    translation: pixels, to the right and down, each axis by itself.
    skew: pixels to the right per pixel upwards.
    scale: how much larger or smaller, each axis by itself: 0.1 means factors from 0.9 to 1.1; a
        pair gives the factors themselves.
    elastic: (alpha, sigma). Each pixel is moved along both axes by a field of random numbers from
        -1 to 1, smoothed by a Gaussian of sigma pixels and multiplied by alpha.
    fill: the pixel outside of an image.
    seed, first: the distortion of an image depends on the seed and on its number alone, and `first`
        is the number of the first one; each below 2**63. So batches, threads and instruction sets
        change nothing.

    Images are scaled, then skewed, then rotated around their centre, then moved; pixels in between
    are interpolated linearly along both axes, and rounded for uint8. If nothing is to be changed,
    the result is an exact copy.

    Raises TypeError (GraphTypeError) and ValueError (ArgumentError), naming the argument.
    """
    distortions = Distortions(rotation, translation, skew, scale, elastic, fill)
    return distorted(images, distortions, seed, first)


def distorted(images: Any, distortions: Distortions, seed: int, first: int) -> NDArray[Any]:
    """`augment`, with its arguments in one."""
    seed, first = integer(seed, "seed", 0), integer(first, "first", 0)
    if seed >= _MOST:
        raise ArgumentError(f"seed is {seed}; it must be below 2**63")
    array = plain_array(images, "images")
    if array.dtype.name not in _DTYPES:
        raise GraphTypeError(f"images are {array.dtype}; they must be {', '.join(_DTYPES)}")
    if array.dtype == np.uint8 and not 0 <= distortions.fill <= 255:
        raise ArgumentError(f"fill is {distortions.fill:g}; of uint8 images it must be in 0..255")
    source = _planes(array)
    if first + len(source) > _MOST:
        raise ArgumentError(f"first is {first}; numbers of images must be below 2**63")
    result = np.empty(array.shape, array.dtype.newbyteorder("="))
    if distortions.is_identity:
        result[...] = array
        return result
    target = _planes(result)
    n, height, width = source.shape
    weights = distortions.weights(max(height, width, 1))
    amounts = distortions.amounts()
    computed = np.dtype(_COMPUTED.get(array.dtype.name, result.dtype))
    step = max(1, _SLAB // max(1, height * width))
    for start in range(0, n, step):
        slab = np.require(source[start : start + step], computed, "A")
        to = target[start : start + step]
        out = to if to.dtype == computed else np.empty(slab.shape, computed)
        params = {"seed": seed, "first": first + start}
        run_kernel("distort", [slab, amounts, weights], [out], params)
        if out is not to:
            to[...] = out
    return result


def augmented(
    data: tuple[Any, Any], *, seed: int = 0, **amounts: Any
) -> Callable[[int | None], tuple[Any, Any]]:
    """A function that distorts the data anew for each epoch.

    data: images and labels. The images may be a shared variable, as `network3.load_data_shared` has
        them. Otherwise they are an array, which stays as it is.
    amounts: `rotation`, `translation`, `skew`, `scale`, `elastic` and `fill` of `augment`.

    The result takes the number of an epoch, on which the distortions depend, so that a training can
    go on where it ended. It returns the data with distorted images: a new array, or the same shared
    variable with a new value. For None these are the images as they were.

        distort = augmented((x_train, y_train), rotation=10, elastic=(34, 4))
        for epoch in range(12):
            train_an_epoch(*distort(epoch))

    Raises what `augment` raises, before the first epoch.
    """
    if not isinstance(data, list | tuple) or len(data) != 2:
        raise GraphTypeError(f"data is {shown(data)}; it must be a pair of images and labels")
    images, labels = data
    distortions = Distortions(**amounts)
    shared = images if isinstance(images, SharedVariable) else None
    original = shared.get_value() if shared is not None else plain_array(images, "images")
    distorted(original[:0], distortions, seed, 0)

    def at_epoch(epoch: int | None) -> tuple[Any, Any]:
        changed = original
        if epoch is not None:
            number = integer(epoch, "epoch", 0)
            changed = distorted(original, distortions, seed, number * len(original))
        if shared is None:
            return changed, labels
        shared.set_value(changed)
        return images, labels

    return at_epoch


def _planes(images: NDArray[Any]) -> NDArray[Any]:
    """A view (n, height, width) of the images."""
    if images.ndim == 2 and math.isqrt(images.shape[1]) ** 2 == images.shape[1]:
        side = math.isqrt(images.shape[1])
        row, pixel = images.strides
        strides = (row, side * pixel, pixel)
        return np.lib.stride_tricks.as_strided(images, (len(images), side, side), strides)
    if images.ndim == 4 and images.shape[3] == 1:
        return images[..., 0]
    if images.ndim != 3:
        raise ArgumentError(
            f"images have shape {images.shape}; it must be (n, height, width),"
            " (n, height, width, 1) or (n, side²)"
        )
    return images
