"""Theano's `shared_randomstreams`: random variables with new numbers at every call.

The numbers are the same on every backend and for any number of threads. They are not Theano's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.values import flag
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.positions import take_along
from tinygrad_mnist.tensor import distributions, random_choice
from tinygrad_mnist.tensor.random_source import Source


class RandomStreams(Source):
    """A source of random variables.

    seed: an integer from 0 to 2**64 - 1; two streams with the same seed draw the same numbers, draw
    by draw. None takes a fresh seed from the operating system.

    For all distributions, `size` is the shape of a draw: a tuple of ints and integer scalars, one
    integer, or a symbolic vector such as `x.shape`, with `ndim` its length. None is the common
    shape of the other arguments. These may be numbers, arrays or variables that broadcast to it.
    A float dtype that is None is floatX, or that of an argument that is a wider variable. Each draw
    has the same numbers on every backend, up to rounding of logarithms and similar functions.

    Arguments that make no distribution, such as a negative `std`, raise ArgumentError, which is a
    ValueError. Where they are variables, a call of the function raises it.

    A draw `v` has the state of its stream: `v.rng` is the shared variable, `v.update` the pair
    with its new value.
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        super().__init__(seed)

    def seed(self, seed: int | None = None) -> None:
        """Starts again from `seed`: all variables draw the numbers of a new stream with that
        seed. It is an integer from 0 to 2**64 - 1, ArgumentError otherwise; None is the seed that
        the stream was made with."""
        self._restart(self.default_instance_seed if seed is None else seed)

    def _with_state(self, drawn: Variable) -> Variable:
        (update,) = self.updates()
        vars(drawn).update(rng=update[0], update=update)
        return drawn

    def uniform(
        self,
        size: Any = None,
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
    ) -> Variable:
        """Floats from `low` up to, but not including, `high`."""
        return self._with_state(distributions.uniform(self, size, low, high, ndim, dtype))

    def normal(
        self,
        size: Any = None,
        avg: Any = 0.0,
        std: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
    ) -> Variable:
        """Normal floats with mean `avg` and standard deviation `std`.

        The method of Box and Muller makes each of two uniform numbers. None is further from the
        mean than 5.8 standard deviations in float32 (8.6 in float64), as one in 1e8 should be.
        """
        return self._with_state(distributions.normal(self, size, avg, std, ndim, dtype))

    def binomial(
        self,
        size: Any = None,
        n: Any = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: str = "int64",
        prob: Any = None,
    ) -> Variable:
        """The number of successes in `n` trials, each with probability `p`, in `dtype`.

        n: an int, an integer scalar or an array. Every trial draws and stores a uniform number, so
        `n` should be a few hundred at most. prob: an old name of `p`.
        """
        p = p if prob is None else prob
        return self._with_state(distributions.binomial(self, size, n, p, ndim, dtype))

    def poisson(
        self,
        size: Any = None,
        lam: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """The number of events in an interval in which `lam` are expected (None: 1), in `dtype`.

        Every event draws and stores a uniform number, so `lam` should be a few hundred at most.
        """
        return self._with_state(distributions.poisson(self, size, lam, ndim, dtype))

    def random_integers(
        self,
        size: Any = None,
        low: Any = 0,
        high: Any = 1,
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """Integers from `low` to `high`, both included, in `dtype`, which has to hold them. The
        bounds may be any int64."""
        wrong = "random_integers: low is greater than high"
        drawn = distributions.integers(self, size, low, high, ndim, dtype, wrong)
        return self._with_state(drawn)

    def multinomial(
        self,
        size: Any = None,
        n: Any = 1,
        pvals: Any = (0.5, 0.5),
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """How often each category comes in `n` trials, in `dtype`; the categories are one more,
        last axis.

        pvals: the probabilities, along the last axis; the last category gets what is left to 1.
        The other axes, and `n`, an int, an integer scalar or an array, broadcast to `size`. A
        length of -1 in it is that of `pvals`. Every trial draws and stores a uniform number.
        """
        return self._with_state(random_choice.multinomial(self, size, n, pvals, ndim, dtype))

    def choice(
        self,
        size: Any = None,
        a: Any = 2,
        replace: bool = True,
        p: Any = None,
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """Elements of the vector `a`, or integers from 0 to `a` - 1 in `dtype`.

        replace: whether an element may be drawn more than once. p: the probabilities of the
        elements, a vector; None makes all equally probable.
        """
        flag(replace, "replace")
        return self._with_state(random_choice.choice(self, size, a, replace, p, ndim, dtype))

    def permutation(
        self, size: Any = None, n: Any = 1, ndim: int | None = None, dtype: str = "int64"
    ) -> Variable:
        """Random orders of the integers from 0 to `n` - 1, in `dtype`; they are one more, last
        axis."""
        return self._with_state(random_choice.permutation(self, size, n, ndim, dtype))

    def shuffle_row_elements(self, input: Any) -> Variable:
        """`input` with the elements of each row, its last axis, in a random order of its own. The
        result's attribute `permutation` has the orders."""
        x = as_variable(input)
        shape = x.shape
        order = self.permutation(shape[:-1], shape[x.ndim - 1], ndim=x.ndim - 1)
        shuffled = take_along(x, order, -1)
        vars(shuffled)["permutation"] = order
        return shuffled


__all__ = ["RandomStreams"]
