"""Axes that are moved, added, dropped or rolled: composed of views and joins."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.graph.operators import api_function
from tinygrad_mnist.graph.values import MOST_DIMENSIONS, axis_number, axis_numbers, integer, shown
from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.ops.elementwise import maximum, mod
from tinygrad_mnist.ops.join import concatenate
from tinygrad_mnist.ops.shape import as_integer_scalar, dimshuffle, flatten, length, reshape


@api_function
def squeeze(x: Any) -> Variable:
    """`x` without the axes that broadcast."""
    variable = as_variable(x)
    return dimshuffle(variable, *(i for i, b in enumerate(variable.broadcastable) if not b))


@api_function
def swapaxes(y: Any, axis1: int, axis2: int) -> Variable:
    """`y` with two axes exchanged."""
    variable = as_variable(y)
    order = list(range(variable.ndim))
    first, second = axis_number(axis1, variable.ndim), axis_number(axis2, variable.ndim)
    order[first], order[second] = second, first
    return dimshuffle(variable, *order)


def moveaxis(a: Any, source: Any, destination: Any) -> Variable:
    """`a` with the axes `source`, an int or several, moved to `destination`; the others keep their
    order."""
    variable = as_variable(a)
    from_axes = axis_numbers(source, variable.ndim)
    to_axes = axis_numbers(destination, variable.ndim)
    if len(from_axes) != len(to_axes):
        raise ArgumentError(f"moveaxis from {shown(source)} to {shown(destination)}")
    order = [axis for axis in range(variable.ndim) if axis not in from_axes]
    for to, moved in sorted(zip(to_axes, from_axes, strict=True)):
        order.insert(to, moved)
    return dimshuffle(variable, *order)


def shape_padleft(t: Any, n_ones: int = 1) -> Variable:
    """`t` with `n_ones` axes in front that broadcast."""
    variable = as_variable(t)
    return dimshuffle(variable, *_ones(n_ones, variable), *range(variable.ndim))


def shape_padright(t: Any, n_ones: int = 1) -> Variable:
    """`t` with `n_ones` axes at the end that broadcast."""
    variable = as_variable(t)
    return dimshuffle(variable, *range(variable.ndim), *_ones(n_ones, variable))


def _ones(n_ones: Any, x: Variable) -> tuple[str, ...]:
    """New axes of a pattern."""
    count = integer(n_ones, "n_ones", 0)
    if x.ndim + count > MOST_DIMENSIONS:
        raise ArgumentError(f"n_ones is {count}; arrays have at most {MOST_DIMENSIONS} axes")
    return ("x",) * count


def shape_padaxis(t: Any, axis: int) -> Variable:
    """`t` with a new axis, number `axis` of the result, that broadcasts."""
    variable = as_variable(t)
    pattern: list[Any] = list(range(variable.ndim))
    pattern.insert(axis_number(axis, variable.ndim + 1), "x")
    return dimshuffle(variable, *pattern)


def roll(x: Any, shift: Any, axis: int | None = None) -> Variable:
    """The elements of `x` moved `shift` places along `axis`; those that leave at the end come in
    at the front. With axis None the flattened array is rolled, and has its shape again.

    shift: an int or an integer scalar of the host, positive or negative.
    """
    variable = as_variable(x)
    if axis is None and variable.ndim != 1:
        lengths = [length(variable, i) for i in range(variable.ndim)]
        return reshape(roll(flatten(variable), shift, 0), lengths)
    at = axis_number(0 if axis is None else axis, variable.ndim)
    places = as_integer_scalar(shift, "shift")
    if variable.broadcastable[at]:  # one element
        return variable
    n = length(variable, at)
    cut = n - mod(places, maximum(n, 1))
    before = (slice(None),) * at
    return concatenate([variable[*before, cut:], variable[*before, :cut]], at)
