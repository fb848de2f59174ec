"""The names of a network's layers, as plans, drawings and errors show them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from tinygrad_mnist.graph.source import in_layer
from tinygrad_mnist.training.layers import params_of


class LayerLabels:
    """Labels such as `conv2 (network3 layer 1)` for the layers of a network.

    A layer's name is its `kind`, or its class, with its number among those of that kind. The only
    softmax layer has no number. Its parameters are named `conv2.w`, `conv2.b`, unless the user has
    given them names.
    """

    def __init__(self, layers: Sequence[Any]) -> None:
        self._layers = list(layers)
        self._labels = []
        self.names = _names(layers)
        for number, name in enumerate(self.names):
            self._labels.append(f"{name} (network3 layer {number})")
        self.name_params()

    def name_params(self) -> None:
        """Names the parameters that have no name yet."""
        for layer, name in zip(self._layers, self.names, strict=True):
            _name_params(layer, name)

    def inside(self, number: int) -> AbstractContextManager[None]:
        """A context in which what is made is a part of the layer. It comes from the line that made
        the layer, or from the user's own line where the layer or its activation is the user's."""
        origin = next((param.source for param in params_of(self._layers[number])), None)
        return in_layer(self._labels[number], origin)

    def beside(self, number: int) -> AbstractContextManager[None]:
        """A context in which what is made belongs to the layer, and comes from the present line."""
        return in_layer(self._labels[number])


def _names(layers: Sequence[Any]) -> list[str]:
    kinds = [getattr(layer, "kind", None) or _class_name(layer) for layer in layers]
    total, count = Counter(kinds), Counter[str]()
    names = []
    for kind in kinds:
        count[kind] += 1
        names.append(kind if kind == "softmax" and total[kind] == 1 else f"{kind}{count[kind]}")
    return names


def _class_name(layer: Any) -> str:
    name = type(layer).__name__.lower()
    return name.removesuffix("layer") or name


def _name_params(layer: Any, name: str) -> None:
    attributes = {id(value): key for key, value in getattr(layer, "__dict__", {}).items()}
    for number, param in enumerate(params_of(layer)):
        attribute = attributes.get(id(param), str(number))
        is_default = hasattr(layer, "kind") and param.name == attribute
        if param.name is None or is_default:
            param.name = f"{name}.{attribute}"
