"""Random programs with cuts between random operations, against NumPy.

Every operation has two forms, one on variables and one on arrays. Masks, repeats, computed lengths,
ranges and lazy choices are drawn among ordinary ones, so cuts come in any number and order.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.ifelse import ifelse

Array = NDArray[Any]


class Pair(NamedTuple):
    """A float64 vector as an expression, and its value."""

    v: Any
    a: Array


Step = Callable[[Random, list[Pair]], Pair]


def one(random: Random, pool: list[Pair]) -> Pair:
    return random.choice(pool[-4:] if random.random() < 0.7 else pool)


def arithmetic(random: Random, pool: list[Pair]) -> Pair:
    x, k = one(random, pool), random.randint(-2, 3)
    return Pair(T.tanh(x.v) * k + x.v, np.tanh(x.a) * k + x.a)


def product(random: Random, pool: list[Pair]) -> Pair:
    x, y = one(random, pool), one(random, pool)
    return Pair(T.dot(T.outer(T.tanh(x.v), y.v), y.v), np.outer(np.tanh(x.a), y.a) @ y.a / 1.0)


def summed(random: Random, pool: list[Pair]) -> Pair:
    x, y = one(random, pool), one(random, pool)
    return Pair(T.tanh(T.sum(x.v)) + y.v, np.tanh(x.a.sum()) + y.a)


def joined(random: Random, pool: list[Pair]) -> Pair:
    x, y = one(random, pool), one(random, pool)
    return Pair(T.concatenate([x.v, y.v])[:12], np.concatenate([x.a, y.a])[:12])


def masked(random: Random, pool: list[Pair]) -> Pair:
    x, t = one(random, pool), random.choice((-0.6, 0.1, 0.4))
    return Pair(x.v[x.v > t], x.a[x.a > t])


def written(random: Random, pool: list[Pair]) -> Pair:
    x, t = one(random, pool), random.choice((-0.6, 0.1))
    mask = x.a > t
    if random.random() < 0.5:
        return Pair(T.set_subtensor(x.v[x.v > t], 0.5), np.where(mask, 0.5, x.a))
    return Pair(T.inc_subtensor(x.v[x.v > t], x.v[x.v > t]), np.where(mask, 2 * x.a, x.a))


def cut_off(random: Random, pool: list[Pair]) -> Pair:
    x, y = one(random, pool), one(random, pool)
    n = T.cast(T.sum(T.gt(y.v, 0)), "int64")
    return Pair(x.v[:n], x.a[: (y.a > 0).sum()])


def stepped(random: Random, pool: list[Pair]) -> Pair:
    x, y = one(random, pool), one(random, pool)
    return Pair(x.v[:: T.sum(y.v > 0.2) + 1], x.a[:: (y.a > 0.2).sum() + 1])


def ranged(random: Random, pool: list[Pair]) -> Pair:
    x = one(random, pool)
    n = T.sum(x.v < 0.3)
    return Pair(T.arange(n) / 8.0 + T.zeros(n, "float64"), np.arange((x.a < 0.3).sum()) / 8)


def repeated(random: Random, pool: list[Pair]) -> Pair:
    x = one(random, pool)
    times = T.cast(x.v > 0.2, "int64") + 1
    return Pair(T.repeat(x.v, times)[:12], np.repeat(x.a, (x.a > 0.2) + 1)[:12])


def chosen(random: Random, pool: list[Pair]) -> Pair:
    x, y, z = one(random, pool), one(random, pool), one(random, pool)
    if random.random() < 0.3:  # a NaN or an infinity that must not matter
        bad = T.log(-T.sqr(y.v)) / (y.v - y.v)
        return Pair(ifelse(T.sum(T.sqr(z.v)) >= 0, x.v, bad), x.a)
    v = ifelse(T.sum(z.v) > 0.3, x.v, y.v * 2)
    return Pair(v, x.a if z.a.sum() > 0.3 else y.a * 2)


PLAIN: tuple[Step, ...] = (arithmetic, summed, joined, product)
CUTS: tuple[Step, ...] = (masked, written, cut_off, stepped, ranged, repeated, chosen)


def program(seed: int) -> tuple[Any, Array, list[Pair]]:
    """An input with its value, and expressions of it."""
    random = Random(seed)
    value = np.random.default_rng(seed).normal(size=random.randint(0, 7))
    x = T.dvector("x")
    pool = [Pair(x, value)]
    for _ in range(random.randint(2, 9)):
        pair = random.choice(CUTS if random.random() < 0.5 else PLAIN)(random, pool)
        if not np.isfinite(pair.a).all() or (abs(pair.a) > 50).any() or is_close_to_a_bound(pair.a):
            continue
        pool.append(pair)
    return x, value, pool


def is_close_to_a_bound(a: Array) -> bool:
    """Whether rounding might decide a comparison of the program."""
    numbers = np.append(a, a.sum())
    bounds = (-0.6, 0.0, 0.1, 0.2, 0.3, 0.4)
    return any((abs(numbers - b) < 1e-9).any() and not (numbers == b).all() for b in bounds)


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=40)
def test_random_programs(backend: str, seed: int) -> None:
    """Values twice, an update, and gradients against differences of the values."""
    x, value, pool = program(seed)
    theano.config.device = backend
    w = theano.shared(np.zeros(()))
    cost = sum((T.sum(T.sin(p.v)) for p in pool[1:]), T.sum(x))
    outputs = [p.v for p in pool[-3:]]
    function = theano.function([x], [*outputs, T.grad(cost, x)], updates=[(w, w + cost)])
    for _ in range(2):
        *results, gradient = function(value)
        for result, pair in zip(results, pool[-3:], strict=True):
            np.testing.assert_allclose(result, pair.a, rtol=1e-9, atol=1e-9)
    total = value.sum() + sum(np.sin(p.a).sum() for p in pool[1:])
    np.testing.assert_allclose(w.get_value(), 2 * total, rtol=1e-9, atol=1e-9)
    plain = theano.function([x], cost)
    for i in range(len(value)):
        slopes = [
            (plain(value + h * np.eye(len(value))[i]) - plain(value - h * np.eye(len(value))[i]))
            / (2 * h)
            for h in (1e-5, 2e-5)
        ]
        if abs(slopes[0] - slopes[1]) < 1e-6 * (1 + abs(slopes[0])):  # else there is a jump
            np.testing.assert_allclose(gradient[i], slopes[0], rtol=1e-4, atol=1e-6)
