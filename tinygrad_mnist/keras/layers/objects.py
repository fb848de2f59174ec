"""Initializers and regularizers as JSON has them."""

from __future__ import annotations

from typing import Any


def described(made: Any) -> Any:
    """None, or what `get` of its module makes the object of: its class's name and arguments. Of a
    function, its name."""
    if made is None:
        return None
    if hasattr(made, "get_config"):
        return {"class_name": type(made).__name__, "config": made.get_config()}
    return getattr(made, "__name__", type(made).__name__)
