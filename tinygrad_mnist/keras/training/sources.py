"""Data as runs of steps: of arrays, and of iterables of batches."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import ArgumentError, GraphTypeError
from tinygrad_mnist.functions import Function, LiveSweep
from tinygrad_mnist.graph.values import shown
from tinygrad_mnist.keras.training.functions import Step
from tinygrad_mnist.keras.training.samples import Kind, Samples, stacked

CHUNK_BYTES = 32 * 2**20  # of batches from an iterable that are stacked for one sweep

StepFor = Callable[[Kind], Step]
Read = Callable[..., Samples]


@dataclass(frozen=True, eq=False)
class Run:
    """Steps that one sweep makes, or one step that is a call. sizes: the number of samples of
    each."""

    function: Function
    arguments: tuple[Any, ...]
    sizes: Array
    is_call: bool

    def make(self, watch: Callable[[LiveSweep], object] | None = None) -> list[Array]:
        """Makes the steps; returns their outputs, stacked."""
        if self.is_call:
            return [output[None] for output in self.function(*self.arguments)]
        outputs: list[Array] = self.function.sweep(*self.arguments, watch=watch)
        return outputs


class Source(Protocol):
    """Data of one pass after the other."""

    @property
    def n_steps(self) -> int | None:
        """How many steps a pass has, if that is known."""

    def runs(self, single: bool) -> Iterator[Run]:
        """The runs of the next pass. single: one step in each, a call."""

    def restart(self) -> None:
        """Begins the next pass at the first batch, which is what evaluations do."""

    def release(self) -> None:
        """Gives memory back; a later pass loads the data anew."""


class ArraySource:
    """Samples in arrays, cut into batches; the last one of a pass may be short.

    batch_size: None is 32, or with `steps` what makes so many steps of the samples. steps: how many
    a pass has; one that has less than the data goes on from where the last one stopped. shuffle:
    True, or "batch" to shuffle within batches. has_equal_outputs: whether the outputs of a short
    batch can be stacked with those of whole ones.

    Raises ValueError for a batch size or a number of steps that isn't positive.
    """

    def __init__(
        self,
        step: Step,
        samples: Samples,
        batch_size: int | None = None,
        steps: int | None = None,
        shuffle: bool | str = False,
        has_equal_outputs: bool = True,
    ) -> None:
        self._step = step
        self._samples = samples
        self._size = batch_size or (math.ceil(len(samples) / steps) if steps else 32)
        self._n_batches = math.ceil(len(samples) / self._size)
        self._steps = steps
        self._shuffle = shuffle
        self._whole = self._n_batches if has_equal_outputs else len(samples) // self._size
        self._position = 0
        self._order: Array | None = None

    @property
    def n_steps(self) -> int:
        return self._steps or self._n_batches

    def runs(self, single: bool) -> Iterator[Run]:
        if self._steps is None or self._position == self._n_batches:
            self._position = 0
        if self._position == 0:
            self._order = self._new_order()
        end = min(self._n_batches, self._position + self.n_steps)
        has_run_out = end - self._position < self.n_steps
        while self._position < end:
            self._step.resident.load(self._samples, self._order)
            begin, stop = self._position, end
            if single:
                stop = begin + 1
            elif begin < self._whole:
                stop = min(end, self._whole)
            self._position = stop
            yield self._run(begin, stop, single)
        if has_run_out:
            warn_of_end()

    def _run(self, begin: int, stop: int, is_call: bool) -> Run:
        sizes = np.full(stop - begin, self._size)
        sizes[-1] = min(stop * self._size, len(self._samples)) - (stop - 1) * self._size
        number = begin if is_call else range(begin, stop)
        return Run(self._step.on_resident, (number, self._size), sizes, is_call)

    def _new_order(self) -> Array | None:
        if not self._shuffle:
            return None
        n, size = len(self._samples), self._size
        if self._shuffle != "batch":
            return np.random.permutation(n)  # noqa: NPY002  (as Keras: numpy.random.seed repeats it)
        starts = range(0, n, size)
        return np.concatenate(
            [start + np.random.permutation(min(size, n - start)) for start in starts]  # noqa: NPY002
        )

    def restart(self) -> None:
        self._position = 0

    def release(self) -> None:
        self._step.resident.release()


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


def warn_of_end() -> None:
    """Says in Keras's words that data ended before the steps did."""
    warnings.warn(
        "Your input ran out of data; interrupting training. Make sure that your dataset or "
        "generator can generate at least `steps_per_epoch * epochs` batches. You may need to "
        "use the `.repeat()` function when building your dataset.",
        stacklevel=2,
    )


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
    if hasattr(x, "shape") or hasattr(x, "__array__"):
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
