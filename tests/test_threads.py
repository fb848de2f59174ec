"""One, two, four or eight threads of the team: the same bits."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.native import TARGETS
from helpers.native import settings as native_settings
from numpy.typing import NDArray

from tinygrad_mnist import _native, config, network3
from tinygrad_mnist.booknets import RECIPES, book_net
from tinygrad_mnist.network3 import (
    Activation,
    ConvPoolLayer,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    sigmoid,
)

BATCH, IMAGES, STEPS = 6, 30, 5
Results = tuple[NDArray[np.floating], list[NDArray[np.floating]]]


def convolutions(activation: Activation) -> list[object]:
    return [
        ConvPoolLayer((8, 1, 5, 5), (BATCH, 1, 28, 28), activation_fn=activation),
        ConvPoolLayer((10, 8, 5, 5), (BATCH, 8, 12, 12), activation_fn=activation),
    ]


def small_layers(name: str) -> list[object]:
    """The architecture of a book net with fewer filters and units."""
    if name == "fc":
        return [FullyConnectedLayer(784, 60), SoftmaxLayer(60, 10)]
    if name == "conv1":
        first = ConvPoolLayer((8, 1, 5, 5), (BATCH, 1, 28, 28))
        return [first, FullyConnectedLayer(8 * 144, 60), SoftmaxLayer(60, 10)]
    if name in ("conv2", "conv2-relu"):
        activation = sigmoid if name == "conv2" else ReLU
        dense = FullyConnectedLayer(160, 60, activation)
        return [*convolutions(activation), dense, SoftmaxLayer(60, 10)]
    return [
        *convolutions(ReLU),
        FullyConnectedLayer(160, 300, ReLU, p_dropout=0.5),
        FullyConnectedLayer(300, 200, ReLU, p_dropout=0.5),
        SoftmaxLayer(200, 10, p_dropout=0.5),
    ]


def train(name: str, target: str, threads: int) -> Results:
    """Costs of the first steps, and the parameters after them."""
    rng = np.random.default_rng(5)
    images = rng.random((IMAGES, 784)) * (rng.random((IMAGES, 784)) < 0.3)  # ties, as in digits
    (data,) = network3.share_data([(images, rng.integers(0, 10, IMAGES))])
    recipe = RECIPES[name]
    net = Network(small_layers(name), BATCH, seed=3)
    config.threads = threads
    with native_settings(target):
        step = net.training_function(data, recipe.eta, recipe.lmbda)
        costs = step.sweep([i % (IMAGES // BATCH) for i in range(STEPS)])
        assert _native.threads() == threads
    return costs, [param.get_value() for param in net.params]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", RECIPES)
def test_training_steps(name: str, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every parameter and every cost, with dropout's masks too."""
    monkeypatch.setattr(config, "device", "cpu")
    costs, params = train(name, target, 1)
    assert len(set(costs.tolist())) == STEPS
    for threads in (2, 4, 8):
        again, moved = train(name, target, threads)
        np.testing.assert_array_equal(again, costs)
        for a, b in zip(moved, params, strict=True):
            np.testing.assert_array_equal(a, b)


def test_small_nets_are_built_as_the_books() -> None:
    for name in RECIPES:
        large = [type(layer) for layer in book_net(name, BATCH).network.layers]
        assert [type(layer) for layer in small_layers(name)] == large
