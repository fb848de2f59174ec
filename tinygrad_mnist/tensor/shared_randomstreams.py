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
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.types import INTEGERS
from tinygrad_mnist.graph.variables import Constant, SharedVariable, Variable
from tinygrad_mnist.ops.elementwise import add, cast, log, lt, mul, sqrt, sub
from tinygrad_mnist.ops.random import UNIFORM
from tinygrad_mnist.ops.reduce import sum_
from tinygrad_mnist.ops.shape import as_integer_scalar, shape, shape_scalars
from tinygrad_mnist.ops.trigonometry import cos
from tinygrad_mnist.sharedvalue import shared

# Sums of so many ones are exact in float32.
_MAX_TRIALS = 2**24


class RandomStreams:
    """A source of random variables.

    seed: an integer, of which the lowest 32 bits count; two streams with the same seed draw the
    same numbers, draw by draw. None takes a fresh seed from the operating system.

    For all distributions, `size` is the shape of a draw: a tuple of ints and integer scalars, one
    integer, or a symbolic vector such as `x.shape`, with `ndim` its length. None is the common
    shape of the other arguments. These may be numbers, arrays or variables that broadcast to it.
    Each draw has the same numbers on every backend, up to rounding of logarithms and similar
    functions.
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        # The seed is above bit 32, the number of the step below.
        self._counter = shared(np.int64(0), name="random_step")
        self._counter.default_update = self._counter + 1
        self._draws = 0
        self.seed(seed)

    def seed(self, seed: int) -> None:
        """Starts again from `seed`: all variables draw the numbers of a new stream with that
        seed."""
        if not isinstance(seed, int | np.integer):
            raise GraphTypeError(f"the seed is {seed!r}; it is an integer")
        state = np.array([0, int(seed) & 0xFFFFFFFF], dtype="<u4").view("<i8")
        self._counter.set_value(np.int64(state[0]))

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
        lengths = _lengths(size, ndim, avg, std)
        radius = sqrt(mul(-2.0, log(sub(1.0, self._uniform(lengths, dtype)))))
        angle = mul(2 * pi, self._uniform(lengths, dtype))
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
        """Integers from `low` to `high`, both included, in `dtype`; up to 2**53 different ones."""
        low, high = as_variable(low), as_variable(high)
        for bound, name in ((low, "low"), (high, "high")):
            if bound.dtype not in INTEGERS:
                raise GraphTypeError(f"random_integers: {name} is {bound}; it is of integers")
        drawn = self._uniform(_lengths(size, ndim, low, high), "float64")
        many = add(cast(sub(high, low), "float64"), 1.0)
        return cast(add(cast(mul(drawn, many), "int64"), low), dtype)

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
        if not replace or p is not None:
            raise GraphTypeError("choice has replace=True and p=None only")
        among = as_variable(a)
        if among.ndim == 0:
            return self.random_integers(size, 0, sub(among, 1), ndim, dtype)
        if among.ndim != 1:
            raise GraphTypeError(f"choice takes a vector or an integer, not a {among.type}")
        last = sub(shape(among)[0], 1)
        return among[self.random_integers(size, 0, last, ndim)]

    # --- draws ------------------------------------------------------------------------------

    def _uniform(self, lengths: Sequence[Variable], dtype: str) -> Variable:
        """The next draw: floats in [0, 1)."""
        key = self._draws
        self._draws += 1
        return UNIFORM(
            self._counter, *lengths, key=key, dtype=dtype, broadcastable=_broadcastable(lengths)
        )


def _float(dtype: str | None) -> str:
    return config.floatX if dtype in (None, "floatX") else str(dtype)


def _arguments(dtype: str, **values: Any) -> list[Variable]:
    """Arguments of a distribution as variables; constants and integers become `dtype`."""
    variables = []
    for name, value in values.items():
        v = as_variable(value)
        if isinstance(v, Constant) or v.type.is_discrete:
            v = cast(v, dtype)
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
    if ndim is not None and ndim != len(lengths):
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
