"""The book's networks in plain NumPy, forward and backward written out by hand.

An independent implementation of network3, to compare costs and weights with.
Convolutions add their terms in one order at every position, so equal patches give
equal values, and ties in max-pool windows are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

# The function of z, and its slope from z and the value a.
ACTIVATIONS: dict[str, tuple[Callable[[Array], Array], Callable[[Array, Array], Array]]] = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda z, a: a * (1 - a)),
    "relu": (lambda z: np.where(z > 0, z, 0 * z), lambda z, a: (z > 0).astype(z.dtype)),
    "tanh": (np.tanh, lambda z, a: 1 - a**2),
    "linear": (lambda z: z, lambda z, a: np.ones_like(z)),
}


@dataclass
class Conv:
    w: Array
    b: Array
    pool: tuple[int, int] = (2, 2)
    act: str = "sigmoid"
    image: tuple[int, int, int] = (1, 28, 28)

    def forward(self, inpt: Array) -> Array:
        self.x = inpt.reshape(-1, *self.image)
        flipped = self.w[:, :, ::-1, ::-1]
        _, maps, height, width = flipped.shape
        rows, columns = self.image[1] - height + 1, self.image[2] - width + 1
        z = np.zeros((len(self.x), len(flipped), rows, columns))
        for c in range(maps):
            for r in range(height):
                for s in range(width):
                    patch = self.x[:, c, r : r + rows, s : s + columns]
                    z += patch[:, None] * flipped[None, :, c, r, s, None, None]
        ph, pw = self.pool
        self.conv_shape = z.shape
        blocks = z[:, :, : rows // ph * ph, : columns // pw * pw]
        blocks = blocks.reshape(*z.shape[:2], rows // ph, ph, columns // pw, pw)
        top = blocks.max(axis=(3, 5), keepdims=True)
        self.winners = blocks == top
        self.z = top[:, :, :, 0, :, 0] + self.b[None, :, None, None]
        self.a = ACTIVATIONS[self.act][0](self.z)
        return self.a

    def backward(self, g: Array) -> tuple[Array, list[Array]]:
        g = g.reshape(self.a.shape) * ACTIVATIONS[self.act][1](self.z, self.a)
        db = g.sum(axis=(0, 2, 3))
        spread = self.winners * g[:, :, :, None, :, None]
        n, o, hb, ph, wb, pw = spread.shape
        gz = np.zeros(self.conv_shape)
        gz[:, :, : hb * ph, : wb * pw] = spread.reshape(n, o, hb * ph, wb * pw)
        dw, dx = np.zeros_like(self.w), np.zeros_like(self.x)
        _, maps, height, width = self.w.shape
        rows, columns = self.conv_shape[2:]
        for c in range(maps):
            for r in range(height):
                for s in range(width):
                    patch = self.x[:, c, r : r + rows, s : s + columns]
                    dw[:, c, -1 - r, -1 - s] = np.einsum("nij,noij->o", patch, gz)
                    back = np.einsum("noij,o->nij", gz, self.w[:, c, -1 - r, -1 - s])
                    dx[:, c, r : r + rows, s : s + columns] += back
        return dx, [dw, db]


@dataclass
class Dense:
    w: Array
    b: Array
    act: str = "sigmoid"

    def forward(self, inpt: Array) -> Array:
        self.x = inpt.reshape(len(inpt), -1)
        self.z = self.x @ self.w + self.b
        self.a = ACTIVATIONS[self.act][0](self.z)
        return self.a

    def backward(self, g: Array) -> tuple[Array, list[Array]]:
        g = g * ACTIVATIONS[self.act][1](self.z, self.a)
        return g @ self.w.T, [self.x.T @ g, g.sum(axis=0)]


class NumpyNet:
    """Layers of the two kinds above, the last one linear: its outputs are the logits."""

    def __init__(self, layers: list[Conv | Dense]) -> None:
        self.layers = layers

    def logits(self, x: Array) -> Array:
        for layer in self.layers:
            x = layer.forward(x)
        return x

    def accuracy(self, x: Array, y: Array, batch: int) -> float:
        """Mean over whole batches of the fraction of right answers."""
        parts = [
            np.mean(self.logits(x[k : k + batch]).argmax(axis=1) == y[k : k + batch])
            for k in range(0, len(x) // batch * batch, batch)
        ]
        return float(np.mean(parts))

    def step(self, x: Array, y: Array, eta: float, lmbda: float, batches: int) -> float:
        """One step of SGD; returns the cost before it."""
        z = self.logits(x)
        z = z - z.max(axis=1, keepdims=True)
        log_p = z - np.log(np.exp(z).sum(axis=1, keepdims=True))
        picked = log_p[np.arange(len(y)), y]
        squares = sum((layer.w**2).sum() for layer in self.layers)
        g = np.exp(log_p)
        g[np.arange(len(y)), y] -= 1
        g /= len(y)
        grads = []
        for layer in reversed(self.layers):
            g, both = layer.backward(g)
            grads.append(both)
        for layer, (dw, db) in zip(reversed(self.layers), grads, strict=True):
            layer.w = layer.w - eta * (dw + lmbda * layer.w / batches)
            layer.b = layer.b - eta * db
        return float(-picked.mean() + 0.5 * lmbda * squares / batches)
