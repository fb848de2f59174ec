"""Theano's `shared_randomstreams`: random variables with new numbers at every call.

The numbers come from Philox4x32-10 with the stream's seed, the number of the draw in the stream
and a step counter, so they are the same on every backend and for any number of threads. They are
not Theano's numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.fold import fold
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.types import INTEGERS, check_dtype
from tinygrad_mnist.graph.values import flag, integer
from tinygrad_mnist.graph.variables import Constant, SharedVariable, Variable
from tinygrad_mnist.ops.elementwise import add, cast, ge, le, log, lt, mul, number_like, sqrt, sub
from tinygrad_mnist.ops.logical import and_
from tinygrad_mnist.ops.random import UNIFORM
from tinygrad_mnist.ops.reduce import sum_
from tinygrad_mnist.ops.require import require
from tinygrad_mnist.ops.shape import as_integer_scalar, shape, shape_scalars
from tinygrad_mnist.ops.trigonometry import cos
from tinygrad_mnist.sharedvalue import shared
from tinygrad_mnist.tensor.random_integers import integers_from, widest_span

# Sums of so many ones are exact in float32.
_MAX_TRIALS = 2**24
# Added to the key of a draw for its second numbers.
_SECOND = 2**32
_LONGEST = 2**48  # elements of a vector that memory can hold
_NOTHING = "choice: there is nothing to choose from"


class RandomStreams:
    """A source of random variables.

    seed: an integer from 0 to 2**64 - 1; two streams with the same seed draw the same numbers, draw
    by draw. None takes a fresh seed from the operating system.

    For all distributions, `size` is the shape of a draw: a tuple of ints and integer scalars, one
    integer, or a symbolic vector such as `x.shape`, with `ndim` its length. None is the common
    shape of the other arguments. These may be numbers, arrays or variables that broadcast to it.
    Each draw has the same numbers on every backend, up to rounding of logarithms and similar
    functions.

    Arguments that make no distribution, such as a negative `std`, raise ArgumentError, which is a
    ValueError. Where they are variables, a call of the function raises it.
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        # What the seed makes of it, plus the number of the step.
        self._counter = shared(np.int64(0), name="random_step")
        self._counter.default_update = self._counter + 1
        self._draws = 0
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Starts again from `seed`: all variables draw the numbers of a new stream with that
        seed. It is an integer from 0 to 2**64 - 1; ArgumentError otherwise."""
        number = integer(seed, "the seed")
        if not 0 <= number < 2**64:
            raise ArgumentError(f"the seed is {number}; it is from 0 to 2**64 - 1")
        self._counter.set_value(_first_step(number))

    def updates(self) -> list[tuple[SharedVariable, Variable]]:
        """The updates that advance the stream, as pairs for `function(updates=)`; functions apply
        them by default."""
        assert self._counter.default_update is not None
        return [(self._counter, self._counter.default_update)]

    @property
    def state_updates(self) -> list[tuple[SharedVariable, Variable]]:
        """The same as `updates()`."""
        return self.updates()

    # --- distributions ----------------------------------------------------------------------

    def uniform(
        self,
        size: Any = (),
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
    ) -> Variable:
        """Floats from `low` up to, but not including, `high`, in floatX or `dtype`."""
        dtype = _float(dtype)
        low, high = _arguments(dtype, low=low, high=high)
        drawn = self._uniform(_lengths(size, ndim, low, high), dtype)
        return add(mul(drawn, sub(high, low)), low)

    def normal(
        self,
        size: Any = (),
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
    ) -> Variable:
        """Normal floats with mean `avg` and standard deviation `std`, in floatX or `dtype`.

        The method of Box and Muller makes each of two uniform numbers. None is further from the
        mean than 5.8 standard deviations in float32 (8.6 in float64), as one in 1e8 should be.
        """
        dtype = _float(dtype)
        avg, std = _arguments(dtype, avg=avg, std=std)
        std = require(std, ge(std, 0), "normal: std is negative or NaN")
        lengths = _lengths(size, ndim, avg, std)
        radius = sqrt(mul(-2.0, log(sub(1.0, self._uniform(lengths, dtype)))))
        turns = self._uniform(lengths, dtype)
        angle = mul(number_like(2 * pi, turns), turns)
        return add(avg, mul(std, mul(radius, cos(angle))))

    def binomial(
        self,
        size: Any = (),
        n: Any = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: str = "int64",
        prob: Any = None,
    ) -> Variable:
        """The number of successes in `n` trials, each with probability `p`, in `dtype`.

        n: an int or an integer scalar. Every trial draws and stores a uniform number, so `n` should
        be a few hundred at most. prob: an old name of `p`.
        """
        (p,) = _arguments(config.floatX, p=p if prob is None else prob)
        p = require(p, and_(ge(p, 0), le(p, 1)), "binomial: p is not between 0 and 1")
        lengths = _lengths(size, ndim, p)
        if isinstance(n, int | np.integer):
            if not 0 <= n <= _MAX_TRIALS:
                raise GraphTypeError(f"binomial with n={n}: it goes from 0 to {_MAX_TRIALS}")
            if n == 1:
                return cast(lt(self._uniform(lengths, config.floatX), p), dtype)
        trials = self._uniform([as_integer_scalar(n, "n of binomial"), *lengths], config.floatX)
        return cast(sum_(cast(lt(trials, p), config.floatX), axis=0), dtype)

    def random_integers(
        self,
        size: Any = (),
        low: Any = 0,
        high: Any = 1,
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """Integers from `low` to `high`, both included, in `dtype`, which has to hold them. The
        bounds may be any int64."""
        wrong = "random_integers: low is greater than high"
        return self._integers(size, low, high, ndim, dtype, wrong)

    def _integers(
        self,
        size: Any,
        low: Any,
        high: Any,
        ndim: int | None,
        dtype: str,
        wrong: str,
        widest: int | None = None,
    ) -> Variable:
        """`random_integers`. wrong: the message where `low` is greater than `high`. widest: what
        their distance is known not to pass; None for what their dtypes tell."""
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
        lengths, key = _lengths(size, ndim, least, most), self._new_key()
        return cast(
            integers_from(
                least,
                most,
                lambda k: self._drawn(lengths, "float64", key + k * _SECOND),
                widest,
            ),
            dtype,
        )

    def choice(
        self,
        size: Any = (),
        a: Any = 2,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """Elements of the vector `a`, or integers from 0 to `a` - 1, all equally probable.

        Elements may repeat: `replace` must be True and `p` None.
        """
        if not flag(replace, "replace") or p is not None:
            raise GraphTypeError("choice has replace=True and p=None only")
        among = as_variable(a)
        if among.ndim == 0:
            last = sub(cast(among, "int64"), 1)
            return self._integers(size, 0, last, ndim, dtype, _NOTHING)
        if among.ndim != 1:
            raise GraphTypeError(f"choice takes a vector or an integer, not a {among.type}")
        last = sub(shape(among)[0], 1)
        return among[self._integers(size, 0, last, ndim, "int64", _NOTHING, _LONGEST)]

    # --- draws ------------------------------------------------------------------------------

    def _uniform(self, lengths: Sequence[Variable], dtype: str) -> Variable:
        """The next draw: floats in [0, 1)."""
        return self._drawn(lengths, dtype, self._new_key())

    def _new_key(self) -> int:
        """The key of the next draw."""
        key = self._draws
        self._draws += 1
        return key

    def _drawn(self, lengths: Sequence[Variable], dtype: str, key: int) -> Variable:
        """The floats of a draw."""
        return UNIFORM(
            self._counter, *lengths, key=key, dtype=dtype, broadcastable=_broadcastable(lengths)
        )


def _first_step(seed: int) -> np.int64:
    """The number of a stream's first step: the seed in the upper half, if it fits there. Larger
    seeds are mixed, one to one, so that streams begin far from each other (splitmix64)."""
    if seed < 2**32:
        return np.uint64(seed << 32).astype(np.int64)
    x = (seed + 0x9E3779B97F4A7C15) % 2**64
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> shift)) * factor % 2**64
    return np.uint64(x ^ (x >> 31)).astype(np.int64)


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


def _float(dtype: str | None) -> str:
    return check_dtype("floatX" if dtype is None else dtype)


def _arguments(dtype: str, **values: Any) -> list[Variable]:
    """Arguments of a distribution as variables; constants and integers become `dtype`."""
    variables = []
    for name, value in values.items():
        v = as_variable(value)
        if isinstance(v, Constant) or v.type.is_discrete:
            v = fold(cast(v, dtype))
        elif np.result_type(v.dtype, dtype) != dtype:
            raise GraphTypeError(f"{name} is {v.dtype}, wider than the {dtype} of the draw")
        variables.append(v)
    return variables


def _lengths(size: Any, ndim: int | None, *arguments: Variable) -> list[Variable]:
    """The shape of a draw; GraphTypeError where an argument does not broadcast to it."""
    if size is None:
        whole = arguments[0]
        for v in arguments[1:]:
            whole = add(whole, v)
        return [shape(whole)[axis] for axis in range(whole.ndim)]
    lengths = shape_scalars(size, ndim)
    if ndim is not None and integer(ndim, "ndim") != len(lengths):
        raise GraphTypeError(f"size has {len(lengths)} lengths, but ndim is {ndim}")
    fixed = _broadcastable(lengths)
    for v in arguments:
        inner = fixed[len(fixed) - v.ndim :]
        if v.ndim > len(lengths) or any(
            one and not b for one, b in zip(inner, v.broadcastable, strict=True)
        ):
            raise GraphTypeError(f"an argument, {v}, is larger than the size of the draw")
    return lengths


def _broadcastable(lengths: Sequence[Variable]) -> tuple[bool, ...]:
    return tuple(isinstance(n, Constant) and int(n.value) == 1 for n in lengths)


__all__ = ["RandomStreams"]
