"""Theano's `sandbox.rng_mrg`: `MRG_RandomStreams`, with the numbers of Philox4x32-10.

The numbers are the same on every backend and for any number of threads. They are not Theano's, and
they don't depend on `nstreams`.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.source import at, user_source
from tinygrad_mnist.graph.values import flag, integer, is_integer, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.tensor import distributions, random_choice
from tinygrad_mnist.tensor.random_source import Source

M1 = 2147483647  # what the first three numbers of a seed are below
M2 = 2147462579  # what a seed, and the last three numbers of one, are below
_TRUNCATED_STD = 0.87962566103423978  # of a normal distribution that is cut at 2 of its own


class MRG_RandomStreams(Source):  # noqa: N801
    """A source of random variables; see `tensor.shared_randomstreams` for `size` and `ndim`.

    seed: an integer from 1 to M2 - 1, or six of them. use_cuda has no effect: `config.device` says
    where functions run.

    `nstreams` has no effect. A float dtype that is None is floatX, or that of an argument that is a
    wider variable. Arguments that make no distribution raise ArgumentError, which is a ValueError;
    where they are variables, a call of the function raises it. In Theano, several of these give
    meaningless numbers.
    """

    def __init__(self, seed: int | Sequence[int] = 12345, use_cuda: bool | None = None) -> None:
        super().__init__(_seed_number(seed))
        self._given_seed = seed

    def seed(self, seed: int | Sequence[int] | None = None) -> None:
        """Starts again from a seed: all variables draw the numbers of a new stream with that seed.
        None is the seed that the stream was made with."""
        self.set_rstate(self._given_seed if seed is None else seed)

    def set_rstate(self, seed: int | Sequence[int]) -> None:
        """The same as `seed`, which draws so far follow too."""
        self._restart(_seed_number(seed))

    @property
    def rstate(self) -> Array:
        """The state of the stream, an int64, which functions advance."""
        return self._counter.get_value()

    @rstate.setter
    def rstate(self, value: Any) -> None:
        self._counter.set_value(value)

    def inc_rstate(self) -> None:
        """Skips one draw: those after it have other numbers."""
        self.new_key()

    def _with_state(self, drawn: Variable, nstreams: Any) -> Variable:
        if nstreams is not None and integer(nstreams, "nstreams") < 1:
            raise ArgumentError(f"nstreams is {nstreams}; it is a positive integer or None")
        (update,) = self.updates()
        vars(drawn).update(rstate=update[0], update=update)
        return drawn

    # --- distributions ----------------------------------------------------------------------

    def uniform(
        self,
        size: Any,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
        nstreams: int | None = None,
    ) -> Variable:
        """Floats from `low` up to, but not including, `high`."""
        drawn = distributions.uniform(self, _positive(size), low, high, ndim, dtype)
        return self._with_state(drawn, nstreams)

    def binomial(
        self,
        size: Any = None,
        n: Any = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: str = "int64",
        nstreams: int | None = None,
    ) -> Variable:
        """The number of successes in `n` trials with probability `p`, in `dtype`; every trial draws
        and stores a uniform number."""
        drawn = distributions.binomial(self, _positive(size), n, p, ndim, dtype)
        return self._with_state(drawn, nstreams)

    def normal(
        self,
        size: Any,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
        nstreams: int | None = None,
        truncate: bool = False,
    ) -> Variable:
        """Normal floats with mean `avg` and standard deviation `std`. truncate: draw only such as
        are not further from the mean than 2 `std`, so that their own deviation is less."""
        draw = distributions.normal
        if flag(truncate, "truncate"):
            draw = distributions.truncated_normal
        return self._with_state(draw(self, _positive(size), avg, std, ndim, dtype), nstreams)

    def truncated_normal(
        self,
        size: Any,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
        nstreams: int | None = None,
    ) -> Variable:
        """Truncated normal floats whose own standard deviation is `std`: none is further from `avg`
        than 2.27 of it."""
        if not isinstance(std, Variable):
            std = np.asarray(std)
        return self.normal(size, avg, std / _TRUNCATED_STD, ndim, dtype, nstreams, truncate=True)

    def multinomial(
        self,
        size: None = None,
        n: Any = 1,
        pvals: Any = None,
        ndim: None = None,
        dtype: str = "int64",
        nstreams: int | None = None,
    ) -> Variable:
        """How often each category, along the last axis of `pvals`, comes in `n` trials: an array
        like `pvals`. size and ndim must be None."""
        _unused("multinomial", size=size, ndim=ndim)
        if pvals is None:
            raise GraphTypeError("multinomial needs pvals, the probabilities")
        drawn = random_choice.multinomial(self, None, n, pvals, None, dtype)
        return self._with_state(drawn, nstreams)

    def choice(
        self,
        size: Any = 1,
        a: None = None,
        replace: bool = True,
        p: Any = None,
        ndim: None = None,
        dtype: str = "int64",
        nstreams: int | None = None,
    ) -> Variable:
        """`size` indices per row of the matrix `p` of probabilities: integers from 0 to
        `p.shape[1]` - 1. replace: whether one may be drawn more than once. a and ndim must be
        None."""
        _unused("choice", ndim=ndim)
        if a is not None:
            raise GraphTypeError(f"choice: a is {shown(a)}; it must be None, since p says it")
        if p is None:
            raise GraphTypeError("choice needs p, a matrix of probabilities")
        replace = flag(replace, "replace")
        drawn = random_choice.chosen_of_rows(self, size, replace, p, dtype)
        return self._with_state(drawn, nstreams)

    def multinomial_wo_replacement(
        self,
        size: None = None,
        n: Any = 1,
        pvals: Any = None,
        ndim: None = None,
        dtype: str = "int64",
        nstreams: int | None = None,
    ) -> Variable:
        """An old name of `choice` without replacement, for `n` indices per row of `pvals`."""
        warnings.warn(
            "multinomial_wo_replacement is an old name of choice", DeprecationWarning, stacklevel=2
        )
        _unused("multinomial_wo_replacement", size=size)
        return self.choice(n, None, False, pvals, ndim, dtype, nstreams)


def _seed_number(seed: int | Sequence[int]) -> int:
    """One number for a seed; six equal numbers are the same seed as one of them."""
    if is_integer(seed):
        numbers = [int(seed)] * 6  # type: ignore[arg-type]
    elif isinstance(seed, list | tuple | np.ndarray) and len(seed) == 6:
        numbers = [integer(n, "a number of the seed") for n in seed]
    else:
        raise GraphTypeError(f"a seed is one integer or six, not {shown(seed)}")
    for part, limit in ((numbers[:3], M1), (numbers[3:], M2)):
        if not any(part) or min(part) < 0 or max(part) >= limit:
            raise ArgumentError(
                f"the seed is {shown(seed)}; its numbers are from 0 to {limit - 1}, and not all "
                "three of a half are 0"
            )
    if len(set(numbers)) == 1:
        if numbers[0] >= M2:
            raise ArgumentError(f"the seed is {numbers[0]}; it is below {M2}")
        return numbers[0]
    mixed = 0
    for n in numbers:
        mixed = (mixed * 0x9E3779B97F4A7C15 + n) % 2**64
    return mixed | 2**63  # apart from all seeds of one number


def _positive(size: Any) -> Any:
    """A size without lengths below 1; ArgumentError for one with such."""
    lengths = [size] if is_integer(size) else size
    if isinstance(lengths, list | tuple):
        for n in lengths:
            if is_integer(n) and n <= 0:
                raise ArgumentError(
                    f"size is {shown(size)}; its lengths are positive{at(user_source())}"
                )
    return size


def _unused(what: str, **values: Any) -> None:
    """Raises ArgumentError for arguments that are not None."""
    for name, value in values.items():
        if value is not None:
            raise ArgumentError(f"{what}: {name} is {shown(value)}; it is not used, so it is None")


__all__ = ["MRG_RandomStreams"]
