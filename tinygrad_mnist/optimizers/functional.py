"""Optimizers as functions: `adam(cost, params)` returns the updates of one step."""

from __future__ import annotations

from typing import Any

from tinygrad_mnist.optimizers.base import Optimizer, Updates
from tinygrad_mnist.optimizers.rules import (
    SGD,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AdamW,
    Nadam,
    RMSprop,
)


class _Rule:
    """A function that makes an optimizer and returns its updates."""

    def __init__(self, optimizer: type[Optimizer]) -> None:
        self.optimizer = optimizer
        self.__name__ = optimizer.__name__.lower()
        self.__doc__ = (
            f"`{optimizer.__name__}(*args, **options).updates(cost, params)`: a list of pairs, a "
            "shared variable and its new value, with those of new state.\n\n"
            "Pass a shared scalar as `learning_rate` to change it between two calls."
        )

    def __call__(self, cost: Any, params: Any, *args: Any, **options: Any) -> Updates:
        return self.optimizer(*args, **options).updates(cost, params)

    def __repr__(self) -> str:
        return f"<function {self.__name__}(cost, params, ...)>"


sgd, rmsprop, adagrad, adadelta = map(_Rule, (SGD, RMSprop, Adagrad, Adadelta))
adam, adamw, adamax, nadam = map(_Rule, (Adam, AdamW, Adamax, Nadam))
