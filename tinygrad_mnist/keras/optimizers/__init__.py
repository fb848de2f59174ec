"""`keras.optimizers`: the optimizers of `tinygrad_mnist.optimizers`, found by name."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.keras.identifiers import find
from tinygrad_mnist.keras.optimizers import schedules
from tinygrad_mnist.optimizers import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Nadam,
    Optimizer,
    RMSprop,
)

_CLASSES = (SGD, RMSprop, Adagrad, Adadelta, Adam, AdamW, Adamax, Nadam)
_TABLE = {cls.__name__.lower(): cls for cls in _CLASSES}


def get(identifier: Any) -> Optimizer:
    """An optimizer: as it is; by its name in any case, with the defaults; or made of a dict of
    "class_name" and "config", its arguments.

    Raises TypeError and ValueError, which list the names.
    """
    if isinstance(identifier, Optimizer):
        return identifier
    if isinstance(identifier, type) and issubclass(identifier, Optimizer):
        return identifier()
    found = find(identifier, _TABLE, "optimizer")
    return found if isinstance(found, Optimizer) else found()


__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "get",
    "schedules",
]
