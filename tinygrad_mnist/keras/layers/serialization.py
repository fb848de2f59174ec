"""Layers as JSON has them, and back: `{"class_name", "config"}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras.layers import activations, conv, core, normalization, pooling, reshaping
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
        core.Dense,
        core.Dropout,
        core.InputLayer,
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
    own = {
        key: value if key == "name" else _own(value, custom_objects or {})
        for key, value in arguments.items()
    }
    made: Layer = kind.from_config(own, custom_objects)
    return made


def _own(value: Any, custom_objects: Mapping[str, Any]) -> Any:
    """An argument of a layer, such as an activation or an initializer: the user's own object that
    it names, else as it is."""
    if isinstance(value, str):
        return custom_objects.get(value, value)
    if isinstance(value, Mapping) and value.get("class_name") in custom_objects:
        return custom_objects[value["class_name"]].from_config(value.get("config", {}))
    return value
