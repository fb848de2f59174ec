"""Numbers of steps, and the errors for what Keras has no longer."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.values import integer

_ARGUMENTS = {
    "nb_epoch": "epochs",
    "nb_epochs": "epochs",
    "samples_per_epoch": "steps_per_epoch, which counts batches",
    "nb_val_samples": "validation_steps, which counts batches",
    "show_accuracy": 'compile(metrics=["accuracy"])',
    "generator": "x",
    "max_queue_size": "nothing; batches are read as they are needed",
    "workers": "nothing; batches are read as they are needed",
    "use_multiprocessing": "nothing; batches are read as they are needed",
}


def steps_argument(steps: Any, what: str) -> int | None:
    """A number of steps, at least 1, or None. Raises TypeError and ValueError."""
    return None if steps is None else integer(steps, what, 1)


def check_frequency(frequency: Any) -> None:
    """Raises TypeError or ValueError for what is no `validation_freq`: a positive number of epochs,
    or a list of epochs, counted from 1."""
    if isinstance(frequency, list | tuple | set | range):
        for epoch in frequency:
            integer(epoch, "an epoch in validation_freq", 1)
    else:
        integer(frequency, "validation_freq", 1)


class AbsentMethod:
    """A method that there isn't; `why` follows its name in the AttributeError."""

    def __init__(self, why: str) -> None:
        self._why = why

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type) -> Any:
        raise AttributeError(f"{owner.__name__}.{self._name} {self._why}")


def refuse_former(method: Callable[..., Any], given: Mapping[str, Any]) -> None:
    """Raises GraphTypeError for arguments that a method doesn't have."""
    for name in given:
        near = difflib.get_close_matches(name, inspect.signature(method).parameters, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        if name in _ARGUMENTS:
            hint = f"; in its place is {_ARGUMENTS[name]}"
        raise GraphTypeError(f"{method.__name__} has no argument {name!r}{hint}")
