"""The gamma function, its logarithm, and the first two derivatives of that.

Magnitudes are reduced to [1.5, 2.5], where a polynomial is exact, or to [12.5, inf) and [10, inf),
where Stirling's series is. Negative arguments are reflected. The polynomials are Chebyshev fits.
"""

from __future__ import annotations

import math

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.composed import define_composed, polynomial
from tinygrad_mnist.ops.elementwise import (
    ApiFunction,
    abs_,
    eq,
    exp,
    ge,
    gt,
    log,
    lt,
    maximum,
    minimum,
    mod,
    pow_,
    sqr,
    switch,
)
from tinygrad_mnist.ops.logical import and_
from tinygrad_mnist.ops.rounding import floor, round_
from tinygrad_mnist.ops.trigonometry import sin, tan

_LARGE = 12.5  # from here on the logarithm's series is exact
_SHIFT = 10  # from here on those of its derivatives are

# gamma(2 + t) and log(gamma(2 + t)) / t for |t| <= 0.5.
_GAMMA = (
    1.0,
    0.4227843350984668,
    0.41184033042643986,
    0.08157691924717193,
    0.07424901075347107,
    -0.0002669820747604432,
    0.01115404572113896,
    -0.0028526456294803125,
    0.0021039332448517375,
    -0.0009195771393381067,
    0.0004903901012192666,
    -0.0002409081678851826,
    0.00012165717113737426,
    -6.099437734759249e-05,
    3.0554308764876926e-05,
    -1.4518030694390135e-05,
    7.2632956346064904e-06,
    -5.167425827999643e-06,
    2.584210735300929e-06,
)
_LOG_GAMMA = (
    0.42278433509846713,
    0.32246703342411326,
    -0.0673523010531981,
    0.02058080842778038,
    -0.0073855510286719986,
    0.002890510331034267,
    -0.0011927539118428156,
    0.0005096695154115458,
    -0.00022315475400520507,
    9.945767355819498e-05,
    -4.49263133791557e-05,
    2.0505590755833454e-05,
    -9.438715099211532e-06,
    4.38470440459836e-06,
    -2.0439048107029907e-06,
    9.200527894968101e-07,
    -4.3252393445604814e-07,
    2.78740805211359e-07,
    -1.3219945666117874e-07,
)
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
# The coefficients of 1 / z ** (2 k - 1) in log(gamma(z)), of -1 / z ** (2 k) in psi(z).
_STIRLING = tuple(b / (2 * k * (2 * k - 1)) for k, b in enumerate(_BERNOULLI, 1))
_PSI = tuple(b / (2 * k) for k, b in enumerate(_BERNOULLI, 1))


def _reduced(y: Variable) -> tuple[Variable, Variable]:
    """For y from 0 to _LARGE, t and a factor f: gamma(y) is gamma(2 + t) / f below 1.5, and
    gamma(2 + t) * f above; |t| <= 0.5. Subtracting whole numbers is exact."""
    t = switch(lt(y, 0.5), y, switch(lt(y, 1.5), y - 1, y - 2))
    factor = switch(lt(y, 0.5), y * (y + 1), switch(lt(y, 1.5), y, 1.0))
    for k in range(1, 11):
        is_above = gt(y, k + 1.5)
        factor = switch(is_above, factor * (y - k), factor)
        t = switch(is_above, y - (k + 2), t)
    return t, factor


def _series(y: Variable) -> Variable:
    """What Stirling's formula leaves of log(gamma(y))."""
    return polynomial(1 / sqr(y), _STIRLING) / y


def _fraction(x: Variable) -> Variable:
    """The distance from the nearest whole number."""
    return x - round_(x)


def _sin_pi(x: Variable) -> Variable:
    """sin(pi x), exactly 0 for whole numbers."""
    return sin(math.pi * _fraction(x)) * (1 - 2 * mod(round_(x), 2))


def _is_pole(x: Variable) -> Variable:
    """Whether x is a negative whole number, or -inf."""
    return and_(lt(x, 0), eq(x, floor(x)))


def _gamma(x: Variable) -> Variable:
    y = abs_(x)
    t, factor = _reduced(minimum(y, _LARGE))
    near = polynomial(t, _GAMMA)
    near = switch(lt(y, 1.5), near / factor, near * factor)
    far = maximum(y, _LARGE)
    root = pow_(far, 0.5 * far - 0.25)  # the power itself would overflow first
    rest = math.sqrt(2 * math.pi) * exp(_series(far))
    size = switch(ge(y, _LARGE), root * exp(-far) * root * rest, near)
    size = switch(gt(y, 180), math.inf, size)
    reflected = switch(_is_pole(x), math.nan, -math.pi / (x * _sin_pi(x) * size))
    return switch(lt(x, 0), reflected, size)


def _log_gamma(x: Variable) -> Variable:
    y = abs_(x)
    t, factor = _reduced(minimum(y, _LARGE))
    near = t * polynomial(t, _LOG_GAMMA) + switch(lt(y, 1.5), -1.0, 1.0) * log(factor)
    far = maximum(y, _LARGE)
    half_log = 0.5 * math.log(2 * math.pi) - 0.5
    large = (far - 0.5) * (log(far) - 1) + (half_log + _series(far))
    value = switch(ge(y, _LARGE), large, near)
    reflected = log(math.pi / abs_(x * _sin_pi(x))) - value
    reflected = switch(eq(x, -math.inf), math.inf, reflected)
    return switch(lt(x, 0), reflected, value)


def _shifted(y: Variable) -> Variable:
    """`y`, moved by _SHIFT where it is below."""
    return switch(lt(y, _SHIFT), y + _SHIFT, y)


def _psi(x: Variable) -> Variable:
    y = abs_(x)
    z, terms = _shifted(y), 1 / y
    for k in range(1, _SHIFT):
        terms = terms + 1 / (y + k)
    inverse = 1 / sqr(z)
    value = log(z) - 0.5 / z - inverse * polynomial(inverse, _PSI)
    value = value - switch(lt(y, _SHIFT), terms, 0.0)
    reflected = value + 1 / y - math.pi / tan(math.pi * _fraction(x))
    return switch(lt(x, 0), switch(_is_pole(x), math.nan, reflected), value)


def _tri_gamma(x: Variable) -> Variable:
    y = abs_(x)
    z, terms = _shifted(y), 1 / sqr(y)
    for k in range(1, _SHIFT):
        terms = terms + 1 / sqr(y + k)
    inverse = 1 / sqr(z)
    value = 1 / z + 0.5 * inverse + inverse / z * polynomial(inverse, _BERNOULLI)
    value = value + switch(lt(y, _SHIFT), terms, 0.0)
    reflected = sqr(math.pi / _sin_pi(x)) - value + 1 / sqr(y)
    return switch(lt(x, 0), reflected, value)


tri_gamma: ApiFunction = define_composed(
    "tri_gamma", _tri_gamma, None, "the second derivative of gammaln; it has no gradient"
)
psi: ApiFunction = define_composed(
    "psi", _psi, lambda g, z, i: (g * tri_gamma(i[0]),), "the derivative of gammaln, digamma"
)
gammaln: ApiFunction = define_composed(
    "gammaln", _log_gamma, lambda g, z, i: (g * psi(i[0]),), "the logarithm of abs(gamma(x))"
)
gamma: ApiFunction = define_composed(
    "gamma", _gamma, lambda g, z, i: (g * z * psi(i[0]),), "the gamma function, (x - 1)!"
)
