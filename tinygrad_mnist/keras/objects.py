"""Objects such as optimizers, losses and initializers as JSON has them, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras.losses import LossFunction
from tinygrad_mnist.keras.metrics import Metric

_FUNCTION = "function"  # the key of a function's name
# Classes that hold a function of the user's.
_HOLDERS = {"LossFunction": LossFunction, "Metric": Metric}


def described(value: Any) -> Any:
    """An argument of `compile` or of a layer as JSON: an object by its class's name and its
    arguments, a function by its name. Raises GraphTypeError for what has neither."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): described(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [described(entry) for entry in value]
    if isinstance(value, type):
        return {"class_name": value.__name__, "config": {}}
    if hasattr(value, "get_config"):
        config = value.get_config()
        if type(value) in _HOLDERS.values():
            config = {**config, "fn": value.fn}
        return {"class_name": type(value).__name__, "config": described(config)}
    if hasattr(value, "__name__") or callable(value):
        return {_FUNCTION: getattr(value, "__name__", type(value).__name__)}
    raise GraphTypeError(f"{shown(value)} can't be saved: it has neither a get_config nor a name")


def restored(value: Any, custom_objects: Mapping[str, Any]) -> Any:
    """What `described` was given, as far as the user's own classes and functions are concerned; the
    package's own stay described, as `get` of their modules finds them. custom_objects: by name."""
    if isinstance(value, list):
        return [restored(entry, custom_objects) for entry in value]
    if isinstance(value, str):
        return custom_objects.get(value, value)
    if not isinstance(value, Mapping):
        return value
    if set(value) == {_FUNCTION}:
        return custom_objects.get(value[_FUNCTION], value[_FUNCTION])
    if "class_name" not in value:
        return {key: restored(entry, custom_objects) for key, entry in value.items()}
    name = value["class_name"]
    if not isinstance(name, str) or not isinstance(value.get("config", {}), Mapping):
        raise ArgumentError(f"{shown(value)} describes no object")
    config = {
        key: restored(entry, custom_objects) if isinstance(entry, Mapping) else entry
        for key, entry in value.get("config", {}).items()
    }
    kind = {**_HOLDERS, **custom_objects}.get(name)
    if kind is None:
        return {"class_name": name, "config": config}
    return kind.from_config(config) if hasattr(kind, "from_config") else kind(**config)


def restored_arguments(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The arguments of a layer, `restored`; its own name stays."""
    custom = custom_objects or {}
    return {
        key: value if key == "name" else restored(value, custom) for key, value in config.items()
    }
