"""The error function, its relatives and their inverses. Integers give a float."""

from __future__ import annotations

import math

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.composed import define_composed, polynomial
from tinygrad_mnist.ops.elementwise import (
    ApiFunction,
    abs_,
    define,
    eq,
    exp,
    ge,
    gt,
    log,
    lt,
    maximum,
    minimum,
    number_like,
    sgn,
    sqr,
    sqrt,
    switch,
    upgraded,
)
from tinygrad_mnist.ops.rounding import round_


def _bell(x: Variable) -> Variable:
    """The derivative of erf."""
    return exp(-sqr(x)) * number_like(2 / math.sqrt(math.pi), x)


erf: ApiFunction = define(
    "erf", 1, upgraded, lambda g, z, i: (g * _bell(i[0]),), doc="error function"
)
erfc: ApiFunction = define(
    "erfc", 1, upgraded, lambda g, z, i: (-g * _bell(i[0]),), doc="1 - erf(x)"
)


# --- scaled -------------------------------------------------------------------------------------

_ROOT_OF_PI = math.sqrt(math.pi)
_FAR = 10.0  # from here on the series of erfcx is exact
# (-1) ** k (2 k - 1)!! / 2 ** k, the coefficients of 1 / x ** (2 k).
_SERIES = tuple((-0.5) ** k * math.prod(range(1, 2 * k, 2)) for k in range(13))


def _erfcx(x: Variable) -> Variable:
    near = maximum(minimum(x, _FAR), -27.0)
    head = round_(near * 64) / 64  # its square is exact
    product = exp(sqr(head)) * exp((near - head) * (near + head)) * erfc(near)
    far = maximum(x, _FAR)
    series = polynomial(1 / sqr(far), _SERIES) / (far * _ROOT_OF_PI)
    return switch(lt(x, -26.7), math.inf, switch(ge(x, _FAR), series, product))


erfcx: ApiFunction = define_composed(
    "erfcx",
    _erfcx,
    lambda g, z, i: (g * (2 * i[0] * z - number_like(2 / _ROOT_OF_PI, z)),),
    "exp(x ** 2) * erfc(x)",
)

# --- inverses -----------------------------------------------------------------------------------

# Giles' approximation of erfinv(x) / x, by -log(1 - x ** 2) - 2.5 where that is below 2.5.
_GILES = (
    1.50140941,
    0.246640727,
    -0.00417768164,
    -0.00125372503,
    0.00021858087,
    -4.39150654e-06,
    -3.5233877e-06,
    3.43273939e-07,
    2.81022636e-08,
)


def _improved(z: Variable, excess: Variable) -> Variable:
    """Halley's step towards the root of a function whose derivative at z is that of erf.

    excess: what the function is at z.
    """
    step = excess / _bell(z)
    return z - step / (1 + z * step)


def _central(x: Variable) -> Variable:
    """erfinv(x) for |x| <= 0.5."""
    z = x * polynomial(-log(1 - sqr(x)) - 2.5, _GILES)
    for _ in range(2):
        z = _improved(z, erf(z) - x)
    return z


def _tail(q: Variable) -> Variable:
    """erfcinv(q) for 0 <= q <= 0.5."""
    w = -log(q * (2 - q))
    near = (1 - q) * polynomial(minimum(w, 5.0) - 2.5, _GILES)
    size = -log(q * _ROOT_OF_PI)
    z = switch(lt(w, 5), near, sqrt(maximum(size - 0.5 * log(maximum(size, 1.0)), 0.0)))
    for _ in range(3):
        z = _improved(z, q - erfc(z))
    return switch(eq(q, 0), math.inf, z)


def _erfinv(x: Variable) -> Variable:
    size = abs_(x)
    tail = sgn(x) * _tail(1 - maximum(size, 0.5))
    value = switch(gt(size, 0.5), tail, _central(maximum(minimum(x, 0.5), -0.5)))
    return switch(gt(size, 1), math.nan, value)


def _erfcinv(q: Variable) -> Variable:
    center = 1 - maximum(minimum(q, 1.5), 0.5)
    value = switch(lt(q, 0.5), _tail(minimum(q, 0.5)), _central(center))
    value = switch(gt(q, 1.5), -_tail(2 - maximum(q, 1.5)), value)
    return switch(lt(q, 0), math.nan, switch(gt(q, 2), math.nan, value))


erfinv: ApiFunction = define_composed(
    "erfinv", _erfinv, lambda g, z, i: (g / _bell(z),), "the inverse of erf"
)
erfcinv: ApiFunction = define_composed(
    "erfcinv", _erfcinv, lambda g, z, i: (-g / _bell(z),), "the inverse of erfc"
)
