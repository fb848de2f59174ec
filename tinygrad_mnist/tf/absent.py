"""Errors for TensorFlow's names that aren't here."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from typing import Any


def finder(module: str, names: Iterable[str], within: Callable[[str], list[str]]) -> Any:
    """A `__getattr__` for a module, which says what is missing and which names are near.

    module: its name in programs, such as tf.nn. names: those that it has. within: more places that
    have a name.
    """
    known = sorted(names)

    def __getattr__(name: str) -> Any:  # noqa: N807
        near = [f"{module}.{n}" for n in difflib.get_close_matches(name, known, 4, 0.6)]
        found = list(dict.fromkeys((*within(name), *near)))
        hint = f"; near are {', '.join(found)}" if found else f"; it has {', '.join(known)}"
        raise AttributeError(
            f"{module} has no {name!r}: tinygrad_mnist.tf is not TensorFlow, but the part of its"
            f" names that texts about MNIST use{hint}",
            name=name,
        )

    return __getattr__
