"""Data sets as Keras returns them: MNIST, Fashion-MNIST, and generated digits."""

from tinygrad_mnist.keras.datasets import digits, fashion_mnist, mnist

__all__ = ["digits", "fashion_mnist", "mnist"]
