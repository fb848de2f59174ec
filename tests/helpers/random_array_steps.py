"""What a random expression is made of: functions of arrays as wholes, and ops that are composed.

SMOOTH_ARRAYS and KINKED_ARRAYS are of floats, as in `random_steps`; EXACT_ARRAYS are of integers
and bools, or give such.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from helpers.random_graphs import RandomGraph, Step, joined
from helpers.random_steps import THRESHOLD, Made, unary

import tinygrad_mnist.tensor as T  # noqa: N812


def shaped(made: Any, x: Any, shape_of: Any) -> Made:
    """An expression, with the shape that NumPy's function gives for zeros like `x`."""
    return made, shape_of(np.zeros(x.shape)).shape


def along(graph: RandomGraph, kinds: str = "f", exact: bool = False, least: int = 1) -> Any:
    """One of the pool with at least `least` axes, and two of its axes, perhaps negative."""
    x = graph.take(kinds, exact, like=lambda item: len(item.shape) >= least)
    if x is None:
        return None
    n = len(x.shape)
    first = graph.integer(0, n - 1)
    second = (first + graph.integer(1, n - 1)) % n if n > 1 else first
    return x, graph.choice([first, first - n]), second


def moved(graph: RandomGraph) -> Made:
    made = along(graph)
    if made is None:
        return None
    x, first, second = made
    shift, around = graph.integer(-5, 5), graph.choice([None, first])
    words = [
        lambda v, m: m.swapaxes(v, first, second),
        lambda v, m: m.moveaxis(v, first, second),
        lambda v, m: m.roll(v, shift, around),
        lambda v, m: T.shape_padright(v) if m is T else v[..., None],
        lambda v, m: T.stacklists([v, v * 0.5]) if m is T else np.stack([v, v]),
    ]
    word = graph.choice(words)
    return shaped(word(x.v, T), x, lambda z: word(z, np))


def differences(graph: RandomGraph) -> Made:
    made = along(graph)
    if made is None:
        return None
    x, axis, _ = made
    return shaped(T.diff(x.v, 1, axis), x, lambda z: np.diff(z, 1, axis))


def products(graph: RandomGraph) -> Made:
    """Cumulative products, some with zeros."""
    made = along(graph)
    if made is None:
        return None
    x, axis, _ = made
    factors = T.tanh(x.v) + 0.3
    if graph.integer(0, 1):
        factors = factors * T.cast(graph.integers(0, 3, x.shape) > 0, x.v.dtype)
    return T.cumprod(factors, axis), x.shape


def sums(graph: RandomGraph) -> Made:
    made = along(graph)
    return made and (T.cumsum(made[0].v, made[1]), made[0].shape)


def matrices(graph: RandomGraph) -> Made:
    """Triangles, diagonals and their sums."""
    made = along(graph, least=2)
    if made is None:
        return None
    x, first, second = made
    k = graph.integer(-2, 2)
    if graph.integer(0, 1):
        return graph.choice([T.tril, T.triu])(x.v, k), x.shape
    name = graph.choice(["diagonal", "trace"])
    k = graph.integer(1 - x.shape[first], x.shape[second] - 1)  # a diagonal with elements
    axes = (k, first, second)
    return shaped(
        getattr(T, name)(x.v, *axes), x, lambda z: np.asarray(getattr(np, name)(z, *axes))
    )


def made_of_diagonals(graph: RandomGraph) -> Made:
    x = graph.take(like=lambda item: 0 < len(item.shape) < 3)
    if x is None:
        return None
    k = graph.integer(-2, 2)
    side = x.shape[-1] + abs(k)
    return T.AllocDiag(k, -2, -1)(x.v), (*x.shape[:-1], side, side)


def norms(graph: RandomGraph) -> Made:
    made = along(graph)
    if made is None:
        return None
    x, axis, _ = made
    size = T.norm(T.sqr(x.v) + 0.5, graph.choice([1, 2, 3]), axis)
    return shaped(size, x, lambda z: np.sum(z, axis=axis))


def in_order(graph: RandomGraph) -> Made:
    """Sorted elements, or the greatest ones; noise keeps them apart."""
    made = along(graph)
    if made is None:
        return None
    x, axis, _ = made
    v = x.v + 0.9 * graph.noise(x.shape, x.v.dtype)
    k = graph.integer(1, x.shape[axis]) * graph.choice([1, -1])
    word = graph.choice([T.sort, lambda v, axis: T.topk(v, k, axis)])
    n = x.shape[axis] if word is T.sort else abs(k)
    shape = list(x.shape)
    shape[axis] = n
    return word(v, axis), tuple(shape)


def extremes(graph: RandomGraph) -> Made:
    made = along(graph)
    if made is None:
        return None
    x, axis, _ = made
    if graph.integer(0, 1):
        v = x.v + 0.9 * graph.noise(x.shape, x.v.dtype)
        return shaped(T.ptp(v, axis), x, lambda z: np.ptp(z, axis))
    y = graph.partner(x)
    word = graph.choice([T.smallest, T.largest])
    return word(x.v, y.v + THRESHOLD, 0.71), joined(x, y)


def orders(graph: RandomGraph) -> Made:
    made = along(graph, "fiub", exact=True)
    if made is None:
        return None
    x, axis, _ = made
    v = x.v + 0.9 * graph.noise(x.shape, "float64") if x.v.dtype[0] == "f" else x.v
    return graph.choice([T.argsort, lambda v, axis: T.argsort(T.argsort(v, axis), axis)])(
        v, axis
    ), x.shape


def exact_along(graph: RandomGraph) -> Made:
    made = along(graph, "iu", exact=True)
    if made is None:
        return None
    x, axis, _ = made
    words = [T.sort, T.cumsum, T.cumprod, lambda v, axis: T.roll(v, 2, axis)]
    return graph.choice(words)(x.v, axis), x.shape


def numbered(graph: RandomGraph) -> Made:
    x = graph.take("iu", exact=True)
    if x is None:
        return None
    y = graph.partner(x, "iu", exact=True)
    if graph.integer(0, 1):
        mode = graph.choice(["wrap", "clip"])
        return T.choose(x.v, [y.v, y.v + 1, x.v], mode=mode), joined(x, y)
    row, column = T.unravel_index(T.cast(x.v, "int64") % 12, (3, 4))
    return T.ravel_multi_index((column, row), (4, 3)), x.shape


SMOOTH_ARRAYS: tuple[Step, ...] = (
    moved,
    moved,
    differences,
    products,
    sums,
    matrices,
    made_of_diagonals,
    norms,
    unary(
        lambda x: T.gammaln(T.sqr(x) + 0.5),
        lambda x: T.psi(T.tanh(x) + 1.5),
        lambda x: T.erfinv(T.tanh(x) * 0.9),
        lambda x: T.erfcx(T.tanh(x)),
    ),
)
KINKED_ARRAYS: tuple[Step, ...] = (in_order, in_order, extremes)
EXACT_ARRAYS: tuple[Step, ...] = (orders, exact_along, numbered)
