"""Nets whose activation and cost a user writes by hand, on pixels that are not scaled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.stable import DTYPES

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.config import config
from tinygrad_mnist.network3 import FullyConnectedLayer, Network, SoftmaxLayer, share_data

ACTIVATIONS: dict[str, Callable[[Any], Any]] = {
    "1 / (1 + exp(-z))": lambda z: 1 / (1 + T.exp(-z)),
    "exp(z) / (1 + exp(z))": lambda z: T.exp(z) / (1 + T.exp(z)),
    "tanh": lambda z: (T.exp(z) - T.exp(-z)) / (T.exp(z) + T.exp(-z)),
    "ELU": lambda z: T.switch(z > 0, z, T.exp(z) - 1),
    "softplus": lambda z: T.log(1 + T.exp(z)),
}


class SoftmaxByHand(SoftmaxLayer):
    """The book's output layer, with the softmax written out."""

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        super().set_inpt(inpt, inpt_dropout, mini_batch_size)
        e = T.exp(T.dot(self.inpt_dropout, self.w) + self.b)
        self.output_dropout = e / e.sum(axis=1).dimshuffle(0, "x")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_pixels_from_0_to_255(activation: str, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "floatX", dtype)
    np.random.seed(3)  # noqa: NPY002 (the book draws from it)
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (60, 784)).astype(float)
    (data,) = share_data([(images, rng.integers(0, 10, 60))])
    layers = [
        FullyConnectedLayer(n_in=784, n_out=30, activation_fn=ACTIVATIONS[activation]),
        SoftmaxByHand(n_in=30, n_out=10),
    ]
    net = Network(layers, 10)
    step = net.training_function(data, 1e-3, 0.1)
    costs = step.sweep([i % 6 for i in range(300)])
    assert np.isfinite(costs).all()
    assert all(np.isfinite(p.get_value()).all() for p in net.params)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_sigmoid_by_hand_trains_as_the_function_does(
    dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "floatX", dtype)
    rng = np.random.default_rng(1)
    (data,) = share_data([(rng.random((60, 784)), rng.integers(0, 10, 60))])
    costs = []
    for activation in (T.nnet.sigmoid, ACTIVATIONS["1 / (1 + exp(-z))"]):
        np.random.seed(3)  # noqa: NPY002 (the book draws from it)
        layer = FullyConnectedLayer(n_in=784, n_out=30, activation_fn=activation)
        net = Network([layer, SoftmaxLayer(n_in=30, n_out=10)], 10)
        costs.append(net.training_function(data, 0.1, 0.1).sweep([i % 6 for i in range(100)]))
    np.testing.assert_allclose(costs[1], costs[0], rtol=1e-4 if dtype == "float32" else 1e-10)
    assert costs[0][-1] < costs[0][0]
