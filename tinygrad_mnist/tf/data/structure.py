"""Elements of several parts: tuples and dicts, nested, whose leaves are arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.keras.tensors import DTYPES


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


def spec_of(value: Any) -> TensorSpec:
    """The shape and dtype of an array."""
    return TensorSpec(value.shape, DTYPES["string"] if value.dtype.kind in "OV" else value.dtype)


def common(first: Any, second: Any) -> Any:
    """What two specs have in common; ArgumentError where the dtypes or the structures differ."""
    ours, theirs = list(leaves(first)), list(leaves(second))
    same = change(first, lambda _: None) == change(second, lambda _: None)
    if not same or any(a.dtype != b.dtype for a, b in zip(ours, theirs, strict=True)):
        raise ArgumentError(f"elements {first} and {second} can't be in one data set")
    shapes = [
        None
        if a.shape is None or b.shape is None or len(a.shape) != len(b.shape)
        else tuple(m if m == n else None for m, n in zip(a.shape, b.shape, strict=True))
        for a, b in zip(ours, theirs, strict=True)
    ]
    return pack(first, [a._replace(shape=s) for a, s in zip(ours, shapes, strict=True)])
