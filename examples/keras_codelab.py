"""From one layer to 99.5 % of MNIST's test digits, in steps.

    python examples/keras_codelab.py [--model NAME] [--epochs 10] [--images 60000] [--plot]

Without --model all steps run, in this order:

    softmax          one layer, with SGD: about 91 %
    sigmoid          three layers; sigmoids and SGD are slower than one layer
    relu             ReLU and Adam
    decay            a learning rate that falls from epoch to epoch
    dropout          the same with dropout: no better, but it doesn't overfit
    conv             convolutions, two with stride 2, in place of the first dense layers
    conv_dropout     the same with dropout
    batch_norm       batch normalisation, and mini-batches of 64
    global_average   averages of ten maps in place of the dense layers

It needs MNIST, which it finds or downloads. On two cores the dense nets take about a second per
epoch, the others ten to twenty. --plot draws the curves of each step into codelab_NAME.png, and
needs matplotlib.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from tinygrad_mnist import keras, plots
from tinygrad_mnist.keras import layers

L = list[Any]


def dense_net(activation: str, dropout: float = 0.0) -> L:
    def drop() -> L:
        return [layers.Dropout(dropout)] if dropout else []

    return [
        layers.Dense(200, activation=activation),
        *drop(),
        layers.Dense(60, activation=activation),
        *drop(),
        layers.Dense(10, activation="softmax"),
    ]


def conv_net(dropout: float = 0.0) -> L:
    return [
        layers.Reshape((28, 28, 1)),
        layers.Conv2D(12, kernel_size=3, padding="same", activation="relu"),
        layers.Conv2D(24, kernel_size=6, strides=2, padding="same", activation="relu"),
        layers.Conv2D(32, kernel_size=6, strides=2, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dense(200, activation="relu"),
        *([layers.Dropout(dropout)] if dropout else []),
        layers.Dense(10, activation="softmax"),
    ]


def normalised(layer: Any) -> L:
    """A layer without biases, batch normalisation without a scale, which ReLU doesn't need."""
    return [layer, layers.BatchNormalization(scale=False, center=True), layers.Activation("relu")]


def normalised_convolutions(*filters: int) -> L:
    first, *others = filters
    made = [layers.Conv2D(first, kernel_size=3, padding="same", use_bias=False)]
    made += [
        layers.Conv2D(n, kernel_size=6, strides=2, padding="same", use_bias=False) for n in others
    ]
    return [layers.Reshape((28, 28, 1)), *(part for conv in made for part in normalised(conv))]


def batch_norm() -> L:
    return [
        *normalised_convolutions(12, 24, 32),
        layers.Flatten(),
        *normalised(layers.Dense(200, use_bias=False)),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ]


def global_average() -> L:
    return [
        *normalised_convolutions(16, 32, 48),
        layers.Conv2D(10, kernel_size=1),
        layers.GlobalAveragePooling2D(),
        layers.Activation("softmax"),
    ]


def decay(factor: float) -> Callable[[int], float]:
    return lambda epoch: 0.01 * factor**epoch


# The layers, the optimizer, the size of mini-batches, the learning rate by epoch.
STEPS: dict[str, tuple[Callable[[], L], str, int, Callable[[int], float] | None]] = {
    "softmax": (lambda: [layers.Dense(10, activation="softmax")], "sgd", 128, None),
    "sigmoid": (lambda: dense_net("sigmoid"), "sgd", 128, None),
    "relu": (lambda: dense_net("relu"), "adam", 128, None),
    "decay": (lambda: dense_net("relu"), "adam", 128, decay(0.6)),
    "dropout": (lambda: dense_net("relu", 0.25), "adam", 128, decay(0.6)),
    "conv": (conv_net, "adam", 128, decay(0.6)),
    "conv_dropout": (lambda: conv_net(0.4), "adam", 128, decay(0.6)),
    "batch_norm": (batch_norm, "adam", 64, decay(0.666)),
    "global_average": (global_average, "adam", 64, decay(0.666)),
}


def make(name: str) -> keras.Sequential:
    made, optimizer, _, _ = STEPS[name]
    model = keras.Sequential([keras.Input(shape=(28 * 28,)), *made()])
    model.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=STEPS)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--plot", action="store_true")
    options = parser.parse_args()

    (x_train, y_train), test = keras.datasets.mnist.load_data()
    x_train = x_train[: options.images].reshape(-1, 784).astype("float32") / 255
    y_train = y_train[: options.images]
    test = (test[0].reshape(-1, 784).astype("float32") / 255, test[1])
    for name in [options.model] if options.model else STEPS:
        keras.utils.set_random_seed(1)
        model = make(name)
        _, _, batch_size, rate = STEPS[name]
        history = model.fit(
            x_train,
            y_train,
            batch_size=batch_size,
            epochs=options.epochs,
            validation_data=test,
            callbacks=[] if rate is None else [keras.callbacks.LearningRateScheduler(rate)],
            verbose=2,
        )
        accuracy = history.history["val_accuracy"][-1]
        print(f"{name}: {model.count_params():,} parameters, test accuracy {accuracy:.4f}")
        if options.plot:
            plots.plot_history(history, f"codelab_{name}.png")


if __name__ == "__main__":
    main()
