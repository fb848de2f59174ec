"""Pools of images with many equal maxima: gradients and first losses are Keras's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import keras_ties as cases
from helpers.keras_layers import Array, glorot

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import keras

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "ties.json").read_text())


def losses(name: str, rule: int) -> list[float]:
    model = keras.Sequential([keras.Input(shape=cases.IMAGES)])
    for kind, options in cases.MODELS[name]:
        model.add(getattr(keras.layers, kind)(**options))
    model.set_weights(glorot([w.shape for w in model.get_weights()]))
    kind, options = cases.RULES[rule]
    optimizer = getattr(keras.optimizers, kind)(**options)
    model.compile(optimizer, loss="sparse_categorical_crossentropy")
    steps = zip(*cases.training_data(), strict=True)
    return [float(np.ravel(model.train_on_batch(x, y))[0]) for x, y in steps]


@pytest.mark.parametrize("rule", range(len(cases.RULES)))
@pytest.mark.parametrize("name", cases.MODELS)
def test_first_losses(name: str, rule: int) -> None:
    np.testing.assert_allclose(losses(name, rule), GOLDEN[name][rule], rtol=1e-4)


def slope(layer: Any, x: Array, weights: Array) -> Array:
    """The gradient of sum(layer(x) * weights); images are (n, height, width, channels)."""
    model = keras.Sequential([keras.Input(shape=x.shape[1:]), layer])
    images, g = T.tensor4("x", dtype="float32"), T.tensor4("g", dtype="float32")
    y = model(images)
    (gradient,) = T.grad(T.sum(y * g), [images])
    result: Array = theano.function([images, g], gradient)(x, weights)
    return result


def tied(*shape: int) -> Array:
    """A constant background, and a few pixels of small integers."""
    rng = np.random.default_rng(0)
    return np.where(rng.random(shape) < 0.7, 0, rng.integers(-1, 3, shape)).astype("float32")


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize("stride", [None, 1, 2, (3, 2)])
@pytest.mark.parametrize("size", [2, 3, (4, 1), (1, 1), (5, 7)])
def test_the_first_pixel_of_a_window_gets_the_gradient(
    size: Any, stride: Any, padding: str
) -> None:
    """The windows of "same" are cut at the borders; a pixel adds up those that it wins."""
    x = tied(2, 11, 12, 3)
    layer = keras.layers.MaxPooling2D(size, stride, padding)
    _, rows, columns, channels = keras.Sequential([keras.Input(x.shape[1:]), layer]).output_shape
    g = np.random.default_rng(1).integers(1, 9, (2, rows, columns, channels)).astype("float32")
    expected = np.zeros_like(x)
    windows = []
    for axis, pooled in ((0, rows), (1, columns)):
        length, k, s = x.shape[1 + axis], layer.pool_size[axis], layer.strides[axis]
        before = max(0, (pooled - 1) * s + k - length) // 2 if padding == "same" else 0
        windows.append([slice(max(0, i * s - before), i * s - before + k) for i in range(pooled)])
    for i, h, w, c in np.ndindex(g.shape):
        part = x[i, windows[0][h], windows[1][w], c]
        row, column = np.unravel_index(part.argmax(), part.shape)
        at = (i, windows[0][h].start + row, windows[1][w].start + column, c)
        expected[at] += g[i, h, w, c]
    np.testing.assert_array_equal(slope(layer, x, g), expected)


def test_the_maxima_of_a_channel_share_the_gradient() -> None:
    x = tied(2, 4, 8, 3)
    x[0, :, :, 0] = 1.5
    g = np.float32([[8, 2, 4], [1, -2, 3]]).reshape(2, 1, 1, 3)
    wins = x == x.max(axis=(1, 2), keepdims=True)
    count = wins.sum(axis=(1, 2), keepdims=True).astype("float32")
    result = slope(keras.layers.GlobalMaxPooling2D(keepdims=True), x, g)
    np.testing.assert_array_equal(result, np.where(wins, g / count, 0))
    assert count.max() == 32
