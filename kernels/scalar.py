"""Operations of tapes on single values, for which Python has no operator.

FUNCTIONS[dtype][op](x, ...) takes and returns values of that dtype (float32, float64 or int64).
What each computes is in `contracts/tape.py`, for every value: NaN, infinities, signed zeros.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from .device import TYPES, device

Function = Callable[..., Any]


def _floats(dtype: Any) -> dict[str, Function]:
    """The operations of a tape in floats."""
    zero, one = dtype(0), dtype(1)

    def exp(x: Any) -> Any:
        return dtype(math.exp(x))

    def maximum(x: Any, y: Any) -> Any:
        return x if x > y or x != x else y

    def switch(condition: Any, x: Any, y: Any) -> Any:
        return x if condition != zero else y

    def div(x: Any, y: Any) -> Any:
        return dtype(x / y)

    def sqr(x: Any) -> Any:
        return dtype(x * x)

    def neg(x: Any) -> Any:
        return dtype(-x)

    def sigmoid(x: Any) -> Any:
        power = dtype(math.exp(-abs(x)))
        return dtype((power if x < zero else one) / (one + power))

    functions = (exp, maximum, switch, div, sqr, neg, sigmoid)
    return {f.__name__: device(f) for f in functions}


def _integers(dtype: Any) -> dict[str, Function]:
    """The operations of a tape in integers."""

    def switch(condition: Any, x: Any, y: Any) -> Any:
        return x if condition != 0 else y

    return {f.__name__: device(f) for f in (switch,)}


FUNCTIONS: dict[str, dict[str, Function]] = {
    "float32": _floats(TYPES["float32"]),
    "float64": _floats(TYPES["float64"]),
    "int64": _integers(TYPES["int64"]),
}
