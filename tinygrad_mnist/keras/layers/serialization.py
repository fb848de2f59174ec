"""Layers as JSON has them, and back: `{"class_name", "config"}`."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras.layers import (
    activations,
    conv,
    dense,
    dropout,
    input,
    normalization,
    pooling,
    reshaping,
)
from tinygrad_mnist.keras.layers.layer import Layer

_CLASSES: dict[str, type[Layer]] = {
    kind.__name__: kind
    for kind in (
        activations.Activation,
        activations.ELU,
        activations.LeakyReLU,
        activations.PReLU,
        activations.ReLU,
        activations.Rescaling,
        activations.Softmax,
        conv.Conv2D,
        dense.Dense,
        dropout.Dropout,
        input.InputLayer,
        normalization.BatchNormalization,
        pooling.AveragePooling2D,
        pooling.GlobalAveragePooling2D,
        pooling.GlobalMaxPooling2D,
        pooling.MaxPooling2D,
        reshaping.Flatten,
        reshaping.Reshape,
        reshaping.ZeroPadding2D,
    )
}


def serialize(layer: Layer) -> dict[str, Any]:
    """A layer's class and arguments."""
    return {"class_name": type(layer).__name__, "config": layer.get_config()}


def deserialize(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None
) -> Layer:
    """A layer of what `serialize` gives; custom_objects: the user's own classes and functions by
    name. Raises GraphTypeError, ArgumentError for an unknown class."""
    if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str):
        raise GraphTypeError(f"{shown(config)} describes no layer: it has no text 'class_name'")
    name = config["class_name"]
    kind = {**_CLASSES, **(custom_objects or {})}.get(name)
    if kind is None:
        raise ArgumentError(
            f"there is no layer {name!r}; custom_objects={{{name!r}: {name}}} tells of a class of "
            "your own"
        )
    arguments = config.get("config", {})
    if not isinstance(arguments, Mapping):
        raise GraphTypeError(f"the 'config' of {name!r} is {shown(arguments)}; it is a dict")
    # A user's class may have Keras's `from_config(cls, config)`.
    takes_objects = "custom_objects" in inspect.signature(kind.from_config).parameters
    made: Layer = kind.from_config(arguments, *([custom_objects] if takes_objects else []))
    return made
