"""sin, cos and tan of float32 without float64 arithmetic.

The device's own functions add float64 instructions and a table in local memory to every kernel that
calls them. Here angles below 2**16 are reduced to [-pi/4, pi/4] with pi/2 in three parts, one fused
multiply-add each. Larger angles are reduced in integers, with the bits of 2/pi that determine the
quadrant and the fraction (Payne and Hanek). The polynomials are minimax fits of the relative error.
"""

from __future__ import annotations

import math
from typing import Any

from ..core.call import Function
from ..core.device import (
    cuda,
    device,
    float32,
    float_bits,
    fused,
    int32,
    int64,
    np,
    rint,
    uint32,
    uint64,
)
from .quotient import quotient_float32

_nearest = rint["float32"]

_ZERO, _ONE, _HALF = float32(0), float32(1), float32(0.5)
_INFINITY = float32(math.inf)
_NEAR = float32(2**16)

_QUADRANTS = float32(2 / math.pi)  # in one radian
# -pi/2 as the sum of three floats. None is positive, so an angle of -0 stays -0. The first fused
# multiply-add is exact.
_PART0 = float32(-1.570796251296997)
_PART1 = float32(-7.549789415861596e-08)
_PART2 = float32(-5.390302529957765e-15)

# 2/pi: 32 bits before the binary point, and 192 after it.
_TWO_OVER_PI = np.array(
    [0, 0xA2F9836E, 0x4E441529, 0xFC2757D1, 0xF534DDC0, 0xDB629599, 0x3C439041], np.uint32
)
_RADIANS = float32(math.pi / 2 * 2.0**-64)  # of 2**-64 quadrants, and the rounding error of that
_RADIANS_REST = float32(-4.371138828673793e-08 * 2.0**-64)

_SIN0 = float32(-0.16666655242443085)
_SIN1 = float32(0.008332177996635437)
_SIN2 = float32(-0.00019517235341481864)
_COS0 = float32(0.04166664555668831)
_COS1 = float32(-0.0013887366512790322)
_COS2 = float32(2.4438379114144482e-05)


@device
def _reduced_far(x: Any) -> Any:
    """(angle in [-pi/4, pi/4], quadrant) of a finite x that is not below 2**16.

    x is an integer of 32 bits times a power of two. Bits of 2/pi that only add multiples of four
    quadrants are skipped, the next 96 are multiplied, and of the product 64 are enough.
    """
    bits = uint32(float_bits(x))
    skipped = uint32(uint32(uint32(bits >> uint32(23)) & uint32(255)) - uint32(128))
    integer = uint64(uint32(uint32(bits << uint32(8)) | uint32(0x80000000)))
    words = cuda.const.array_like(_TWO_OVER_PI)
    k = uint32(skipped >> uint32(5))
    shift, word, low_word = uint64(skipped & uint32(31)), uint64(32), uint64(0xFFFFFFFF)
    w0, w1 = uint64(words[uint64(k)]), uint64(words[uint64(k + uint32(1))])
    w2, w3 = uint64(words[uint64(k + uint32(2))]), uint64(words[uint64(k + uint32(3))])
    high = uint64(uint64(uint64(uint64(w0 << word) | w1) << shift) >> word)
    middle = uint64(uint64(uint64(uint64(w1 << word) | w2) << shift) >> word)
    low = uint64(uint64(uint64(uint64(w2 << word) | w3) << shift) >> word)
    product = uint64(uint64(integer * middle) + uint64(uint64(integer * low) >> word))
    top = uint64(uint64(integer * high) + uint64(product >> word))
    fixed = uint64(uint64(top << word) | uint64(product & low_word))  # 2**62: a quadrant
    quadrant = uint32(uint64(uint64(fixed >> uint64(61)) + uint64(1)) >> uint64(1))
    rest = float32(int64(uint64(fixed << uint64(2))))
    angle = fused(rest, _RADIANS, float32(rest * _RADIANS_REST))
    if x < _ZERO:
        return float32(-angle), uint32(uint32(4) - quadrant)
    return angle, quadrant


@device
def _reduced(x: Any) -> Any:
    """(angle, quadrant): x modulo whole turns is angle + quadrant * pi/2. NaN if x isn't finite."""
    if abs(x) < _NEAR:
        quadrant = int32(_nearest(float32(x * _QUADRANTS)))
        n = float32(quadrant)
        angle = fused(n, _PART2, fused(n, _PART1, fused(n, _PART0, x)))
        return angle, uint32(quadrant)
    if abs(x) < _INFINITY:
        return _reduced_far(x)
    return float32(x - x), uint32(0)


@device
def _sin_near(x: Any) -> Any:
    """The sine for |x| <= pi/4."""
    z = float32(x * x)
    tail = fused(fused(_SIN2, z, _SIN1), z, _SIN0)
    return fused(fused(z, x, _ZERO), tail, x)  # the addition of 0 keeps the sign of -0


@device
def _cos_near(x: Any) -> Any:
    """The cosine for |x| <= pi/4."""
    z = float32(x * x)
    tail = fused(fused(_COS2, z, _COS1), z, _COS0)
    return fused(float32(z * z), tail, fused(z, float32(-_HALF), _ONE))


@device
def _sin_of(angle: Any, quadrant: Any) -> Any:
    value = _cos_near(angle) if quadrant & uint32(1) else _sin_near(angle)
    return float32(-value) if quadrant & uint32(2) else value


@device
def sin(x: Any) -> Any:
    """The sine of a float32, in radians."""
    angle, quadrant = _reduced(x)
    return _sin_of(angle, quadrant)


@device
def cos(x: Any) -> Any:
    """The cosine of a float32, in radians."""
    angle, quadrant = _reduced(x)
    return _sin_of(angle, uint32(quadrant + uint32(1)))


@device
def tan(x: Any) -> Any:
    """The tangent of a float32, in radians."""
    angle, quadrant = _reduced(x)
    sine, cosine = _sin_near(angle), _cos_near(angle)
    if quadrant & uint32(1):
        return quotient_float32(float32(-cosine), sine)
    return quotient_float32(sine, cosine)


FUNCTIONS: dict[str, Function] = {"sin": sin, "cos": cos, "tan": tan}
