"""`keras.preprocessing`: says what is in its place."""

from tinygrad_mnist.keras.preprocessing import image

__all__ = ["image"]
