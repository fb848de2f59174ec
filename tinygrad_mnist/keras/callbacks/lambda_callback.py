"""`LambdaCallback`: a callback made of functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras.callbacks.callback import Callback

_METHODS = [name for name in vars(Callback) if name.startswith("on_")]


class LambdaCallback(Callback):
    """Calls functions where the methods of their names would be called.

    functions: by the names of `Callback`'s methods, such as `on_epoch_end=lambda epoch, logs: ...`.
    Those for batches get `batch` and, by name, `logs`.

    Raises GraphTypeError for another name and for what can't be called.
    """

    def __init__(self, **functions: Callable[..., Any] | None) -> None:
        for name, fn in functions.items():
            if name not in _METHODS:
                raise GraphTypeError(
                    f"LambdaCallback has no argument {name!r}; it can be {', '.join(_METHODS)}"
                )
            if fn is None:
                continue
            if not callable(fn):
                raise GraphTypeError(f"{name} is {shown(fn)}; it must be a function")
            setattr(self, name, fn)
