"""Distributions of numbers, made of uniform draws of a source.

`size`, `ndim` and `dtype` are those of `RandomStreams`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.fold import fold
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.types import INTEGERS, check_dtype
from tinygrad_mnist.graph.values import is_integer
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.creation import arange
from tinygrad_mnist.ops.cumsum import cumsum
from tinygrad_mnist.ops.elementwise import (
    abs_,
    add,
    cast,
    ge,
    le,
    log,
    lt,
    mul,
    neg,
    number_like,
    sqrt,
    sub,
    switch,
    true_div,
)
from tinygrad_mnist.ops.logical import and_
from tinygrad_mnist.ops.reduce import max_, sum_
from tinygrad_mnist.ops.require import require
from tinygrad_mnist.ops.rounding import ceil
from tinygrad_mnist.ops.shape import as_integer_scalar, dimshuffle
from tinygrad_mnist.ops.trigonometry import cos
from tinygrad_mnist.tensor.random_integers import integers_from, widest_span
from tinygrad_mnist.tensor.random_source import Source, float_arguments, lengths_of

# Sums of so many ones are exact in float32.
_MAX_TRIALS = 2**24
# Added to the key of a draw for its second numbers.
_SECOND = 2**32


def uniform(
    source: Source, size: Any, low: Any, high: Any, ndim: int | None, dtype: str | None
) -> Variable:
    """Floats in [low, high)."""
    low, high = float_arguments(dtype, low=low, high=high)
    drawn = source.draw(lengths_of(size, ndim, low, high), low.dtype)
    return add(mul(drawn, sub(high, low)), low)


def normal(
    source: Source, size: Any, avg: Any, std: Any, ndim: int | None, dtype: str | None
) -> Variable:
    """Normal floats, by the method of Box and Muller."""
    avg, std = _location_and_scale(avg, std, dtype)
    lengths = lengths_of(size, ndim, avg, std)
    radius = sqrt(mul(-2.0, log(sub(1.0, source.draw(lengths, avg.dtype)))))
    turns = source.draw(lengths, avg.dtype)
    angle = mul(number_like(2 * pi, turns), turns)
    return add(avg, mul(std, mul(radius, cos(angle))))


def _location_and_scale(avg: Any, std: Any, dtype: str | None) -> tuple[Variable, Variable]:
    avg, std = float_arguments(dtype, avg=avg, std=std)
    return avg, require(std, ge(std, 0), "normal: std is negative or NaN")


# --- a truncated normal ---------------------------------------------------------------------------

_TRUNCATED = 2.0  # standard deviations
_BELOW = 0.022750131948179195  # the probability that a normal float is below -2
# The quantile of a normal distribution at 1/2 + q is q P(r) / Q(r), r = 0.425**2 - q**2; where |q|
# is greater than 0.425, it is P(r) / Q(r), r = sqrt(-log(1/2 - |q|)) - 1.6, with the sign of q.
# Coefficients of Wichura's algorithm AS 241, from the highest power.
_INNER = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
     4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
     1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
     2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
     4.2313330701600911252e1, 1.0),
)  # fmt: skip
_OUTER = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
     4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
     2.05319162663775882187e0, 1.0),
)  # fmt: skip


def _polynomial(coefficients: Sequence[float], x: Variable) -> Variable:
    total: Variable = number_like(coefficients[0], x)
    for c in coefficients[1:]:
        total = add(mul(total, x), number_like(c, x))
    return total


def _ratio(pair: tuple[Sequence[float], Sequence[float]], x: Variable) -> Variable:
    return true_div(_polynomial(pair[0], x), _polynomial(pair[1], x))


def _quantile(q: Variable) -> Variable:
    """The normal quantile at 1/2 + q, for q with a quantile between -5 and 5."""
    r = sub(number_like(0.180625, q), mul(q, q))
    inner = mul(q, _ratio(_INNER, r))
    depth = sqrt(neg(log(sub(number_like(0.5, q), abs_(q)))))
    outer = _ratio(_OUTER, sub(depth, number_like(1.6, q)))
    outer = switch(lt(q, 0), neg(outer), outer)
    return switch(le(abs_(q), number_like(0.425, q)), inner, outer)


def truncated_normal(
    source: Source, size: Any, avg: Any, std: Any, ndim: int | None, dtype: str | None
) -> Variable:
    """Normal floats that are not further from `avg` than 2 `std`: the quantiles of uniform ones."""
    avg, std = _location_and_scale(avg, std, dtype)
    drawn = source.draw(lengths_of(size, ndim, avg, std), avg.dtype)
    width = number_like(1 - 2 * _BELOW, drawn)
    q = mul(sub(drawn, number_like(0.5, drawn)), width)
    return add(avg, mul(std, _quantile(q)))


# --- counts ---------------------------------------------------------------------------------------


def binomial(source: Source, size: Any, n: Any, p: Any, ndim: int | None, dtype: str) -> Variable:
    """Successes in `n` trials; every trial draws and stores a number."""
    (p,) = float_arguments(None, p=p)
    p = require(p, and_(ge(p, 0), le(p, 1)), "binomial: p is not between 0 and 1")
    if is_integer(n) and n == 1:
        return cast(lt(source.draw(lengths_of(size, ndim, p), p.dtype), p), dtype)
    trials = Trials(n, "binomial")
    lengths = lengths_of(size, ndim, p, *trials.sizes)
    drawn = source.draw([trials.most, *lengths], p.dtype)
    return cast(trials.count(lt(drawn, p), p.dtype), dtype)


class Trials:
    """The numbers `n` of trials of a distribution: one for all results, or one per result.

    most: the greatest of them. sizes: the array of them, whose shape a draw has to have; empty for
    one number.
    """

    def __init__(self, n: Any, distribution: str) -> None:
        if is_integer(n) and not 0 <= n <= _MAX_TRIALS:
            raise GraphTypeError(f"{distribution} with n={n}: it goes from 0 to {_MAX_TRIALS}")
        what = f"n of {distribution}"
        numbers = as_variable(n)
        self.sizes: list[Variable] = []
        if numbers.ndim == 0:
            self.most = as_integer_scalar(n, what)
            return
        if numbers.dtype not in INTEGERS:
            raise GraphTypeError(f"{what} is {numbers.type}; it is of integers")
        numbers = require(numbers, ge(numbers, 0), f"{what} is negative")
        self.sizes = [numbers]
        self.most = as_integer_scalar(_greatest(numbers), what)

    def count(self, outcomes: Variable, dtype: str) -> Variable:
        """How many of the outcomes, the first axis of which is the trial, are true."""
        if self.sizes:
            number = arange(self.most)
            place = dimshuffle(number, 0, *("x",) * (outcomes.ndim - 1))
            outcomes = and_(outcomes, lt(place, self.sizes[0]))
        return sum_(cast(outcomes, dtype), axis=0)


def _greatest(x: Variable) -> Any:
    """The greatest element: a number where it is known."""
    if isinstance(x, Constant):
        return x.value.max() if x.value.size else 0
    return max_(x)


def poisson(source: Source, size: Any, lam: Any, ndim: int | None, dtype: str) -> Variable:
    """Events in an interval of length `lam` whose distances are exponential. Distances beyond what
    may come, once in 1e20 draws, are not drawn."""
    (lam,) = float_arguments("float64", lam=1.0 if lam is None else lam)
    valid = and_(ge(lam, 0), lt(lam, float("inf")))
    lam = require(lam, valid, "poisson: lam is negative, infinite or NaN")
    most = as_variable(_greatest(lam))
    bound = fold(cast(ceil(add(most, add(mul(10.0, sqrt(most)), 30.0))), "int64"))
    drawn = source.draw([bound, *lengths_of(size, ndim, lam)], "float64")
    times = cumsum(neg(log(sub(1.0, drawn))), axis=0)
    return cast(sum_(cast(le(times, lam), "float64"), axis=0), dtype)


# --- integers -------------------------------------------------------------------------------------


def integers(
    source: Source,
    size: Any,
    low: Any,
    high: Any,
    ndim: int | None,
    dtype: str,
    wrong: str,
    widest: int | None = None,
) -> Variable:
    """Integers from `low` to `high`, both included. wrong: the message where `low` is greater than
    `high`. widest: what their distance is known not to pass; None for what their dtypes tell."""
    bounds = []
    for bound, which in ((low, "low"), (high, "high")):
        v = as_variable(bound)
        if v.dtype not in INTEGERS:
            raise GraphTypeError(f"random_integers: {which} is {v}; it is of integers")
        bounds.append(fold(cast(v, "int64")))
    least, most = bounds
    widest = widest_span(least, most) if widest is None else widest
    if isinstance(most, Constant):
        least = require(least, ge(most, least), wrong)
    else:
        most = require(most, ge(most, least), wrong)
    _check_held(least, most, dtype)
    lengths, key = lengths_of(size, ndim, least, most), source.new_key()
    return cast(
        integers_from(
            least,
            most,
            lambda k: source.drawn(lengths, "float64", key + k * _SECOND),
            widest,
        ),
        dtype,
    )


def _check_held(low: Variable, high: Variable, dtype: str) -> None:
    """Raises ArgumentError for constant bounds that `dtype` doesn't hold."""
    dtype = check_dtype(dtype)
    if dtype not in INTEGERS:
        return
    info = np.iinfo(dtype)
    for bound, which in ((low, "low"), (high, "high")):
        if isinstance(bound, Constant) and bound.value.size:
            for value in (int(bound.value.min()), int(bound.value.max())):
                if not info.min <= value <= info.max:
                    raise ArgumentError(
                        f"random_integers: {which} is {value}, which {dtype} can't hold"
                        f"{at(user_source())}"
                    )
