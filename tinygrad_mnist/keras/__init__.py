"""`keras`: Keras's names on this package's engine."""

from tinygrad_mnist.keras import initializers, losses, metrics, optimizers, regularizers

__all__ = ["initializers", "losses", "metrics", "optimizers", "regularizers"]
