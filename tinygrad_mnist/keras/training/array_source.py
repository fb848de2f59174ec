"""Samples in arrays, cut into batches."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.keras.training.functions import Step
from tinygrad_mnist.keras.training.samples import Samples
from tinygrad_mnist.keras.training.sources import Run, warn_of_end


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
