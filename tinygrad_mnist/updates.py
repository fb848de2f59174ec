"""`OrderedUpdates`: updates of shared variables that are collected and joined."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.values import shown


class OrderedUpdates(OrderedDict[SharedVariable, Any]):
    """New values of shared variables, in the order in which they were added.

    It is a dict for `updates=` of `function`. `update` and `+` join it with others, and raise
    KeyError where these have another value for one variable. A key that is not a shared variable is
    a TypeError.
    """

    def __setitem__(self, key: SharedVariable, value: Any) -> None:
        if not isinstance(key, SharedVariable):
            raise GraphTypeError(f"{shown(key)} can't be updated; only shared variables can")
        super().__setitem__(key, value)

    def update(self, other: Any = None, /, **none: Any) -> None:
        """Adds the updates of a dict, or pairs; KeyError where one contradicts an earlier one."""
        if none:
            raise TypeError("the keys of updates are shared variables, not names")
        pairs: Iterable[tuple[Any, Any]] = (
            other.items() if isinstance(other, Mapping) else other or ()
        )
        for key, value in list(pairs):
            if key in self and self[key] is not value:
                raise KeyError("Collision", key)
            self[key] = value

    def __add__(self, other: Any) -> OrderedUpdates:
        joined = OrderedUpdates(self)
        joined.update(other)
        return joined

    def __radd__(self, other: Any) -> OrderedUpdates:
        joined = OrderedUpdates(other)
        joined.update(self)
        return joined


__all__ = ["OrderedUpdates"]
