"""`keras.models`."""

from tinygrad_mnist.keras.models.model import Model, Pass
from tinygrad_mnist.keras.models.sequential import Sequential

__all__ = ["Model", "Pass", "Sequential"]
