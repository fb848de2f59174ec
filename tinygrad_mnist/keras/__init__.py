"""`keras`: Keras's names on this package's engine."""

from tinygrad_mnist.keras import (
    callbacks,
    datasets,
    initializers,
    losses,
    metrics,
    optimizers,
    regularizers,
)

__all__ = [
    "callbacks",
    "datasets",
    "initializers",
    "losses",
    "metrics",
    "optimizers",
    "regularizers",
]
