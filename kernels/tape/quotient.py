"""Quotients of floats that can't overflow or underflow.

A division of float32 calls a long function, because of values near the ends of the range. If
neither 1 / y nor x / y comes near those, an approximate reciprocal is corrected instead by two
fused multiply-adds; the result is nearly always correctly rounded.
"""

from __future__ import annotations

from typing import Any

from ..core.call import Function
from ..core.device import device, divided_roughly, float32, float64, fused


@device
def quotient_float32(x: Any, y: Any) -> Any:
    """x / y for 2**-60 < |y| < 2**60 and |x| < 2**60; x may be a denormal or 0."""
    reciprocal = divided_roughly(float32(1), y)
    rough = float32(x * reciprocal)
    error = fused(rough, y, float32(-x))  # in this order, -0 divided by y > 0 stays -0
    return fused(error, float32(-reciprocal), rough)


@device
def quotient_float64(x: Any, y: Any) -> Any:
    """x / y."""
    return float64(x / y)


QUOTIENTS: dict[str, Function] = {"float32": quotient_float32, "float64": quotient_float64}
