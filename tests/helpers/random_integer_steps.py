"""What a random expression is made of: integers and bools, which are exact, and ways from and to
floats."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from helpers.random_graphs import RandomGraph, Step, fits, joined
from helpers.random_steps import THRESHOLD, Made

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import Variable


def unary(kinds: str, *functions: Callable[[Variable], Variable]) -> Step:
    def step(graph: RandomGraph) -> Made:
        x = graph.take(kinds, exact=True)
        return x and (graph.choice(functions)(x.v), x.shape)

    return step


def binary(kinds: str, *functions: Callable[[Variable, Variable], Variable]) -> Step:
    def step(graph: RandomGraph) -> Made:
        x = graph.take(kinds, exact=True)
        if x is None:
            return None
        y = graph.partner(x, kinds, exact=True)
        return graph.choice(functions)(x.v, y.v), joined(x, y)

    return step


def reduction(kinds: str, *functions: Callable[..., Variable]) -> Step:
    def step(graph: RandomGraph) -> Made:
        x = graph.take(kinds, exact=True)
        if x is None:
            return None
        axes = tuple(a for a in range(len(x.shape)) if graph.integer(0, 1))
        keep = bool(graph.integer(0, 1))
        shape = np.sum(np.zeros(x.shape), axis=axes, keepdims=keep).shape
        return graph.choice(functions)(x.v, axis=axes, keepdims=keep), shape

    return step


def place(graph: RandomGraph) -> Made:
    """argmax and argmin: of integers, where the first of equals counts, or of floats."""
    x = graph.take("fiu", exact=True, like=lambda item: item.shape)
    if x is None:
        return None
    axis = graph.integer(0, len(x.shape) - 1)
    v = x.v + 0.9 * graph.noise(x.shape, "float64") if x.v.dtype[0] == "f" else x.v
    shape = (*x.shape[:axis], *x.shape[axis + 1 :])
    return graph.choice([T.argmax, T.argmin])(v, axis=axis), shape


def mixed(graph: RandomGraph) -> Made:
    """A float and an integer or bool that meet, which gives floats."""
    x = graph.take("f")
    y = x and graph.take("iub", exact=True, like=lambda item: fits(x, item))
    if x is None or y is None:
        return None
    if y.v.dtype == "bool":
        return T.switch(y.v, x.v, T.tanh(x.v)), joined(x, y)
    symbolic = graph.choice([T.add, T.mul, T.maximum])
    return symbolic(x.v, y.v % 3), joined(x, y)


def chosen(graph: RandomGraph) -> Made:
    x = graph.take("iu", exact=True)
    if x is None:
        return None
    y = graph.partner(x, "iu", exact=True)
    truth = graph.choice([T.lt, T.le, T.gt, T.ge, T.eq, T.neq])(x.v, y.v)
    return (T.switch(truth, x.v, y.v) if graph.integer(0, 1) else truth), joined(x, y)


def one_hot(graph: RandomGraph) -> Made:
    x = graph.take("iu", exact=True, like=lambda item: len(item.shape) == 1)
    return x and (T.extra_ops.to_one_hot(x.v % 4, 4, dtype="float64"), (*x.shape, 4))


def rounded(x: Variable) -> Variable:
    return T.iround(T.clip(x * 1.37 + THRESHOLD, -99.1, 99.1))


INTEGERS: tuple[Step, ...] = (
    unary("iu", lambda x: -x, T.abs_, T.sqr, T.sgn, T.invert, lambda x: x**2),
    unary("iu", lambda x: T.cast(x, "int32"), lambda x: T.cast(x, "uint8"), T.floor, T.round),
    unary("iu", lambda x: T.tanh(T.cast(x, "float64")), lambda x: x % 7 * 0.25, T.tanh),
    unary("iu", lambda x: (x % 5) / 3, lambda x: T.sqrt(T.cast(x % 9, "float64"))),
    unary("b", lambda x: ~x, lambda x: T.cast(x, "int32"), lambda x: x + T.cast(x, "float64")),
    unary("f", lambda x: x > THRESHOLD, rounded, lambda x: T.cast(rounded(x), "uint8")),
    unary("f", lambda x: T.isnan(T.log(x - THRESHOLD)), lambda x: T.neq(T.sgn(x + THRESHOLD), 1)),
    binary("iu", T.add, T.sub, T.mul, T.maximum, T.minimum, T.and_, T.or_, T.xor),
    binary("iu", lambda x, y: x // (y % 5 + 1), lambda x, y: x % (y % 5 + 1)),
    binary("b", T.and_, T.or_, T.xor, T.eq, T.add, T.mul, T.maximum),
    reduction("iu", T.sum, T.prod, T.max, T.min),
    reduction("b", T.all, T.any, T.sum),
    place,
    place,
    mixed,
    mixed,
    chosen,
    one_hot,
)
