"""The networks of chapter 6 of Nielsen's book, with its training settings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinygrad_mnist.graph.variables import Variable
from tinygrad_mnist.network3 import (
    Activation,
    ConvPoolLayer,
    Data,
    FullyConnectedLayer,
    Network,
    ReLU,
    SoftmaxLayer,
    size,
)
from tinygrad_mnist.tensor.nnet import sigmoid
from tinygrad_mnist.training import History
from tinygrad_mnist.training.schedule import annealed

Layers = list[Any]


@dataclass(frozen=True)
class Recipe:
    """How the book builds and trains one of its networks.

    name: for `book_net` and the command line.
    summary: one line on the architecture.
    layers: makes the layers for a mini-batch size.
    eta, lmbda, epochs: the book's settings, for mini-batches of 10.
    peak: highest learning rate of a short run, which anneals; see `training.schedule`. None if no
        better rate than the book's is known for a short run.
    """

    name: str
    summary: str
    layers: Callable[[int], Layers]
    eta: float
    lmbda: float
    epochs: int
    peak: float | None = None


@dataclass(frozen=True)
class BookNet:
    """A network of the book, made, with its recipe."""

    network: Network
    recipe: Recipe

    def train(
        self,
        training_data: Data,
        validation_data: Data,
        test_data: Data | None,
        epochs: int | None = None,
        anneal: bool = False,
        **options: Any,
    ) -> History:
        """`network.SGD` with the recipe's eta and lmbda, and its epochs unless given.

        anneal: use a rate that rises to the recipe's `peak` and falls to 0 instead of eta.
        options: the keyword arguments `progress` and `quiet` of SGD.

        Raises ValueError where the recipe has no peak to anneal from.
        """
        recipe, batch = self.recipe, self.network.mini_batch_size
        epochs = recipe.epochs if epochs is None else epochs
        eta: float | Variable = recipe.eta
        if anneal:
            if recipe.peak is None:
                raise ValueError(f"the network {recipe.name!r} has no annealed rate")
            eta = annealed(recipe.peak, max(1, epochs * (size(training_data) // batch)))
        return self.network.SGD(
            training_data,
            epochs,
            batch,
            eta,
            validation_data,
            test_data,
            self.recipe.lmbda,
            **options,
        )


def _fc(mini_batch_size: int) -> Layers:
    return [FullyConnectedLayer(n_in=784, n_out=100), SoftmaxLayer(n_in=100, n_out=10)]


def _conv1(mini_batch_size: int) -> Layers:
    return [
        ConvPoolLayer(filter_shape=(20, 1, 5, 5), image_shape=(mini_batch_size, 1, 28, 28)),
        FullyConnectedLayer(n_in=20 * 12 * 12, n_out=100),
        SoftmaxLayer(n_in=100, n_out=10),
    ]


def _two_convolutions(mini_batch_size: int, activation_fn: Activation) -> Layers:
    return [
        ConvPoolLayer(
            filter_shape=(20, 1, 5, 5),
            image_shape=(mini_batch_size, 1, 28, 28),
            activation_fn=activation_fn,
        ),
        ConvPoolLayer(
            filter_shape=(40, 20, 5, 5),
            image_shape=(mini_batch_size, 20, 12, 12),
            activation_fn=activation_fn,
        ),
    ]


def _conv2(mini_batch_size: int, activation_fn: Activation = sigmoid) -> Layers:
    return [
        *_two_convolutions(mini_batch_size, activation_fn),
        FullyConnectedLayer(n_in=40 * 4 * 4, n_out=100, activation_fn=activation_fn),
        SoftmaxLayer(n_in=100, n_out=10),
    ]


def _conv2_relu(mini_batch_size: int) -> Layers:
    return _conv2(mini_batch_size, ReLU)


def _dropout(mini_batch_size: int) -> Layers:
    return [
        *_two_convolutions(mini_batch_size, ReLU),
        FullyConnectedLayer(n_in=40 * 4 * 4, n_out=1000, activation_fn=ReLU, p_dropout=0.5),
        FullyConnectedLayer(n_in=1000, n_out=1000, activation_fn=ReLU, p_dropout=0.5),
        SoftmaxLayer(n_in=1000, n_out=10, p_dropout=0.5),
    ]


#: The book's networks by name, in the book's order.
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("fc", "100 sigmoid neurons", _fc, eta=0.1, lmbda=0.0, epochs=60),
        Recipe(
            "conv1",
            "conv 20 of 5x5, 100 sigmoid",
            _conv1,
            eta=0.1,
            lmbda=0.0,
            epochs=60,
            peak=0.4,
        ),
        Recipe("conv2", "conv 20, conv 40, 100 sigmoid", _conv2, eta=0.1, lmbda=0.0, epochs=60),
        Recipe(
            "conv2-relu",
            "conv 20, conv 40, 100, ReLU",
            _conv2_relu,
            eta=0.03,
            lmbda=0.1,
            epochs=60,
            peak=0.08,
        ),
        Recipe(
            "dropout",
            "conv 20, conv 40, 1000, 1000, ReLU, dropout 0.5 (the book: on expanded data)",
            _dropout,
            eta=0.03,
            lmbda=0.0,
            epochs=40,
        ),
    )
}


def book_net(name: str, mini_batch_size: int = 10, seed: int | None = None) -> BookNet:
    """One of the book's networks: fc, conv1, conv2, conv2-relu or dropout.

    seed: as in `Network`; None draws the weights from `numpy.random`.

    Raises ValueError, listing the names, for another name.
    """
    if name not in RECIPES:
        raise ValueError(f"no network {name!r}; there are {', '.join(RECIPES)}")
    recipe = RECIPES[name]
    return BookNet(Network(recipe.layers(mini_batch_size), mini_batch_size, seed), recipe)
