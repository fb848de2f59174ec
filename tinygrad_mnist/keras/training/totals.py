"""The means over the batches of a pass, also while a sweep runs."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

import numpy as np

from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.functions import LiveSweep

Logs = dict[str, float]


class Totals:
    """Sums over the batches of a pass, from which its means come.

    names: of the loss and the metrics. is_weighted: which of them are means over the samples'
    weights; the others are means over the samples. Reading is safe from another thread.
    """

    def __init__(self, names: Sequence[str], is_weighted: Sequence[bool]) -> None:
        self._names = list(names)
        self._weighted = np.flatnonzero(is_weighted)
        self._batches: list[Array] = [np.empty((0, len(names)))]
        self._sums = np.zeros((2, len(names)))
        self._steps = 0
        self._live: LiveSweep | None = None
        self._live_sizes: Array = np.empty(0)
        self._lock = Lock()

    @property
    def steps(self) -> int:
        """How many batches were added."""
        return self._steps

    def add(self, outputs: Sequence[Array], sizes: Array) -> None:
        """Adds batches: what a step gives for each, stacked, and their numbers of samples."""
        pairs = self._pairs(outputs, sizes)
        with self._lock:
            self._live = None
            self._sums += pairs.sum(axis=1)
            self._steps += len(sizes)
        self._batches.append(_quotients(*pairs))

    def watch(self, live: LiveSweep, sizes: Array) -> None:
        """Counts the batches of a running sweep, too, until they are added."""
        with self._lock:
            self._live, self._live_sizes = live, sizes

    def snapshot(self) -> tuple[int, Logs]:
        """The number of batches so far, and their means."""
        with self._lock:
            steps, sums = self._steps, self._sums.copy()
            live, sizes = self._live, self._live_sizes
            if live is not None and (outputs := live.outputs) and len(outputs[0]):
                pairs = self._pairs(outputs, sizes[: len(outputs[0])])
                steps, sums = steps + pairs.shape[1], sums + pairs.sum(axis=1)
        return steps, dict(sorted(zip(self._names, _quotients(*sums).tolist(), strict=True)))

    def logs(self) -> Logs:
        """The means by name, in alphabetical order, as Keras has them."""
        return self.snapshot()[1]

    def values(self) -> list[float]:
        """The means in the order of `names`."""
        logs = self.logs()
        return [logs[name] for name in self._names]

    def batches(self) -> dict[str, Array]:
        """What each batch gave by itself, arrays of shape (batches,)."""
        table = np.concatenate(self._batches)
        return {name: table[:, i] for i, name in enumerate(self._names)}

    def _pairs(self, outputs: Sequence[Array], sizes: Array) -> Array:
        """Sums and what they are divided by, (2, batches, names)."""
        count = len(self._names)
        pairs = np.empty((2, len(sizes), count))
        pairs[0] = np.transpose(outputs[:count])
        pairs[0, :, 0] *= sizes  # the loss is a mean already
        pairs[1] = sizes[:, None]
        for position, output in zip(self._weighted, outputs[count:], strict=True):
            pairs[1, :, position] = output
        return pairs


def _quotients(sums: Array, divisors: Array) -> Array:
    """Means; 0 where there is nothing to divide by, as in Keras."""
    is_zero = divisors == 0
    return np.where(is_zero, 0.0, sums / np.where(is_zero, 1.0, divisors))
