"""Where random numbers come from: Philox4x32-10 with a stream's seed, the number of a draw in the
stream and a step counter. They are the same on every backend and for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.config import config
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.fold import fold
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.types import check_dtype, upcast
from tinygrad_mnist.graph.values import integer
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.elementwise import add, cast
from tinygrad_mnist.ops.random import UNIFORM
from tinygrad_mnist.ops.shape import shape, shape_scalars
from tinygrad_mnist.sharedvalue import shared


class Source:
    """A stream of draws. Each has a key of its own and the counter, which all share.

    default_instance_seed: the seed that it was made with.
    """

    def __init__(self, seed: int) -> None:
        self.default_instance_seed = seed
        # What the seed makes of it, plus the number of the step.
        self._counter = shared(np.int64(0), name="random_step")
        self._counter.default_update = self._counter + 1
        self._draws = 0
        self._restart(seed)

    def _restart(self, seed: int) -> None:
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

    # --- draws ------------------------------------------------------------------------------

    def draw(self, lengths: Sequence[Variable], dtype: str) -> Variable:
        """The next draw: floats in [0, 1)."""
        return self.drawn(lengths, dtype, self.new_key())

    def new_key(self) -> int:
        """The key of the next draw."""
        key = self._draws
        self._draws += 1
        return key

    def drawn(self, lengths: Sequence[Variable], dtype: str, key: int) -> Variable:
        """The floats of the draw that has a key."""
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


# --- arguments of distributions -------------------------------------------------------------------


def float_arguments(dtype: str | None, **values: Any) -> list[Variable]:
    """Arguments of a distribution as variables of one float dtype.

    dtype: of the draw; None takes floatX, or the wider dtype of an argument. Constants and integers
    widen nothing.
    """
    variables = {name: as_variable(value) for name, value in values.items()}
    if dtype is None:
        floats = [v for v in variables.values() if v.type.is_float and not isinstance(v, Constant)]
        dtype = upcast(config.floatX, *(v.dtype for v in floats))
    dtype = check_dtype(dtype)
    return [v if v.dtype == dtype else fold(cast(v, dtype)) for v in variables.values()]


def lengths_of(size: Any, ndim: int | None, *arguments: Variable) -> list[Variable]:
    """The shape of a draw; GraphTypeError where an argument does not broadcast to it."""
    if size is None:
        whole = arguments[0]
        for v in arguments[1:]:
            whole = add(whole, v)
        lengths = [shape(whole)[axis] for axis in range(whole.ndim)]
    else:
        lengths = shape_scalars(size, ndim)
    if ndim is not None and integer(ndim, "ndim") != len(lengths):
        raise GraphTypeError(f"size has {len(lengths)} lengths, but ndim is {ndim}")
    if size is None:
        return lengths
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
