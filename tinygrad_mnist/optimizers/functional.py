"""Optimizers as functions: `adam(cost, params)` returns the updates of one step."""

from __future__ import annotations

import inspect
from collections.abc import Callable
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


def _updates_of(optimizer: type[Optimizer]) -> Callable[..., Updates]:
    def updates(cost: Any, params: Any, *args: Any, **options: Any) -> Updates:
        return optimizer(*args, **options).updates(cost, params)

    own = inspect.signature(optimizer).parameters.values()
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    required = [inspect.Parameter(name, kind) for name in ("cost", "params")]
    updates.__name__ = updates.__qualname__ = optimizer.__name__.lower()
    updates.__signature__ = inspect.Signature([*required, *own])  # type: ignore[attr-defined]
    updates.__doc__ = (
        f"`{optimizer.__name__}(...).updates(cost, params)`: a list of pairs, a shared variable "
        "and its new value, with those of new state.\n\n"
        "Pass a shared scalar as `learning_rate` to change the rate between two calls."
    )
    return updates


sgd, rmsprop, adagrad, adadelta = map(_updates_of, (SGD, RMSprop, Adagrad, Adadelta))
adam, adamw, adamax, nadam = map(_updates_of, (Adam, AdamW, Adamax, Nadam))
