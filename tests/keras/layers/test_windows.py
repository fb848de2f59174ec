"""Convolutions and pools against sums and maxima over windows in NumPy, on any sizes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import keras
from tinygrad_mnist.gradient import verify_grad
from tinygrad_mnist.keras.layers.windows import same_padding

Array = np.ndarray[Any, Any]
PAIRS = st.tuples(st.integers(1, 5), st.integers(1, 5))
IMAGES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 3))


def windows(x: Array, size: Any, strides: Any, padding: str, fill: float) -> Array:
    """(batch, rows, columns, channels, height, width): the windows of padded images."""
    if padding == "same":
        lengths = zip(x.shape[1:3], size, strides, strict=True)
        around = [same_padding(n, k, s) for n, k, s in lengths]
        x = np.pad(x, [(0, 0), *around, (0, 0)], constant_values=fill)
    found = np.lib.stride_tricks.sliding_window_view(x, size, (1, 2))
    return found[:, :: strides[0], :: strides[1]]


@given(IMAGES, PAIRS, PAIRS, st.sampled_from(["valid", "same"]), st.sampled_from([1, 2, 3]))
@settings(max_examples=40, deadline=None)
def test_convolution(shape: Any, size: Any, strides: Any, padding: str, filters: int) -> None:
    if padding == "valid" and (size[0] > shape[0] or size[1] > shape[1]):
        return
    rng = np.random.default_rng(0)
    layer = keras.layers.Conv2D(filters, size, strides, padding, bias_initializer="ones")
    x = rng.normal(size=(2, *shape)).astype("float32")
    y = layer(x)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (*size, shape[2], filters)
    expected = np.einsum("nijckl,klcf->nijf", windows(x, size, strides, padding, 0.0), kernel)
    np.testing.assert_allclose(y, expected + bias, rtol=1e-5, atol=1e-5)
    assert layer.compute_output_shape((None, *shape)) == (None, *y.shape[1:])


@given(IMAGES, PAIRS, st.none() | PAIRS, st.sampled_from(["valid", "same"]))
@settings(max_examples=40, deadline=None)
@pytest.mark.parametrize("kind", ["MaxPooling2D", "AveragePooling2D"])
def test_pool(kind: str, shape: Any, size: Any, strides: Any, padding: str) -> None:
    if padding == "valid" and (size[0] > shape[0] or size[1] > shape[1]):
        return
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype("float32")
    layer = getattr(keras.layers, kind)(size, strides, padding)
    function: Callable[..., Any] = np.nanmax if kind == "MaxPooling2D" else np.nanmean
    expected = function(windows(x, size, strides or size, padding, np.nan), (4, 5))
    y = layer(x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    assert layer.output_shape == (None, *y.shape[1:])


@pytest.mark.parametrize("kind", ["MaxPooling2D", "AveragePooling2D"])
@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("size", "strides"), [(2, 2), (3, 2), (2, 1), ((4, 1), (1, 3))])
def test_gradient_of_a_pool(
    kind: str, padding: str, size: Any, strides: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(theano.config, "floatX", "float64")
    layer = getattr(keras.layers, kind)(size, strides, padding)
    layer.input_shape = (None, 7, 5, 2)
    x = np.random.default_rng(0).permutation(140).reshape(2, 7, 5, 2) / 10.0
    verify_grad(layer, [x], rng=np.random.default_rng(1))


def test_gradients_of_an_unevenly_padded_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(theano.config, "floatX", "float64")
    layer = keras.layers.Conv2D(2, (4, 3), (2, 1), "same")
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 2))
    layer(x)
    verify_grad(layer, [x], rng=np.random.default_rng(1))
    v = T.tensor4("v", dtype="float64")
    by_kernel = theano.function([v], T.grad(T.sum(layer(v) ** 2), layer.kernel))(x)
    value = layer.get_weights()
    h, i = 1e-6, (3, 1, 1, 0)
    costs = []
    for step in (h, -h):
        kernel = value[0].copy()
        kernel[i] += step
        layer.set_weights([kernel, value[1]])
        costs.append(float((layer(x) ** 2).sum()))
    assert by_kernel[i[3], i[2], i[0], i[1]] == pytest.approx(
        (costs[0] - costs[1]) / (2 * h), rel=1e-5
    )


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("window", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("n", [1, 2, 5, 6, 28])
def test_same_padding_gives_a_window_per_stride(n: int, window: int, stride: int) -> None:
    before, behind = same_padding(n, window, stride)
    assert 0 <= behind - before <= 1
    assert (n + before + behind - window) // stride + 1 >= -(-n // stride)
    exact = max(0, (-(-n // stride) - 1) * stride + window - n)
    assert before + behind == exact
