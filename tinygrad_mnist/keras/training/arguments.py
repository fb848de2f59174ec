"""Numbers of steps, and the errors for what Keras has no longer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.graph.values import integer

_METHODS = {
    "fit_generator": "fit takes generators",
    "evaluate_generator": "evaluate takes generators",
    "predict_generator": "predict takes generators",
    "predict_classes": "use predict(x).argmax(axis=-1)",
    "predict_proba": "use predict(x)",
}
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


def former_name(cls: str, name: str) -> AttributeError:
    """The error for an attribute that there isn't."""
    if name in _METHODS:
        return AttributeError(f"{cls}.{name} isn't in Keras since 3; {_METHODS[name]}")
    return AttributeError(f"{cls!r} object has no attribute {name!r}")


def refuse_former(method: str, given: Mapping[str, Any]) -> None:
    """Raises GraphTypeError for arguments that a method doesn't have."""
    for name in given:
        hint = f"; in its place is {_ARGUMENTS[name]}" if name in _ARGUMENTS else ""
        raise GraphTypeError(f"{method} has no argument {name!r}{hint}")
