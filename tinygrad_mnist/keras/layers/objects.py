"""Initializers and regularizers as JSON has them, and a user's own objects by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def described(made: Any) -> Any:
    """None, or what `get` of its module makes the object of: its class's name and arguments. Of a
    function, its name."""
    if made is None:
        return None
    if not hasattr(made, "get_config"):
        return getattr(made, "__name__", type(made).__name__)
    config = {
        name: value.tolist() if isinstance(value, np.ndarray | np.generic) else value
        for name, value in made.get_config().items()
    }
    return {"class_name": type(made).__name__, "config": config}


def with_custom_objects(
    config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None
) -> dict[str, Any]:
    """The arguments of a layer, where a user's own objects take the place of their names."""
    custom = custom_objects or {}

    def replaced(name: str, value: Any) -> Any:
        if isinstance(value, str) and name != "name":
            return custom.get(value, value)
        if isinstance(value, Mapping) and value.get("class_name") in custom:
            return custom[value["class_name"]].from_config(value.get("config", {}))
        return value

    return {name: replaced(name, value) for name, value in config.items()}
