"""Gradients of a few elements of an array that another part of the cost stretches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist.tensor as T  # noqa: N812

W = np.random.default_rng(0).normal(size=(3, 4))

PARTS: dict[str, Callable[[Any], Any]] = {
    "an array": lambda m: m[[1, 0, 1]],
    "a row": lambda m: m[1],
    "an element": lambda m: m[1, 0],
    "a slice": lambda m: m[1:],
    "a flip": lambda m: m[::-1],
    "a column": lambda m: m[:, 0],
    "a column's slice": lambda m: m[:, :1],
    "a mask": lambda m: m[m[:, 0] > -9],
    "take": lambda m: T.take(m, [2, 0], axis=0),
    "sort": lambda m: T.sort(m, axis=0) * T.constant([[1.0], [2.0], [3.0]]),
    "cumprod along it": lambda m: T.cumprod(m, axis=1),
    "cumprod": lambda m: T.cumprod(m, axis=0),
    "diag": lambda m: T.diag(m[:, 0]),
    "concatenate": lambda m: T.concatenate([m, 2 * m]),
}


@pytest.mark.parametrize("reduce", [T.mean, T.sum, T.max], ids=["mean", "sum", "max"])
@pytest.mark.parametrize("name", PARTS)
def test_gradients(name: str, reduce: Callable[..., Any], device: str) -> None:
    w = T.dmatrix("w")
    m = reduce(w, axis=1, keepdims=True)
    cost = (w**2).sum() + (w * m).sum() + (PARTS[name](m) ** 2).sum()
    gradient = evaluate(device, [w], T.grad(cost, w), W)
    direction, step = np.random.default_rng(1).normal(size=W.shape), 1e-6
    after, before = (evaluate("reference", [w], cost, W + s * step * direction) for s in (1, -1))
    slope = (after - before) / (2 * step)
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-6)


@pytest.mark.parametrize("name", [n for n in PARTS if n not in ("sort", "a mask")])
def test_values(name: str, device: str) -> None:
    """Zeros with some elements written, added to what stretches them."""
    x, v = T.dmatrix("x"), T.dmatrix("v")
    column = T.addbroadcast(v, 1)
    places = T.grad(PARTS[name](column).sum(), column)
    a, b = np.arange(12.0).reshape(3, 4), np.array([[1.0], [2.0], [3.0]])
    right = a + evaluate("reference", [v], places, b)
    np.testing.assert_allclose(evaluate(device, [x, v], x + places, a, b), right)
    np.testing.assert_allclose(evaluate(device, [x, v], x - places, a, b), 2 * a - right)
