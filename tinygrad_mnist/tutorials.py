"""The models of four well-known tutorials for Keras, by name, as they train there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinygrad_mnist.datasets import FASHION
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.keras import Input, Sequential
from tinygrad_mnist.keras.callbacks import LearningRateScheduler
from tinygrad_mnist.keras.layers import (
    Activation,
    BatchNormalization,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling2D,
    Layer,
    MaxPooling2D,
)

MNIST = "mnist"
CLASSES = 10
_IMAGE = (28, 28, 1)


@dataclass(frozen=True)
class Tutorial:
    """A model, and how it is trained.

    layers: makes them. optimizer: a name, or Keras's dict of name and arguments. dataset: the one
    that the text trains on. rate_of: the learning rate of an epoch, counted from 0; None leaves the
    optimizer's.
    """

    name: str
    summary: str
    layers: Callable[[], list[Layer]]
    epochs: int
    batch_size: int = 128
    optimizer: Any = "adam"
    dataset: str = MNIST
    rate_of: Callable[[int], float] | None = None

    def model(self) -> Sequential:
        """The model, compiled for labels that are integers, with new weights."""
        model = Sequential([Input(_IMAGE), *self.layers()], name=self.name.replace("-", "_"))
        model.compile(self.optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
        return model

    def callbacks(self) -> list[Any]:
        """Those of `fit` that its training needs."""
        return [] if self.rate_of is None else [LearningRateScheduler(self.rate_of)]


def decaying(factor: float) -> Callable[[int], float]:
    """The rate 0.01 in the first epoch, and in each later one `factor` times that before."""
    return lambda epoch: 0.01 * factor**epoch


def _dense(*units: int, activation: str = "relu", dropout: float = 0.0) -> list[Layer]:
    hidden: list[Layer] = []
    for n in units:
        hidden += [Dense(n, activation=activation), *([Dropout(dropout)] if dropout else [])]
    return [Flatten(), *hidden, Dense(CLASSES, activation="softmax")]


def _convnet() -> list[Layer]:
    return [
        Conv2D(32, 3, activation="relu"),
        MaxPooling2D(),
        Conv2D(64, 3, activation="relu"),
        MaxPooling2D(),
        Flatten(),
        Dropout(0.5),
        Dense(CLASSES, activation="softmax"),
    ]


def _old_convnet() -> list[Layer]:
    return [
        Conv2D(32, 3, activation="relu"),
        Conv2D(64, 3, activation="relu"),
        MaxPooling2D(),
        Dropout(0.25),
        Flatten(),
        Dense(128, activation="relu"),
        Dropout(0.5),
        Dense(CLASSES, activation="softmax"),
    ]


def _deep() -> list[Layer]:
    blocks: list[Layer] = []
    for filters in (64, 128, 256):
        blocks += [Conv2D(filters, 3, padding="same", activation="relu") for _ in range(2)]
        blocks += [MaxPooling2D(), Dropout(0.25)]
    return [
        *blocks,
        Flatten(),
        Dense(768, activation="relu"),
        Dropout(0.5),
        Dense(256, activation="relu"),
        Dense(CLASSES, activation="softmax"),
    ]


def _fashion() -> list[Layer]:
    return [
        Conv2D(64, 3, activation="relu"),
        MaxPooling2D(),
        Conv2D(64, 3, activation="relu"),
        MaxPooling2D(),
        Flatten(),
        Dense(128, activation="relu"),
        Dense(CLASSES, activation="softmax"),
    ]


def _strided(dropout: bool = False) -> list[Layer]:
    return [
        Conv2D(12, 3, padding="same", activation="relu"),
        Conv2D(24, 6, strides=2, padding="same", activation="relu"),
        Conv2D(32, 6, strides=2, padding="same", activation="relu"),
        Flatten(),
        Dense(200, activation="relu"),
        *([Dropout(0.4)] if dropout else []),
        Dense(CLASSES, activation="softmax"),
    ]


def _normalised() -> list[Layer]:
    convolutions = (
        Conv2D(12, 3, padding="same", use_bias=False),
        Conv2D(24, 6, strides=2, padding="same", use_bias=False),
        Conv2D(32, 6, strides=2, padding="same", use_bias=False),
    )
    return [
        *(part for convolution in convolutions for part in _with_norm(convolution)),
        Flatten(),
        *_with_norm(Dense(200, use_bias=False)),
        Dropout(0.3),
        Dense(CLASSES, activation="softmax"),
    ]


def _global_average() -> list[Layer]:
    convolutions = (
        Conv2D(16, 3, padding="same", use_bias=False),
        Conv2D(32, 6, strides=2, padding="same", use_bias=False),
        Conv2D(48, 6, strides=2, padding="same", use_bias=False),
    )
    return [
        *(part for convolution in convolutions for part in _with_norm(convolution)),
        Conv2D(CLASSES, 1),
        GlobalAveragePooling2D(),
        Activation("softmax"),
    ]


def _with_norm(layer: Layer) -> list[Layer]:
    """A layer without biases, its outputs normalised, ReLU."""
    return [layer, BatchNormalization(scale=False), Activation("relu")]


#: The models by name. The first three are of Keras's convnet for MNIST, then one of a deep convnet
#: on a GPU, two of Fashion-MNIST, and those of a codelab from one layer to 99.5 %.
TUTORIALS = {
    tutorial.name: tutorial
    for tutorial in (
        Tutorial("convnet", "conv 32, conv 64, pools, dropout 0.5", _convnet, 12),
        Tutorial("convnet-dense", "128 ReLU", lambda: _dense(128), 5),
        Tutorial(
            "convnet-old",
            "conv 32, conv 64, pool, dropout, 128 ReLU, with Adadelta",
            _old_convnet,
            12,
            optimizer={"class_name": "Adadelta", "config": {"learning_rate": 1.0}},
        ),
        Tutorial("deep", "conv 64-64, 128-128, 256-256, 768 and 256 ReLU, dropout", _deep, 8),
        Tutorial("fashion-dense", "128 ReLU", lambda: _dense(128), 5, 32, dataset=FASHION),
        Tutorial("fashion", "conv 64, conv 64, pools, 128 ReLU", _fashion, 5, 32, dataset=FASHION),
        Tutorial("softmax", "one layer, with SGD", _dense, 10, optimizer="sgd"),
        Tutorial(
            "sigmoid",
            "200 and 60 sigmoid, with SGD",
            lambda: _dense(200, 60, activation="sigmoid"),
            10,
            optimizer="sgd",
        ),
        Tutorial("relu", "200 and 60 ReLU", lambda: _dense(200, 60), 10),
        Tutorial(
            "relu-decay",
            "200 and 60 ReLU, rate 0.01 * 0.6**epoch",
            lambda: _dense(200, 60),
            10,
            rate_of=decaying(0.6),
        ),
        Tutorial(
            "relu-dropout",
            "the same with dropout 0.25",
            lambda: _dense(200, 60, dropout=0.25),
            10,
            rate_of=decaying(0.6),
        ),
        Tutorial(
            "strided",
            "conv 12, 24 and 32, two with stride 2, 200 ReLU",
            _strided,
            10,
            rate_of=decaying(0.6),
        ),
        Tutorial(
            "strided-dropout",
            "the same with dropout 0.4",
            lambda: _strided(dropout=True),
            10,
            rate_of=decaying(0.6),
        ),
        Tutorial(
            "batch-norm",
            "the same with batch normalisation and dropout 0.3",
            _normalised,
            10,
            64,
            rate_of=decaying(0.666),
        ),
        Tutorial(
            "global-average",
            "conv 16, 32, 48 with batch normalisation, averages for a dense layer",
            _global_average,
            10,
            64,
            rate_of=decaying(0.666),
        ),
    )
}


def tutorial_net(name: str) -> Sequential:
    """One of the models, compiled.

    Raises ArgumentError, listing the names, for another name.
    """
    if name not in TUTORIALS:
        raise ArgumentError(f"no model {name!r}; there are {', '.join(TUTORIALS)}")
    return TUTORIALS[name].model()
