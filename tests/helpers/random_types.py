"""Random expressions of mixed dtypes and broadcast shapes, for what a pass over graphs must keep.

They consist of what the stability pass reads and replaces: exponentials, logarithms, probabilities,
quotients, powers, reductions, views, joins, switches and casts, with numbers of all kinds.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tinygrad_mnist.tensor as T  # noqa: N812

LEAVES: dict[str, tuple[str, tuple[int, int]]] = {
    "f": ("float32", (2, 3)),
    "f_row": ("float32", (1, 3)),
    "d": ("float64", (2, 3)),
    "d_column": ("float64", (2, 1)),
    "i": ("int8", (2, 3)),
    "l": ("int64", (1, 3)),
    "b": ("bool", (2, 1)),
}
NUMBERS: list[Any] = [
    *(0.1, 0.5, 1.0, 3.0, 1, 2, -1, 0, np.float64(0.5), np.float64(1), np.float32(0.1)),
    *(np.float32(2), np.int64(2), np.int8(1)),
]
POWERS: list[Any] = [
    2,
    -1,
    0.5,
    -0.5,
    1.5,
    np.float64(0.5),
    np.int64(-2),
    np.float32(3),
    np.int8(2),
]


def _rows(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """f of arrays with two rows; a row that broadcasts stays as it is."""
    return lambda v: v if v.broadcastable[0] else f(v)


UNARY: list[Callable[[Any], Any]] = [
    *(T.exp, T.exp, T.exp, T.log, T.log, T.log1p, T.expm1, T.exp2, T.log2, T.sqrt, T.sqr, T.tanh),
    *(T.nnet.sigmoid, T.nnet.softplus, T.nnet.softmax, abs, lambda v: -v),
    *(
        lambda v: 1 - v,
        lambda v: 1 / v,
        lambda v: v.T.T,
    ),
    *(_rows(lambda v: v[::-1]), _rows(lambda v: v[[1, 1]])),
    _rows(lambda v: T.concatenate([v[1:], v[:1]])),
    *(lambda v: T.cast(v, "float32"), lambda v: T.cast(v, "float64")),
]
REDUCTIONS: list[Callable[..., Any]] = [T.sum, T.sum, T.mean, T.max, T.prod]


class Expression:
    """A random expression; its leaves are the matrices `inputs`, by their names in LEAVES."""

    def __init__(self, seed: int, depth: int = 5) -> None:
        self.random = random.Random(seed)
        self.inputs = {
            name: T.tensor(dtype, tuple(n == 1 for n in shape), name)
            for name, (dtype, shape) in LEAVES.items()
        }
        self._known: list[Any] = []
        self.value = T.as_tensor_variable(self._draw(depth))

    def _draw(self, depth: int) -> Any:
        if not depth:
            return self.random.choice(list(self.inputs.values()))
        if self._known and self.random.random() < 0.2:
            return self.random.choice(self._known)
        v = self._node(depth - 1)
        self._known.append(v)
        return v

    def _node(self, depth: int) -> Any:
        a = self._draw(depth)
        kind = self.random.random()
        if kind < 0.4:
            f = self.random.choice(UNARY)
            return f(self._float(a))
        if kind < 0.5:
            axis = self.random.choice([0, 1])
            return self.random.choice(REDUCTIONS)(a, axis=axis, keepdims=True)
        if kind < 0.56:
            return self._float(a) ** self.random.choice(POWERS)
        if kind < 0.66:
            b = self.random.choice(NUMBERS)
        else:
            b = self._draw(self.random.randint(0, depth))
        if kind > 0.93:
            return T.switch(self.inputs["d"] > 0, a, b)
        if self.random.random() < 0.5:
            a, b = b, a
        return self._arithmetic(self._float(a), self._float(b))

    def _arithmetic(self, a: Any, b: Any) -> Any:
        name = self.random.choice(["add", "add", "sub", "mul", "mul", "true_div", "true_div"])
        return getattr(T, name)(a, b)

    @staticmethod
    def _float(v: Any) -> Any:
        """A bool has no difference and no negative."""
        return T.cast(v, "int8") if getattr(v, "dtype", "") == "bool" else v


def inputs(seed: int) -> dict[str, NDArray[Any]]:
    """Values for the leaves, of moderate size."""
    rng = np.random.default_rng(seed)
    values: dict[str, NDArray[Any]] = {}
    for name, (dtype, shape) in LEAVES.items():
        draw = rng.uniform(-2, 2, shape) if dtype[0] == "f" else rng.integers(0, 3, shape)
        values[name] = draw.astype(dtype)
    return values
