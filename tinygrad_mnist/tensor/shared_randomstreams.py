"""Theano's `shared_randomstreams`: random variables that draw anew at every call.

The numbers come from Philox4x32-10 with the stream's seed, the number of the draw in the stream
and a step counter, so they repeat exactly on every backend and for any number of threads. They
are not Theano's numbers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.elementwise import add, cast, lt, mul
from tinygrad_mnist.ops.random import UNIFORM
from tinygrad_mnist.ops.shape import shape_scalars
from tinygrad_mnist.sharedvalue import shared


class RandomStreams:
    """A source of random variables.

    seed: an integer; two streams with the same seed draw the same numbers, draw by draw. None
    takes a fresh seed from the operating system.
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self._counter = shared(np.int64(0), name="random_step")
        self._counter.default_update = self._counter + 1
        self.seed(seed)
        self._draws = 0

    def seed(self, seed: int) -> None:
        """Starts again from `seed`: its step counter goes back to 0. Variables drawn before keep
        the seed that they were made with."""
        if not isinstance(seed, int | np.integer):
            raise GraphTypeError(f"the seed is {seed!r}; it is an integer")
        self._seed = int(seed) & 0xFFFFFFFF
        self._counter.set_value(np.int64(0))

    def _uniform(self, size: Any, ndim: int | None, dtype: str) -> Variable:
        """Floats in [0, 1)."""
        lengths = shape_scalars(() if size is None else size, ndim)
        key = self._draws << 32 | self._seed
        self._draws += 1
        broadcastable = tuple(isinstance(n, Constant) and int(n.value) == 1 for n in lengths)
        return UNIFORM(self._counter, *lengths, key=key, dtype=dtype, broadcastable=broadcastable)

    def uniform(
        self,
        size: Any = (),
        low: Any = 0.0,
        high: Any = 1.0,
        ndim: int | None = None,
        dtype: str | None = None,
    ) -> Variable:
        """Floats between `low` and `high` (default 0 and 1), in floatX or `dtype`."""
        drawn = self._uniform(size, ndim, dtype or config.floatX)
        return add(mul(drawn, high - low), low)

    def binomial(
        self,
        size: Any = (),
        n: int = 1,
        p: Any = 0.5,
        ndim: int | None = None,
        dtype: str = "int64",
    ) -> Variable:
        """1 with probability `p`, else 0, in `dtype`; only n=1 is there so far."""
        if n != 1:
            raise GraphTypeError(f"binomial with n={n}: only n=1 is there so far")
        return cast(lt(self._uniform(size, ndim, config.floatX), p), dtype)


__all__ = ["RandomStreams"]
