"""The arrays of a model by name: its weights, the optimizer's state, the steps of random streams.

All have Keras's shapes and orders, however the engine holds them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import SavedFileError
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.keras.layers.layer import Weight
from tinygrad_mnist.keras.layers.signal import Arrangement

OPTIMIZER = "optimizer/"
RANDOM = "random/"
_SHOWN = 3  # names that a message lists


class Entry(NamedTuple):
    """A variable that a file has an array for."""

    variable: SharedVariable
    arrangement: Arrangement | None = None

    def value(self) -> Array:
        value = self.variable.get_value()
        return value if self.arrangement is None else self.arrangement.shown(value)

    def check(self, name: str, array: Array) -> None:
        """Raises SavedFileError for an array that doesn't fit."""
        shape = self.value().shape
        if array.shape != shape:
            raise SavedFileError(f"{name} has the shape {array.shape}; the model's has {shape}")
        is_float = self.variable.type.is_float
        if (array.dtype.kind == "f") != is_float or array.dtype.kind not in "fiub":
            raise SavedFileError(
                f"{name} has the dtype {array.dtype}; the model's has {self.variable.dtype}"
            )

    def assign(self, array: Array) -> None:
        held = array if self.arrangement is None else self.arrangement.held(array)
        self.variable.set_value(held.astype(self.variable.dtype))


Entries = dict[str, Entry]


def weight_entries(model: Any) -> Entries:
    """The model's weights, in Keras's order: 'dense/kernel'."""
    named = model.named_weights()
    return _unique((path, Entry(w.variable, w.arrangement)) for path, w in named)


def random_entries(model: Any) -> Entries:
    """The steps of the layers' random streams: 'random/dropout/step'."""
    return _unique((f"{RANDOM}{path}", Entry(v)) for path, v in model.named_streams())


def optimizer_entries(model: Any) -> Entries:
    """What the optimizer keeps: 'optimizer/iterations', 'optimizer/dense/kernel/momentum'."""
    optimizer = model.optimizer
    state = optimizer.state
    of_weights = {v for variables in state.values() for v in variables}
    own = [v for v in optimizer.variables if v not in of_weights]

    def entries() -> Iterator[tuple[str, Entry]]:
        for v in own:
            yield f"{OPTIMIZER}{v.name}", Entry(v)
        weights: list[tuple[str, Weight]] = model.named_weights()
        for path, weight in weights:
            for slot, v in zip(optimizer.slots, state.get(weight.variable, ()), strict=False):
                yield f"{OPTIMIZER}{path}/{slot}", Entry(v, weight.arrangement)

    return _unique(entries())


def _unique(named: Iterator[tuple[str, Entry]]) -> Entries:
    """By name; one that is taken gets a number."""
    found: Entries = {}
    for path, entry in named:
        name, n = path, 1
        while name in found:
            n += 1
            name = f"{path}_{n}"
        found[name] = entry
    return found


def values(*several: Entries) -> dict[str, Array]:
    """The arrays of all entries."""
    return {name: entry.value() for entries in several for name, entry in entries.items()}


def matched(entries: Entries, arrays: Mapping[str, Array], order: Sequence[str]) -> dict[str, str]:
    """For each entry, the name of its array.

    Where the names differ, as those of a second model made by the same lines do, arrays go by their
    order, if what comes behind the layers' names is equal. order: the arrays' names in the model
    that was saved; empty if it isn't known. Raises SavedFileError, which lists what doesn't fit.
    """
    if set(entries) == set(arrays):
        return {name: name for name in entries}
    ours, theirs = ([name.rpartition("/")[2] for name in names] for names in (entries, order))
    if set(order) == set(arrays) and ours == theirs:
        return dict(zip(entries, order, strict=True))
    missing = [name for name in entries if name not in arrays]
    left = [name for name in arrays if name not in entries]
    problems = [
        f"{what} {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for what, names in (("it lacks", missing), ("the model has no", left))
        if names
    ]
    raise SavedFileError(
        f"it has {len(arrays)} arrays, the model {len(entries)}; {'; '.join(problems)}"
    )


def assign(entries: Entries, arrays: Mapping[str, Array], order: Sequence[str] = ()) -> None:
    """Sets all variables, or none: raises SavedFileError where an array doesn't fit."""
    names = matched(entries, arrays, order)
    for name, entry in entries.items():
        entry.check(names[name], arrays[names[name]])
    for name, entry in entries.items():
        entry.assign(np.asarray(arrays[names[name]]))
