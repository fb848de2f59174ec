"""Iterables of batches: generators, datasets, lists, and objects that have batches by number."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras.training.functions import Step
from tinygrad_mnist.keras.training.samples import Kind, Samples, stacked
from tinygrad_mnist.keras.training.sources import Run, warn_of_end

CHUNK_BYTES = 16 * 2**20  # of batches that are stacked for one sweep

StepFor = Callable[[Kind], Step]
Read = Callable[..., Samples]


class BatchSource:
    """An iterable of batches: x, (x,), (x, y) or (x, y, sample_weight) each.

    Batches of equal shape are stacked and swept together, and no batch is taken from the iterable
    beyond those that the steps of a pass need. steps: how many a pass has; the next one goes on
    where this one stopped. Without it a pass ends with the iterable, and the next one begins anew.
    shuffle: draws the order of the batches, where they are counted and not iterated.

    Raises TypeError for what is no iterable of batches, ValueError for an empty one.
    """

    def __init__(
        self,
        step_for: StepFor,
        batches: Any,
        read: Read,
        steps: int | None = None,
        shuffle: bool = False,
        what: str = "x",
    ) -> None:
        self._step_for = step_for
        self._batches = _as_iterable(batches, what, shuffle)
        self._read = read
        self._steps = steps
        self._what = what
        if steps is None and is_endless(batches):
            raise ArgumentError(
                f"{what} repeats without end, so the number of steps has to be given"
            )
        self._n_steps = steps or length_of(batches)
        self._iterator: Iterator[Any] | None = iter(self._batches)
        self._number = 0  # of the next batch since the iterator began
        self._next: Samples | None = None
        self._failure: Exception | None = None
        self._has_run = False
        if self._take() is None:
            raise ArgumentError(f"{what} is an iterable without a batch")

    @property
    def n_steps(self) -> int | None:
        return self._n_steps

    def runs(self, single: bool) -> Iterator[Run]:
        if self._iterator is None:
            self._iterator, self._number = iter(self._batches), 0
            is_one_shot = self._iterator is self._batches
            self._next = self._next if is_one_shot else None
        self._has_run = True
        made = 0
        while self._steps is None or made < self._steps:
            left = math.inf if self._steps is None else self._steps - made
            chunk = self._chunk(1 if single else left)
            if not chunk:
                break
            made += len(chunk)
            step = self._step_for(chunk[0].kind)
            sizes = np.full(len(chunk), len(chunk[0]))
            arguments = chunk[0].arrays if single else stacked(chunk)
            yield Run(step.on_batch, tuple(arguments), sizes, single)
        if made < (self._steps or 1):
            warn_of_end()
        elif self._steps is None:
            self._n_steps = made
        if self._steps is None or made < self._steps:
            self._iterator = None

    def _chunk(self, most: float) -> list[Samples]:
        """The next batches of equal shapes, at most so many. An error of the iterable is raised
        once the batches before it have been used."""
        chunk: list[Samples] = []
        nbytes = 0
        while len(chunk) < most and nbytes < CHUNK_BYTES:
            try:
                batch = self._take()
            except Exception as error:
                if not chunk:
                    raise
                self._failure = error
                break
            if batch is None or (chunk and not _are_alike(batch, chunk[0])):
                break
            self._next = None
            chunk.append(batch)
            nbytes += batch.nbytes
        return chunk

    def _take(self) -> Samples | None:
        """The next batch, which stays the next one; None at the end."""
        if self._next is None and self._iterator is not None:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            try:
                element = next(self._iterator)
            except StopIteration:
                return None
            where = f"batch {self._number} of {self._what}: "
            self._number += 1
            self._next = self._read(*parts_of(element, where), where=where)
        return self._next

    def restart(self) -> None:
        """Does so where the iterable can be iterated anew; a generator goes on."""
        if self._has_run:
            self._iterator = None

    def release(self) -> None:
        """Keeps nothing but the batch that was taken to see what the data are like."""


def parts_of(element: Any, where: str = "") -> tuple[Any, ...]:
    """x, y and weights of an element of an iterable, those that it has."""
    if not isinstance(element, tuple | list):
        return (element,)
    if not 1 <= len(element) <= 3:
        raise ArgumentError(
            f"{where}it has {len(element)} parts; a batch is (x,), (x, y) or (x, y, sample_weight)"
        )
    return tuple(element)


def is_iterable_of_batches(x: Any) -> bool:
    """Whether x is one, and not samples: it has no shape, and a list's elements are tuples."""
    if hasattr(x, "shape") or hasattr(x, "__array__") or isinstance(x, str | bytes | Mapping):
        return False
    if isinstance(x, list | tuple):
        return bool(x) and isinstance(x[0], tuple)
    return hasattr(x, "__iter__") or (hasattr(x, "__getitem__") and hasattr(x, "__len__"))


def _as_iterable(batches: Any, what: str, shuffle: bool) -> Iterable[Any]:
    """The batches, also of an object that has them by number, such as Keras's `Sequence`."""
    if hasattr(batches, "__iter__"):
        found: Iterable[Any] = batches
        return found
    if hasattr(batches, "__getitem__") and hasattr(batches, "__len__"):
        return _ByNumber(batches, shuffle)
    raise GraphTypeError(
        f"{what} is {shown(batches)}, which is no array and no iterable of batches"
    )


class _ByNumber:
    """The items of a sequence that counts but doesn't iterate; shuffled anew in every pass."""

    def __init__(self, items: Any, is_shuffled: bool) -> None:
        self._items = items
        self._is_shuffled = is_shuffled

    def __iter__(self) -> Iterator[Any]:
        n = len(self._items)
        order = np.random.permutation(n).tolist() if self._is_shuffled else range(n)  # noqa: NPY002
        for position in order:
            yield self._items[position]
        if hasattr(self._items, "on_epoch_end"):
            self._items.on_epoch_end()


def length_of(batches: Any) -> int | None:
    """How many batches there are, if the iterable knows."""
    try:
        return len(batches) or None
    except TypeError:
        return None


def is_endless(batches: Any) -> bool:
    """Whether a dataset says that it repeats without end, as TensorFlow's do: with -1."""
    cardinality = getattr(batches, "cardinality", None)
    return callable(cardinality) and int(cardinality()) == -1


def _are_alike(a: Samples, b: Samples) -> bool:
    shapes = [[array.shape for array in samples.arrays] for samples in (a, b)]
    return shapes[0] == shapes[1] and a.kind == b.kind
