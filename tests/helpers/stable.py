"""Expressions of one variable against mpmath: values and gradients on a grid of its range."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any
from unittest.mock import patch

import mpmath
import numpy as np
from helpers.backends import making_functions_for
from numpy.typing import NDArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

mp = mpmath.mp.clone()
mp.dps = 60
Number = Any  # mpmath has no types
AnyArray = NDArray[Any]
DTYPES = ("float32", "float64")


def grid(dtype: str) -> AnyArray:
    """Numbers from 1e-30 to 1e30 in size, and those near which the exponential leaves the range of
    a dtype: -745 to 710, and -104 to 89.
    """
    sizes = [10.0**k for k in range(-30, 31, 2)]
    edges = [745.2, 744, 710, 709.7, 500, 104, 103.5, 89, 88.7, 87, 40, 36.8, 20, 17, 16.7]
    near = [0.1, 0.25, 0.5, 0.6931, 0.7, 1.5, 2, 3, 5, 8, 12]
    positive = np.array(sorted([*sizes, *edges, *near]))
    return np.concatenate([-positive[::-1], [0.0], positive]).astype(dtype)


@dataclass(frozen=True)
class Pattern:
    """A way to write a function of x, and the function.

    expression: as the user writes it. value, slope: in mpmath; None where it has none.
    domain: for which x. by_size: whether the error may grow with |x|, as that of exp(x + c) does.
    """

    name: str
    expression: Callable[[Any], Any]
    value: Callable[[Number], Number]
    slope: Callable[[Number], Number]
    domain: Callable[[float], bool] = lambda x: True
    by_size: bool = False

    def __str__(self) -> str:
        return self.name


@cache
def sigmoid(x: Number) -> Number:
    return 1 / (1 + mp.exp(-x)) if x > -100 else mp.exp(x) / (1 + mp.exp(x))


@cache
def softplus(x: Number) -> Number:
    """log(1 + exp(x)), with all its digits for small x."""
    return mp.log1p(mp.exp(x)) if x < 0 else x + mp.log1p(mp.exp(-x))


@cache
def sigmoid_slope(x: Number) -> Number:
    return sigmoid(x) * sigmoid(-x)


def errors(result: AnyArray, exact: list[Number], dtype: str) -> AnyArray:
    """The distance from what is exact, in units of the dtype's epsilon times what is exact.

    Below the smallest normal number it is relative to that, and beyond the largest number an
    infinity is exact.
    """
    info = np.finfo(dtype)
    found = []
    for r, e in zip(result, exact, strict=True):
        if abs(e) > float(info.max):
            found.append(0.0 if np.isinf(r) and np.sign(r) == mp.sign(e) else np.inf)
        elif not np.isfinite(r):
            found.append(np.inf)
        else:
            scale = max(abs(e), mp.mpf(float(info.tiny)))
            found.append(float(abs(mp.mpf(float(r)) - e) / scale / float(info.eps)))
    return np.array(found)


def values_and_slopes(
    expression: Callable[[Any], Any], x: AnyArray, device: str = "cpu"
) -> tuple[AnyArray, AnyArray]:
    """An expression of a vector and the gradient of its sum, on a backend."""
    v = T.tensor(x.dtype.name, (False,), "x")
    e = expression(v)
    with making_functions_for(device):
        function = theano.function([v], [e, T.grad(T.sum(e), v)], on_unused_input="ignore")
    value, slope = function(x)
    return value, slope


@contextmanager
def as_written() -> Iterator[None]:
    """Functions compute expressions as they are written; `grad` makes them stable as ever."""
    with patch("tinygrad_mnist.compile.pipeline.stabilise", lambda outputs, applied: outputs):
        yield
