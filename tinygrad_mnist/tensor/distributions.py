"""Distributions of numbers, made of uniform draws of a source.

`size`, `ndim` and `dtype` are those of `RandomStreams`.
"""

from __future__ import annotations

from math import pi
from math import sqrt as sqrt_of
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
)
from tinygrad_mnist.ops.logical import and_
from tinygrad_mnist.ops.reduce import max_, sum_
from tinygrad_mnist.ops.require import require
from tinygrad_mnist.ops.rounding import ceil
from tinygrad_mnist.ops.shape import as_integer_scalar, dimshuffle
from tinygrad_mnist.ops.special import erfinv
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

_BELOW = 0.022750131948179195  # the probability that a normal float is below -2


def truncated_normal(
    source: Source, size: Any, avg: Any, std: Any, ndim: int | None, dtype: str | None
) -> Variable:
    """Normal floats that are not further from `avg` than 2 `std`: the quantiles of uniform ones."""
    avg, std = _location_and_scale(avg, std, dtype)
    drawn = source.draw(lengths_of(size, ndim, avg, std), avg.dtype)
    width = number_like(1 - 2 * _BELOW, drawn)
    inside = mul(sub(mul(2.0, drawn), 1.0), width)
    return add(avg, mul(std, mul(number_like(sqrt_of(2), drawn), erfinv(inside))))


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
