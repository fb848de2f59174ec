"""How much images are distorted, checked; and the numbers that the kernel gets for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import number, shown

#: An amount a, which means from -a to a; or the lowest and the highest one.
Amount = float | tuple[float, float]
_CUT = 4.0  # standard deviations after which the Gaussian is cut, as in SciPy
_MOST_SUMMED = 1_000_000


@dataclass(frozen=True)
class Distortions:
    """The arguments of `augment`, checked; it describes them."""

    rotation: Amount = 0.0
    translation: Amount = 0.0
    skew: Amount = 0.0
    scale: Amount = 0.0
    elastic: tuple[float, float] | None = None
    fill: float = 0.0
    ranges: tuple[tuple[float, float], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        angle = _range(self.rotation, "rotation", 0.0)
        ranges = (
            (math.radians(angle[0]), math.radians(angle[1])),
            _range(self.translation, "translation", 0.0),
            _range(self.skew, "skew", 0.0),
            _range(self.scale, "scale", 1.0),
        )
        if ranges[3][0] <= 0:
            raise ArgumentError(f"scale is {shown(self.scale)}; sizes must stay above 0")
        object.__setattr__(self, "ranges", ranges)
        _finite(self.fill, "fill")
        if self.elastic is not None:
            pair = _pair(self.elastic, "elastic", "(alpha, sigma)")
            if pair[1] < 0:
                raise ArgumentError(f"elastic is {shown(self.elastic)}; sigma must not be below 0")

    @property
    def is_identity(self) -> bool:
        """Whether no image is changed."""
        neutral = ((0.0, 0.0),) * 3 + ((1.0, 1.0),)
        return self.ranges == neutral and (self.elastic is None or self.elastic[0] == 0)

    def amounts(self) -> NDArray[np.float64]:
        """The kernel's amounts."""
        alpha = 0.0 if self.elastic is None else self.elastic[0]
        return np.array([*(x for pair in self.ranges for x in pair), alpha, self.fill], np.float64)

    def weights(self, longest: int) -> NDArray[np.float32]:
        """Half of the Gaussian, from its middle on, as far as images of that length need it; empty
        without elastic distortion."""
        if self.elastic is None or self.elastic[0] == 0:
            return np.empty(0, np.float32)
        sigma = float(self.elastic[1])
        reach = math.floor(_CUT * sigma + 0.5)
        n = min(reach, longest - 1) + 1
        if reach <= _MOST_SUMMED:
            values = _gaussian(reach + 1, sigma)
            total = 2 * values.sum() - values[0]
        else:  # the sum is an integral, to ten digits
            values = _gaussian(n, sigma)
            total = sigma * math.sqrt(2 * math.pi) * math.erf(_CUT / math.sqrt(2))
        return np.asarray(values[:n] / total, np.float32)


def _gaussian(n: int, sigma: float) -> NDArray[np.float64]:
    """exp(-k^2 / (2 sigma^2)) for k < n."""
    if n == 1:
        return np.ones(1)
    return np.asarray(np.exp(-0.5 * (np.arange(n) / sigma) ** 2))


def _finite(value: Any, what: str) -> float:
    result = number(value, what)
    if not math.isfinite(result):
        raise ArgumentError(f"{what} is {shown(value)}; it must be finite")
    return result


def _pair(value: Any, what: str, of: str) -> tuple[float, float]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise GraphTypeError(f"{what} is {shown(value)}; it must be a pair {of}")
    return _finite(value[0], what), _finite(value[1], what)


def _range(value: Any, what: str, neutral: float) -> tuple[float, float]:
    """The lowest and the highest amount."""
    if isinstance(value, list | tuple):
        low, high = _pair(value, what, "(lowest, highest)")
        if low > high:
            raise ArgumentError(f"{what} is {shown(value)}; the lowest comes first")
        return low, high
    amount = _finite(value, what)
    if amount < 0:
        raise ArgumentError(f"{what} is {amount:g}; it must not be below 0, or a pair")
    return neutral - amount, neutral + amount
