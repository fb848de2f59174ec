# ruff: noqa: NPY002 (the book draws from NumPy's global generator)
from __future__ import annotations

import numpy as np
import pytest
from helpers.small_mnist import small_arrays

from tinygrad_mnist import booknets, models
from tinygrad_mnist.booknets import RECIPES, book_net
from tinygrad_mnist.config import config
from tinygrad_mnist.functions import function
from tinygrad_mnist.network3 import share_data

CONV = [(20, 1, 5, 5), (20,), (40, 20, 5, 5), (40,)]
SHAPES = {
    "fc": [(784, 100), (100,), (100, 10), (10,)],
    "conv1": [*CONV[:2], (2880, 100), (100,), (100, 10), (10,)],
    "conv2": [*CONV, (640, 100), (100,), (100, 10), (10,)],
    "conv2-relu": [*CONV, (640, 100), (100,), (100, 10), (10,)],
    "dropout": [*CONV, (640, 1000), (1000,), (1000, 1000), (1000,), (1000, 10), (10,)],
}
SETTINGS = {  # eta, lmbda, epochs
    "fc": (0.1, 0.0, 60),
    "conv1": (0.1, 0.0, 60),
    "conv2": (0.1, 0.0, 60),
    "conv2-relu": (0.03, 0.1, 60),
    "dropout": (0.03, 0.0, 40),
}


@pytest.mark.parametrize("name", RECIPES)
def test_shapes_and_settings_are_the_books(name: str) -> None:
    net = book_net(name, 3, seed=0)
    assert [param.get_value(borrow=True).shape for param in net.network.params] == SHAPES[name]
    assert (net.recipe.eta, net.recipe.lmbda, net.recipe.epochs) == SETTINGS[name]
    x = np.random.default_rng(0).random((3, 784)).astype(config.floatX)
    probabilities = function([net.network.x], net.network.output)(x)
    assert probabilities.shape == (3, 10)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["conv2-relu", "dropout"])
def test_relu_and_dropout_where_the_book_has_them(name: str) -> None:
    layers = book_net(name).network.layers
    assert all(layer.activation_fn.__name__ == "ReLU" for layer in layers[:-1])
    rates = [getattr(layer, "p_dropout", 0.0) for layer in layers]
    assert rates == ([0.0, 0.0, 0.5, 0.5, 0.5] if name == "dropout" else [0.0] * 4)


def test_seed_is_that_of_the_network() -> None:
    np.random.seed(4)
    expected = book_net("conv1").network.params
    for a, b in zip(book_net("conv1", seed=4).network.params, expected, strict=True):
        np.testing.assert_array_equal(a.get_value(), b.get_value())


@pytest.mark.parametrize("name", RECIPES)
def test_train_uses_the_recipe(name: str) -> None:
    files = small_arrays(training=30)
    x = files["train-images-idx3-ubyte"].reshape(30, 784) / np.float32(256)
    pair = share_data([(x, files["train-labels-idx1-ubyte"])])[0]
    net, by_hand = book_net(name, seed=1), book_net(name, seed=1).network
    history = net.train(pair, pair, pair, epochs=2, quiet=True)
    eta, lmbda, _ = SETTINGS[name]
    expected = by_hand.SGD(pair, 2, 10, eta, pair, pair, lmbda, quiet=True)
    np.testing.assert_array_equal(history.costs, expected.costs)
    assert history.epochs == 2


def test_an_unknown_name() -> None:
    with pytest.raises(ValueError, match="no network 'resnet'; there are fc, conv1, conv2, conv2-"):
        book_net("resnet")


def test_the_former_name() -> None:
    assert all(getattr(models, name) is getattr(booknets, name) for name in models.__all__)
