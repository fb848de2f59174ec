"""Operations of tapes on single values that have no operator in Python.

FUNCTIONS[dtype][op](x, ...) takes and returns values of that dtype (float32, float64 or int64).
`contracts/core/tape.py` defines each for every value, such as NaN, infinities, signed zeros and the
limits of integers. Truth is 1 or 0 of the dtype.
"""

from __future__ import annotations

import math
from typing import Any

from ..core import device as functions
from ..core.call import Function
from ..core.device import (
    TYPES,
    copysign,
    device,
    exp,
    floor,
    fmod,
    log1p,
    power,
    rint,
    rounded,
    trunc,
    uint32,
)
from . import trigonometry
from .quotient import QUOTIENTS

# Operations that are one function of a float, and the function's name in `device.py`.
_FUNCTIONS = {
    "exp": "exp",
    "exp2": "exp2",
    "expm1": "expm1",
    "log": "log",
    "log2": "log2",
    "log10": "log10",
    "log1p": "log1p",
    "sqrt": "sqrt",
    "sin": "sin",
    "cos": "cos",
    "tan": "tan",
    "sinh": "sinh",
    "cosh": "cosh",
    "tanh": "tanh",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "arcsinh": "asinh",
    "arccosh": "acosh",
    "arctanh": "atanh",
    "erf": "erf",
    "erfc": "erfc",
    "floor": "floor",
    "ceil": "ceil",
    "trunc": "trunc",
}


def _named(*definitions: Function) -> dict[str, Function]:
    """Device functions by the names under which they were defined."""
    return {function.__name__: device(function) for function in definitions}


def _common(dtype: Any) -> dict[str, Function]:
    """Operations of both floats and integers."""
    zero, one, minus_one = dtype(0), dtype(1), dtype(-1)

    def neg(x: Any) -> Any:
        return dtype(-x)

    def sign(x: Any) -> Any:
        # The sum keeps NaN, and makes -0 to +0.
        return one if x > zero else (minus_one if x < zero else dtype(x + zero))

    def maximum(x: Any, y: Any) -> Any:
        return x if x > y or x != x else y

    def minimum(x: Any, y: Any) -> Any:
        return x if x < y or x != x else y

    def switch(condition: Any, x: Any, y: Any) -> Any:
        return x if condition != zero else y

    def logical_not(x: Any) -> Any:
        return one if x == zero else zero

    def logical_and(x: Any, y: Any) -> Any:
        return one if x != zero and y != zero else zero

    def logical_or(x: Any, y: Any) -> Any:
        return one if x != zero or y != zero else zero

    return _named(neg, sign, maximum, minimum, switch, logical_not, logical_and, logical_or)


def _function(op: str, dtype: Any) -> Function:
    """A function of `device.py` as an operation."""
    function = getattr(functions, _FUNCTIONS[op])

    def call(x: Any) -> Any:
        return dtype(function(x))

    call.__name__ = op
    return device(call)


def _floats(name: str) -> dict[str, Function]:
    """The operations of a tape in floats."""
    dtype = TYPES[name]
    plain = {op: _function(op, dtype) for op in _FUNCTIONS}
    return _common(dtype) | plain | _float_arithmetic(name) | _float_rounding(name) | rounded[name]


def _float_arithmetic(name: str) -> dict[str, Function]:
    dtype = TYPES[name]
    zero, one, infinity = dtype(0), dtype(1), dtype(math.inf)
    quotient, product = QUOTIENTS[name], rounded[name]["mul"]

    def sqr(x: Any) -> Any:
        return dtype(product(x, x))

    def absolute(x: Any) -> Any:
        return dtype(abs(x))

    def div(x: Any, y: Any) -> Any:
        return dtype(x / y)

    def pow_(x: Any, y: Any) -> Any:
        return dtype(power(x, y))

    def arctan2(y: Any, x: Any) -> Any:
        return dtype(functions.atan2(y, x))

    def sigmoid(x: Any) -> Any:
        small = dtype(exp(-abs(x)))  # never overflows
        return dtype(quotient(small if x < zero else one, dtype(one + small)))

    def softplus(x: Any) -> Any:
        rest = dtype(log1p(dtype(exp(-abs(x)))))
        return dtype((zero if x < zero else x) + rest)

    def isnan(x: Any) -> Any:
        return one if x != x else zero

    def isinf(x: Any) -> Any:
        return one if abs(x) == infinity else zero

    named = _named(sqr, div, arctan2, sigmoid, softplus, isnan, isinf)
    return {"abs": device(absolute), "pow": device(pow_), **named}


def _float_rounding(name: str) -> dict[str, Function]:
    """Rounding to integers, and division with rounding."""
    dtype, to_even = TYPES[name], rint[name]
    zero, half, one = dtype(0), dtype(0.5), dtype(1)

    def nearest(x: Any) -> Any:
        return dtype(to_even(x))

    def round_away(x: Any) -> Any:
        # The fraction is exact, so halves are recognised. The fraction of an infinity is NaN; then
        # 0 is added.
        whole = dtype(trunc(x))
        up = one if abs(x - whole) >= half else zero
        return dtype(whole + dtype(copysign(up, x)))

    def mod(x: Any, y: Any) -> Any:
        # The sign is that of the divisor, as in Python.
        rest = dtype(fmod(x, y))
        if rest == zero:
            return dtype(copysign(zero, y))
        return dtype(rest + y) if (rest < zero) != (y < zero) else rest

    def int_div(x: Any, y: Any) -> Any:
        # From the exact remainder, so that a quotient just below an integer doesn't count as it.
        if y == zero:
            return dtype(x / y)
        rest = dtype(fmod(x, y))
        quotient = dtype(dtype(x - rest) / y)
        if rest != zero and (rest < zero) != (y < zero):
            quotient = dtype(quotient - one)
        if quotient == zero:
            return dtype(copysign(zero, dtype(x / y)))
        whole = dtype(floor(quotient))
        return dtype(whole + one) if dtype(quotient - whole) > half else whole

    def bit_count(x: Any) -> Any:
        # Of a byte; other numbers are clipped, and NaN counts as 0.
        n = uint32(dtype(min(x, dtype(255)))) if x > zero else uint32(0)
        n = uint32(n - uint32(uint32(n >> uint32(1)) & uint32(0x55)))
        n = uint32(uint32(n & uint32(0x33)) + uint32(uint32(n >> uint32(2)) & uint32(0x33)))
        return dtype(uint32(uint32(n + uint32(n >> uint32(4))) & uint32(0x0F)))

    return {"round": device(nearest), **_named(round_away, mod, int_div, bit_count)}


def _integers() -> dict[str, Function]:
    """The operations of a tape in integers; they wrap."""
    dtype = TYPES["int64"]
    zero, one, minus_one = dtype(0), dtype(1), dtype(-1)

    def sqr(x: Any) -> Any:
        return dtype(x * x)

    def absolute(x: Any) -> Any:
        return dtype(-x) if x < zero else x

    def bit_not(x: Any) -> Any:
        return dtype(~x)

    def mod(x: Any, y: Any) -> Any:
        # For -1, because the quotient of the least integer overflows.
        return zero if minus_one <= y <= zero else dtype(x % y)

    def int_div(x: Any, y: Any) -> Any:
        if y == zero:
            return zero
        return dtype(-x) if y == minus_one else dtype(x // y)

    def pow_(x: Any, y: Any) -> Any:
        # A negative power is 1 / x ** |y| rounded towards zero, and 0 for x = 0.
        if y < zero:
            is_unit = dtype(abs(x)) == one
            return (x if y & one else one) if is_unit else zero
        result, square, rest = one, x, y
        while rest > zero:
            if rest & one:
                result = dtype(result * square)
            square = dtype(square * square)
            rest = dtype(rest >> one)
        return result

    named = _named(sqr, bit_not, mod, int_div)
    return _common(dtype) | {"abs": device(absolute), "pow": device(pow_), **named}


FUNCTIONS: dict[str, dict[str, Function]] = {
    "float32": _floats("float32") | trigonometry.FUNCTIONS,
    "float64": _floats("float64"),
    "int64": _integers(),
}
