"""Positions in arrays: elements picked along an axis, numbers of elements, counts of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.op import as_variable, constant
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.types import BOOL, INTEGERS
from tinygrad_mnist.graph.values import axis_number, choice, integer, several
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.creation import arange, zeros
from tinygrad_mnist.ops.elementwise import (
    add,
    cast,
    clip,
    eq,
    ge,
    int_div,
    lt,
    maximum,
    mod,
    mul,
    switch,
)
from tinygrad_mnist.ops.index import inc_subtensor
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.logical import and_
from tinygrad_mnist.ops.reduce import max_
from tinygrad_mnist.ops.require import require
from tinygrad_mnist.ops.shape import dimshuffle, length, shape_scalars, with_ndim

_MODES = ("raise", "wrap", "clip")
_MOST_DIFFERENCES = 1000  # each of them is an op


def take_along(x: Variable, indices: Variable, axis: int) -> Variable:
    """The elements of `x` at `indices` along one axis, as `numpy.take_along_axis` has it. Where
    one of the two has fewer axes, or one that broadcasts, it is stretched."""
    ndim = max(x.ndim, indices.ndim)
    x, indices = with_ndim(x, ndim), with_ndim(indices, ndim)
    at = axis_number(axis, ndim)
    return x[tuple(indices if d == at else _every(x, d) for d in range(ndim))]


def _every(x: Variable, axis: int) -> Variable:
    """All indices of one axis, along this axis."""
    if x.broadcastable[axis]:
        return constant(np.zeros((1,) * x.ndim, np.int64))
    pattern = ("x",) * axis + (0,) + ("x",) * (x.ndim - axis - 1)
    return dimshuffle(arange(length(x, axis)), *pattern)


@api_function
def choose(a: Any, choices: Any, out: None = None, mode: str = "raise") -> Variable:
    """Each element from the array of `choices` that `a` numbers: `choices[a[i, j]][i, j]`.

    a: integers, or bools. choices: a list of arrays, or an array whose first axis counts them; they
    broadcast with `a`. mode: what numbers out of range are: 'raise', an error when a function is
    called; 'wrap', counted modulo the number of choices; 'clip', the first or the last one.
    """
    if out is not None:
        raise ArgumentError("choose has out=None only: functions return new arrays")
    choice(mode, _MODES, "mode")
    numbers = _integers(a, "choose")
    if isinstance(choices, list | tuple):
        if not choices:
            raise ArgumentError("choose: there is nothing to choose from")
        arrays = [as_variable(c) for c in choices]
        numbers = _within(numbers, as_variable(len(arrays)), mode, "choose")
        pairs = reversed(list(enumerate(arrays[:-1])))
        return reduce(lambda rest, p: switch(eq(numbers, p[0]), p[1], rest), pairs, arrays[-1])
    array = as_variable(choices)
    if array.ndim == 0:
        raise GraphTypeError(f"choices are a list or an array, not {array.type}")
    numbers = _within(numbers, length(array, 0), mode, "choose")
    left = max(0, numbers.ndim + 1 - array.ndim)
    array = dimshuffle(array, 0, *("x",) * left, *range(1, array.ndim))
    picked = take_along(array, numbers, 0)
    return dimshuffle(picked, *range(1, picked.ndim))


def _integers(x: Any, name: str) -> Variable:
    variable = as_variable(x)
    if variable.dtype == BOOL:
        return cast(variable, "int8")
    if variable.dtype not in INTEGERS:
        raise GraphTypeError(f"{name} takes integers, not {variable.type}")
    return variable


def _within(numbers: Variable, count: Variable, mode: str, name: str) -> Variable:
    """Numbers from 0 up to, but not including, `count`; `mode` says what others are."""
    if mode == "wrap":
        return mod(numbers, count)
    if mode == "clip":
        return clip(numbers, 0, count - 1)
    is_inside = and_(ge(numbers, 0), lt(numbers, count))
    return require(numbers, is_inside, f"{name}: a number is out of range")


# --- numbers of elements ------------------------------------------------------------------------


def unravel_index(
    indices: Any, dims: Any, order: str = "C", ndim: int | None = None
) -> tuple[Variable, ...]:
    """The index on each axis of elements that are numbered in a flattened array: int64, one array
    per axis.

    dims: the array's shape, ints and integer scalars, or a symbolic vector with `ndim` its length.
    order: 'C' if the last axis changes fastest, 'F' if the first one does. A number out of range is
    an error when a function is called.
    """
    rest = cast(_integers(indices, "unravel_index"), "int64")
    is_c = choice(order, ("C", "F"), "order") == "C"
    lengths = shape_scalars(dims, ndim)
    if not lengths:
        raise ArgumentError("dims has no lengths; unravel_index takes at least one")
    rest = _within(rest, reduce(mul, lengths), "raise", "unravel_index")
    coordinates = []
    for n in reversed(lengths) if is_c else lengths:
        coordinates.append(mod(rest, n))
        rest = int_div(rest, n)
    return tuple(reversed(coordinates) if is_c else coordinates)


def ravel_multi_index(
    multi_index: Any, dims: Any, mode: Any = "raise", order: str = "C"
) -> Variable:
    """The numbers that elements have in the flattened array, int64, by their index on each axis.

    multi_index: a list with an integer array per axis. dims: the array's shape, ints and integer
    scalars, or a symbolic vector. mode: of `choose`, or one per axis. order: of `unravel_index`.
    """
    given = several(multi_index, "multi_index", "integer arrays")
    is_c = choice(order, ("C", "F"), "order") == "C"
    lengths = shape_scalars(dims, len(given) if isinstance(dims, Variable) else None)
    modes: Sequence[Any] = mode if isinstance(mode, list | tuple) else (mode,) * len(given)
    if not len(given) == len(lengths) == len(modes) or not given:
        raise ArgumentError(
            f"multi_index has {len(given)} arrays, dims {len(lengths)} lengths, mode {len(modes)}"
        )
    number: Variable = constant(0, "int64")
    axes = list(zip(given, lengths, modes, strict=True))
    for index, n, how in axes if is_c else reversed(axes):
        choice(how, _MODES, "mode")
        coordinate = cast(_integers(index, "ravel_multi_index"), "int64")
        number = add(mul(number, n), _within(coordinate, n, how, "ravel_multi_index"))
    return number


def bincount(
    x: Any, weights: Any = None, minlength: Any = None, assert_nonneg: bool = False
) -> Variable:
    """How often each of 0, 1, 2, ... is in the vector `x`, up to its greatest element: int64.

    weights: a vector as long as `x`; each element counts as its weight, in the dtype of these.
    minlength: the least length of the result. Negative elements are an error when a function is
    called, whatever `assert_nonneg` is.
    """
    numbers = _integers(x, "bincount")
    if numbers.ndim != 1:
        raise GraphTypeError(f"bincount takes a vector, not {numbers.type}")
    numbers = cast(numbers, "int64")
    numbers = require(numbers, ge(numbers, 0), "bincount: an element is negative")
    # The maximum of no elements is an error, so there is one more.
    count = max_(concatenate([numbers, constant([-1], "int64")])) + 1
    if minlength is not None:
        count = maximum(count, minlength)
    counted = constant(1, "int64") if weights is None else as_variable(weights)
    return inc_subtensor(zeros([count], counted.dtype)[numbers], counted)


def diff(x: Any, n: int = 1, axis: int = -1) -> Variable:
    """The differences of neighbours along `axis`, `n` times in turn."""
    result = as_variable(x)
    before = (slice(None),) * axis_number(axis, result.ndim)
    times = integer(n, "n of diff", 0)
    if times > _MOST_DIFFERENCES:
        raise ArgumentError(f"n of diff is {times}; it is at most {_MOST_DIFFERENCES}")
    for _ in range(times):
        result = result[*before, 1:] - result[*before, :-1]
    return result
