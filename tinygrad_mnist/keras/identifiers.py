"""Objects by name: how `compile` and layers find losses, optimizers, initializers and the like."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import shown


def find(identifier: Any, table: Mapping[str, Any], kind: str) -> Any:
    """What a name means; case and underscores don't count, so a class and a function have the same.

    identifier: a name, or Keras's dict of a class's name and arguments, {"class_name", "config"},
    which makes an object. kind: what the table has, for messages.

    Raises GraphTypeError for what is no name; ArgumentError, which lists the names, for an unknown
    one.
    """
    if isinstance(identifier, Mapping):
        if not isinstance(identifier.get("class_name"), str):
            raise GraphTypeError(f"{kind} {shown(identifier)} has no text under 'class_name'")
        made = find(identifier["class_name"], table, kind)
        return made(**identifier.get("config", {}))
    if not isinstance(identifier, str):
        raise GraphTypeError(f"{shown(identifier)} is no {kind}; it can be {', '.join(table)}")
    plain = _plain(identifier)
    for name, value in table.items():
        if _plain(name) == plain:
            return value
    raise ArgumentError(f"there is no {kind} {identifier!r}; it can be {', '.join(table)}")


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
