"""Elements of several parts: tuples and dicts, nested, whose leaves are arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.tf.tensors import DTYPES


class TensorSpec(NamedTuple):
    """The shape and dtype of a part of an element; None is a length that can differ."""

    shape: tuple[int | None, ...] | None
    dtype: np.dtype[Any] = DTYPES["float32"]
    name: str | None = None

    def __repr__(self) -> str:
        kind = "string" if self.dtype == DTYPES["string"] else self.dtype.name
        return f"TensorSpec(shape={self.shape}, dtype=tf.{kind}, name={self.name!r})"


def is_nest(value: Any) -> bool:
    """Whether a value has parts. Stacks aren't asked for their class, so not `isinstance`."""
    kind = type(value)
    return issubclass(kind, dict) or (issubclass(kind, tuple) and kind is not TensorSpec)


def leaves(nest: Any) -> Iterator[Any]:
    """The parts of an element, the keys of dicts in their order."""
    if not is_nest(nest):
        yield nest
        return
    for part in nest.values() if isinstance(nest, dict) else nest:
        yield from leaves(part)


def pack(form: Any, parts: Iterable[Any]) -> Any:
    """An element of the form of another, with other leaves."""
    left = iter(parts)
    return change(form, lambda _: next(left))


def change(nest: Any, function: Callable[[Any], Any]) -> Any:
    """The element with a function applied to each leaf."""
    if not is_nest(nest):
        return function(nest)
    if isinstance(nest, dict):
        return {name: change(part, function) for name, part in nest.items()}
    parts = [change(part, function) for part in nest]
    return type(nest)(*parts) if hasattr(nest, "_fields") else tuple(parts)
