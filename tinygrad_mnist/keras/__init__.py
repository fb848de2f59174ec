"""`keras`: Keras's names on this package's engine."""

from tinygrad_mnist.keras import (
    activations,
    callbacks,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    regularizers,
)
from tinygrad_mnist.keras.layers import Input, InputLayer, Layer
from tinygrad_mnist.keras.models import Model, Sequential

__all__ = [
    "Input",
    "InputLayer",
    "Layer",
    "Model",
    "Sequential",
    "activations",
    "callbacks",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "regularizers",
]
