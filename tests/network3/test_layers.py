"""Layers and networks: initial weights, dropout, attributes, layers of the reader's own."""

# ruff: noqa: NPY002 (the book draws from NumPy's global generator)

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.small_nets import arrays, small_fc

import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import network3
from tinygrad_mnist.config import config
from tinygrad_mnist.functions import function
from tinygrad_mnist.network3 import (
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    linear,
    share_data,
)
from tinygrad_mnist.sharedvalue import shared


def test_initial_weights_are_the_draws_of_numpys_generator(each_float: str) -> None:
    np.random.seed(3)
    layers = [
        ConvPoolLayer(filter_shape=(20, 1, 5, 5), image_shape=(10, 1, 28, 28)),
        ConvPoolLayer(filter_shape=(7, 20, 3, 5), image_shape=(10, 20, 12, 12), poolsize=(2, 4)),
        FullyConnectedLayer(n_in=7 * 5 * 2, n_out=100),
        SoftmaxLayer(n_in=100, n_out=10),
    ]
    rng = np.random.RandomState(3)
    expected = [
        rng.normal(0, np.sqrt(1 / (20 * 25 // 4)), (20, 1, 5, 5)),
        rng.normal(0, 1, 20),
        rng.normal(0, np.sqrt(1 / (7 * 15 // 8)), (7, 20, 3, 5)),
        rng.normal(0, 1, 7),
        rng.normal(0, np.sqrt(1 / 100), (70, 100)),
        rng.normal(0, 1, 100),
        np.zeros((100, 10)),
        np.zeros(10),
    ]
    params = Network(layers, 10).params
    assert len(params) == len(expected)
    for param, value in zip(params, expected, strict=True):
        assert param.get_value().dtype == each_float
        np.testing.assert_array_equal(param.get_value(), value.astype(each_float))
    assert np.random.normal() == rng.normal()


def test_seed_gives_the_weights_of_numpy_random_seed_and_leaves_the_generator() -> None:
    def layers() -> list[Any]:
        return [
            ConvPoolLayer(filter_shape=(2, 1, 3, 3), image_shape=(4, 1, 8, 8)),
            FullyConnectedLayer(18, 5),
            SoftmaxLayer(5, 3),
        ]

    np.random.seed(11)
    expected = Network(layers(), 4)
    np.random.seed(5)
    made = layers()
    state = np.random.get_state()[1].tolist()
    net = Network(made, 4, seed=11)
    assert np.random.get_state()[1].tolist() == state
    for a, b in zip(net.params, expected.params, strict=True):
        np.testing.assert_array_equal(a.get_value(), b.get_value())


def test_relu_and_linear() -> None:
    z = T.vector("z")
    value = np.array([-1, 0, 2], config.floatX)
    relu = function([z], [ReLU(z), T.grad(ReLU(z).sum(), z), linear(z)])
    for got, expected in zip(relu(value), ([0, 0, 2], [0, 0, 1], value), strict=True):
        np.testing.assert_array_equal(got, expected)


def test_dropout_masks_training_and_scales_inference() -> None:
    first = FullyConnectedLayer(40, 30, linear, p_dropout=0.3)
    second = FullyConnectedLayer(30, 30, linear, p_dropout=0.5)
    third = FullyConnectedLayer(30, 30, linear, p_dropout=0.5)
    net = Network([first, second, third, SoftmaxLayer(30, 4)], 20)
    x = np.random.default_rng(0).uniform(1, 2, (20, 40)).astype(config.floatX)
    masked = function(
        [net.x],
        [first.inpt_dropout, second.inpt_dropout, third.inpt_dropout, first.output],
    )
    a, b, c, inference = masked(x)
    assert set(np.unique(a / x)) == {0, 1}
    assert 0.62 < np.mean(a != 0) < 0.78
    assert 0.42 < np.mean(b != 0) < 0.58
    np.testing.assert_array_equal(b != 0, c != 0)  # equal shapes share their mask
    expected = 0.7 * (x @ first.w.get_value()) + first.b.get_value()
    np.testing.assert_allclose(inference, expected, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(masked(x)[0], a)  # another mask at the next step


def test_dropout_of_zero_is_no_dropout() -> None:
    x = T.matrix("x")
    assert network3.dropout_layer(x, 0.0) is x
    with pytest.raises(ValueError, match=r"p_dropout must be in 0\.\.1, not 1\.5"):
        FullyConnectedLayer(3, 4, p_dropout=1.5)


def test_attributes_of_layers_and_network() -> None:
    conv = ConvPoolLayer((2, 1, 3, 3), (4, 1, 8, 8))
    full, soft = FullyConnectedLayer(18, 5), SoftmaxLayer(5, 3)
    net = Network([conv, full, soft], 4)
    assert net.mini_batch_size == 4
    assert net.layers == [conv, full, soft]
    assert net.params == [conv.w, conv.b, full.w, full.b, soft.w, soft.b]
    assert net.output is soft.output
    assert net.output_dropout is soft.output_dropout
    assert conv.output_dropout is conv.output
    x = np.random.default_rng(0).random((4, 64)).astype(config.floatX)
    conv_out, out, y_out, cost, accuracy = function(
        [net.x, net.y],
        [conv.output, net.output, soft.y_out, soft.cost(net), soft.accuracy(net.y)],
    )(x, np.zeros(4, np.int32))
    assert conv_out.shape == (4, 2, 3, 3)
    np.testing.assert_allclose(out, np.full((4, 3), 1 / 3), rtol=1e-6)
    np.testing.assert_array_equal(y_out, [0, 0, 0, 0])  # the first of equal values
    assert float(cost) == pytest.approx(np.log(3), rel=1e-6)
    assert float(accuracy) == 1.0


def test_functions_stay_on_the_network() -> None:
    data = share_data(arrays((40, 9, 12)))
    net = small_fc()
    net.SGD(data[0], 1, 4, 0.5, data[1], data[2], quiet=True)
    labels = np.asarray(function([], data[2][1])())
    right = [np.mean(net.test_mb_predictions(j) == labels[4 * j : 4 * j + 4]) for j in range(3)]
    assert [float(net.test_mb_accuracy(j)) for j in range(3)] == pytest.approx(right)
    assert float(net.validate_mb_accuracy(0)) in (0, 0.25, 0.5, 0.75, 1)
    assert "gemm" in str(net.train_mb.plan)
    before = net.params[0].get_value()
    assert np.isfinite(net.train_mb(0))
    assert not np.array_equal(before, net.params[0].get_value())


class Scale:
    """A layer that multiplies by a learnt number; it has neither w nor sizes."""

    def __init__(self) -> None:
        self.factor = shared(np.asarray(1.0, config.floatX), name="factor")
        self.params = [self.factor]

    def set_inpt(self, inpt: Any, inpt_dropout: Any, mini_batch_size: int) -> None:
        self.output = self.factor * inpt
        self.output_dropout = self.factor * inpt_dropout


def test_a_layer_of_the_readers_own() -> None:
    data = share_data(arrays((40, 8, 8)))
    scale = Scale()
    net = Network([scale, FullyConnectedLayer(12, 7), SoftmaxLayer(7, 5)], 4)
    net.SGD(data[0], 3, 4, 0.5, data[1], data[2], lmbda=0.1, quiet=True)
    assert float(scale.factor.get_value()) != 1.0
    with pytest.raises(TypeError, match=r"needs a method initialize\(rng\), which layer 0 \(Scale"):
        Network([Scale(), SoftmaxLayer(12, 5)], 4, seed=1)
