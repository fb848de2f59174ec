"""`keras`: Keras's names on this package's engine."""

import sys

from tinygrad_mnist.keras import (
    activations,
    backend,
    callbacks,
    datasets,
    initializers,
    layers,
    losses,
    metrics,
    models,
    optimizers,
    preprocessing,
    regularizers,
    utils,
)
from tinygrad_mnist.keras.layers import Input, InputLayer, Layer
from tinygrad_mnist.keras.models import Model, Sequential

# Keras 2's names of the modules of layers, for programs that import from them.
for _former in ("core", "convolutional", "advanced_activations"):
    sys.modules[f"{layers.__name__}.{_former}"] = layers

__all__ = [
    "Input",
    "InputLayer",
    "Layer",
    "Model",
    "Sequential",
    "activations",
    "backend",
    "callbacks",
    "datasets",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "optimizers",
    "preprocessing",
    "regularizers",
    "utils",
]
