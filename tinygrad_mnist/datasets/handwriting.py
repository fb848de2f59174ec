"""Writes variations of a glyph: the path and the width of the pen.

All arithmetic is elementwise and consists of additions, multiplications, divisions and square roots
of uniform random numbers. IEEE 754 defines their rounding, so a seed gives the same digits on every
machine, independent of its SIMD units and its mathematical library.

Arrays have the images on the last axis: (positions of the pen, images).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.datasets.glyphs import Glyph

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_FINE = 64  # positions between two control points at which a path's length is measured
_SPACING = 0.032  # between two positions of the pen, in units of the digit's height
_REACH = 0.25  # farthest neighbour of a control point that counts for its jitter, same units


@dataclass(frozen=True)
class Style:
    """How much handwriting varies. Lengths are in units of the digit's height unless noted.

    jitter: standard deviation of each control point of a path, as a part of the distance to its
        nearer neighbour, so that small loops keep their shape as large ones do.
    warp: standard deviation of the control points of the elastic distortion.
    slant: mean and standard deviation of the shear, a tangent, to the right.
    turn: standard deviation of the rotation, in radians.
    aspect: of the factor on the digit's width, the standard deviation of its logarithm.
    thickness: median of half the pen's width, in pixels.
    width, pressure, pen: standard deviations as of `aspect`, of the factors on the pen's width
        from digit to digit and along a path, and of the pen's width to its height.
    softness: width of the edge between paper and ink, in pixels.
    """

    jitter: float = 0.25
    warp: float = 0.13
    slant: tuple[float, float] = (0.1, 0.28)
    turn: float = 0.12
    aspect: float = 0.22
    thickness: float = 1.28
    width: float = 0.25
    pressure: float = 0.2
    pen: float = 0.12
    softness: float = 1.2


@dataclass(frozen=True)
class Path:
    """The part of a glyph that all its variations share.

    controls: (points, 2), around 0.
    reach: (points, 1), distance of the nearer neighbour, at most _REACH.
    weights: (positions, points), of the control points at each position of the pen.
    """

    controls: Floats
    reach: Floats
    weights: Floats


@dataclass(frozen=True)
class Ink:
    """The pen's path, in as many variations as there are images: float32 (positions, images).

    x, y: positions, y down, in units of about a digit's height.
    radius: half of the pen's width there, in pixels of the picture.
    pen: (images,) the pen's shape: its radii are radius * pen across and radius / pen down.
    """

    x: Floats
    y: Floats
    radius: Floats
    pen: Floats


def _along_spline(points: Doubles, values: Doubles) -> Doubles:
    """`values` (n, k) interpolated along the smooth curve through `points` (n, 2).

    Returns _FINE rows per piece and one for the end. The curve is a cubic Hermite spline with
    "centripetal" knots, as far apart as the square root of the points' distance; its slopes are
    those of parabolas through three neighbours, and it has no curvature at the ends.
    """
    chords = points[1:] - points[:-1]
    gaps = np.sqrt(np.sqrt(chords[:, :1] * chords[:, :1] + chords[:, 1:] * chords[:, 1:]))
    rise = (values[1:] - values[:-1]) / gaps
    inner = (rise[:-1] * gaps[1:] + rise[1:] * gaps[:-1]) / (gaps[:-1] + gaps[1:])
    if len(inner):
        first, last = (3 * rise[:1] - inner[:1]) / 2, (3 * rise[-1:] - inner[-1:]) / 2
    else:
        first, last = rise, rise
    slopes = np.concatenate([first, inner, last])
    t = (np.arange(_FINE) / _FINE)[:, None]
    pieces = []
    for i, gap in enumerate(gaps):
        start, end = values[i], values[i + 1]
        leave, arrive = slopes[i] * gap, slopes[i + 1] * gap
        cubic = 2 * (start - end) + leave + arrive
        square = 3 * (end - start) - 2 * leave - arrive
        pieces.append(start + t * (leave + t * (square + t * cubic)))
    return np.concatenate([*pieces, values[-1:]])


def _evenly(weights: Doubles, controls: Doubles) -> Doubles:
    """The rows of `weights` at positions that are evenly spaced along the path."""
    x, y = ((weights * axis).sum(axis=1) for axis in controls.T)
    dx, dy = x[1:] - x[:-1], y[1:] - y[:-1]
    length = np.concatenate([[0.0], np.cumsum(np.sqrt(dx * dx + dy * dy))])
    count = max(2, math.ceil(float(length[-1]) / _SPACING) + 1)
    wanted = np.arange(count) / (count - 1) * length[-1]
    rows: Doubles = weights[np.searchsorted(length, wanted).clip(0, len(weights) - 1)]
    return rows


def _reach(controls: Doubles, pieces: Iterable[tuple[int, ...]]) -> Doubles:
    reach = np.full((len(controls), 1), _REACH)
    for piece in pieces:
        for i, j in pairwise(piece):
            dx, dy = controls[i] - controls[j]
            reach[[i, j]] = np.minimum(reach[[i, j]], np.sqrt(dx * dx + dy * dy))
    return reach


@cache
def path_of(glyph: Glyph) -> Path:
    """A glyph's control points, around 0, and the weights that give the pen's positions."""
    controls = np.array(glyph.points)
    controls -= (controls.min(axis=0) + controls.max(axis=0)) / 2
    identity = np.eye(len(controls))
    weights = [
        _evenly(_along_spline(controls[list(piece)], identity[list(piece)]), controls)
        for piece in glyph.pieces
    ]
    reach = _reach(controls, glyph.pieces)
    return Path(*(a.astype(np.float32) for a in (controls, reach, np.concatenate(weights))))


def _noise(rng: np.random.Generator, *shape: int) -> Floats:
    """Nearly normal numbers, mean 0 and standard deviation 1, never beyond 3.5: sums of four
    uniform ones."""
    a, b, c, d = rng.random((4, *shape), dtype=np.float32)
    noise: Floats = (a + b + c + d - np.float32(2)) * np.float32(math.sqrt(3))
    return noise


def _factors(rng: np.random.Generator, size: float, *shape: int) -> Floats:
    """Factors around 1, f as often as 1 / f, whose logarithms deviate by about `size`."""
    half = _noise(rng, *shape) * np.float32(size / 2)
    factors: Floats = (1 + half) / (1 - half)
    return factors


def _combine(weights: Floats, values: Floats) -> Floats:
    """weights (positions, points) times values (points, images), added in the points' order; the
    order of a library's matrix product is not defined."""
    total = np.zeros((len(weights), values.shape[1]), np.float32)
    for weight, value in zip(weights.T, values, strict=True):
        rows = np.flatnonzero(weight)
        total[rows] += weight[rows, None] * value
    return total


def _bernstein(t: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    s = 1 - t
    return s * s * s, 3 * s * s * t, 3 * s * t * t, t * t * t


def _warp(rng: np.random.Generator, x: Floats, y: Floats, size: float) -> None:
    """Distort positions in place, elastically: free-form deformation by a lattice of 4 x 4.

    Source: T. W. Sederberg and S. R. Parry, "Free-form deformation of solid geometric models",
    SIGGRAPH 1986.
    """
    moves = _noise(rng, 2, 4, 4, x.shape[1]) * np.float32(size)
    across, down = _bernstein(x + np.float32(0.5)), _bernstein(y + np.float32(0.5))
    for axis, lattice in zip((x, y), moves, strict=True):
        for row, weight in zip(lattice, down, strict=True):
            moved = across[0] * row[0]
            for i in range(1, 4):
                moved += across[i] * row[i]
            axis += weight * moved


def write(glyph: Glyph, images: int, rng: np.random.Generator, style: Style) -> Ink:
    """`images` variations of `glyph`."""
    path = path_of(glyph)
    jitter = _noise(rng, 2, len(path.controls), images) * (path.reach * np.float32(style.jitter))
    x = _combine(path.weights, path.controls[:, :1] + jitter[0])
    y = _combine(path.weights, path.controls[:, 1:] + jitter[1])
    _warp(rng, x, y, style.warp)
    x *= _factors(rng, style.aspect, images)
    mean, deviation = style.slant
    x -= y * (_noise(rng, images) * np.float32(deviation) + np.float32(mean))
    half = _noise(rng, images) * np.float32(style.turn / 2)
    cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    x, y = x * cosine - y * sine, x * sine + y * cosine
    t = np.arange(len(x), dtype=np.float32)[:, None] / np.float32(len(x) - 1)
    start, middle, end = _factors(rng, style.pressure, 3, images)
    radius = start * (1 - t) * (1 - t) + middle * (2 * t * (1 - t)) + end * t * t
    radius *= _factors(rng, style.width, images) * np.float32(style.thickness)
    return Ink(x, y, radius, _factors(rng, style.pen, images))
