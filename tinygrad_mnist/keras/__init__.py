"""`keras`: Keras's names on this package's engine."""

from tinygrad_mnist.keras import (
    datasets,
    initializers,
    losses,
    metrics,
    optimizers,
    regularizers,
)

__all__ = ["datasets", "initializers", "losses", "metrics", "optimizers", "regularizers"]
