"""Fashion-MNIST: a dense net, and convolutions that see more; what the filters answer to.

    python examples/keras_fashion.py [--epochs 5] [--images 60000] [--plot]

It needs Fashion-MNIST, which it finds or downloads. On two cores the dense net takes one second
per epoch, the convolutions seven. --plot draws wrong answers and feature maps into
fashion_wrong.png and fashion_maps.png; it needs matplotlib.
"""

from __future__ import annotations

import argparse

from tinygrad_mnist import keras, plots, tf

NAMES = ["T-shirt", "Trouser", "Pullover", "Dress", "Coat"]
NAMES += ["Sandal", "Shirt", "Sneaker", "Bag", "Boot"]


def dense() -> keras.Sequential:
    return tf.keras.models.Sequential(
        [
            tf.keras.layers.Flatten(input_shape=(28, 28, 1)),
            tf.keras.layers.Dense(128, activation=tf.nn.relu),
            tf.keras.layers.Dense(10, activation=tf.nn.softmax),
        ]
    )


def convolutions() -> keras.Sequential:
    return tf.keras.models.Sequential(
        [
            tf.keras.layers.Conv2D(64, (3, 3), activation="relu", input_shape=(28, 28, 1)),
            tf.keras.layers.MaxPooling2D(2, 2),
            tf.keras.layers.Conv2D(64, (3, 3), activation="relu"),
            tf.keras.layers.MaxPooling2D(2, 2),
            tf.keras.layers.Flatten(),
            tf.keras.layers.Dense(128, activation="relu"),
            tf.keras.layers.Dense(10, activation="softmax"),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--plot", action="store_true")
    options = parser.parse_args()

    keras.utils.set_random_seed(1)
    (x_train, y_train), (x_test, y_test) = tf.keras.datasets.fashion_mnist.load_data()
    x_train, y_train = x_train[: options.images], y_train[: options.images]
    x_train = x_train.reshape(-1, 28, 28, 1) / 255.0
    x_test = x_test.reshape(-1, 28, 28, 1) / 255.0
    for make in (dense, convolutions):
        model = make()
        model.compile(
            optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        model.summary()
        model.fit(x_train, y_train, epochs=options.epochs)
        _, accuracy = model.evaluate(x_test, y_test, verbose=0)
        print(f"Test accuracy of the {make.__name__}: {accuracy:.4f}")
    if options.plot:
        found = model.predict(x_test, verbose=0)
        plots.plot_digits(x_test, found, y_test, "fashion_wrong.png", only_wrong=True, names=NAMES)
        plots.plot_feature_maps(model, x_test[0], path="fashion_maps.png")


if __name__ == "__main__":
    main()
