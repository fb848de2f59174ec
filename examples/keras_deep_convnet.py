"""A deep conv net for MNIST, 3,113,930 parameters, on a GPU if there is one; and a search.

    python examples/keras_deep_convnet.py [--epochs 8] [--images 60000]
    python examples/keras_deep_convnet.py --search 12 [--epochs 2] [--images 10000]

Three blocks of two convolutions with 64, 128 and 256 filters, then dense layers of 768, 256 and 10.
It needs MNIST, which it finds or downloads. An epoch takes 2.5 minutes on two cores. With
--search, that many random settings of the filters, the learning rate and the batch size are tried
in parallel; deep_convnet_search.jsonl keeps the results, and the same command goes on from there.
"""

from __future__ import annotations

import argparse

import numpy as np

from tinygrad_mnist import keras, tf
from tinygrad_mnist.config import config
from tinygrad_mnist.keras import layers
from tinygrad_mnist.search import log_uniform, search


def data(images: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Training and test images (n, 28, 28, 1) from 0 to 1, with their labels."""
    (x_train, y_train), (x_test, y_test) = keras.datasets.mnist.load_data()
    x_train, x_test = (x[..., None].astype("float32") / 255 for x in (x_train, x_test))
    return (x_train[:images], y_train[:images]), (x_test, y_test)


def deep_convnet(filters: int = 64, rate: float = 0.001) -> keras.Sequential:
    """The net, with `filters` in its first block, and twice as many in each of the next."""
    model = keras.Sequential([keras.Input(shape=(28, 28, 1))])
    for maps in (filters, 2 * filters, 4 * filters):
        for _ in range(2):
            model.add(layers.Conv2D(maps, (3, 3), padding="same", activation="relu"))
        model.add(layers.MaxPooling2D((2, 2)))
        model.add(layers.Dropout(0.25))
    model.add(layers.Flatten())
    model.add(layers.Dense(768, activation="relu"))
    model.add(layers.Dropout(0.5))
    model.add(layers.Dense(256, activation="relu"))
    model.add(layers.Dense(10, activation="softmax"))
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def validation_accuracy(
    filters: int, rate: float, batch_size: int, epochs: int, images: int
) -> keras.callbacks.History:
    """What the search calls: trains the net with these settings."""
    (x, y), _ = data(images)
    model = deep_convnet(filters, rate)
    return model.fit(x, y, batch_size, epochs, verbose=0, validation_split=0.1)


def search_settings(runs: int, epochs: int, images: int) -> None:
    space = {
        "filters": [16, 32, 64],
        "rate": log_uniform(1e-4, 1e-2),
        "batch_size": [32, 64, 128],
        "epochs": epochs,
        "images": images,
    }
    results = search(
        validation_accuracy, space, runs=runs, file="deep_convnet_search.jsonl", progress=True
    )
    print(results)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--search", type=int, metavar="RUNS")
    options = parser.parse_args()

    print(f"GPUs: {tf.config.list_physical_devices('GPU')}")
    config.device = "auto"
    if options.search is not None:
        search_settings(options.search, options.epochs, options.images)
        return
    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = data(options.images)
    model = deep_convnet()
    model.summary()
    model.fit(
        x_train, y_train, batch_size=64, epochs=options.epochs, validation_data=(x_test, y_test)
    )
    loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
    print(f"Test loss: {loss:.4f}")
    print(f"Test accuracy: {accuracy:.4f}")


if __name__ == "__main__":
    main()
