"""Whether reads that race with writes matter: a launch runs again with other values in their place.

Threads behind the edge of a result may read elements that other threads update, and use them for
nothing: without a test, loads start earlier. That is no fault.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.backends.ptx.observe import Observer, Running
from tinygrad_mnist.backends.ptx.program import Instruction
from tinygrad_mnist.backends.ptx.races import moments
from tinygrad_mnist.contracts.core.base import Array


class Alteration(Observer):
    """Gives some threads other values, and reports nothing.

    doubts: by the number of a load, the moments of the threads.
    """

    def __init__(self, doubts: dict[int, Array]) -> None:
        super().__init__()
        self._doubts = doubts

    def altered(self, run: Running, values: Any, site: int, lanes: Any) -> Any:
        if site not in self._doubts:
            return values
        lanes = np.arange(len(run.block)) if lanes is None else lanes
        block = run.block[lanes]
        own = moments(run.numbers[block], run.epochs[block], run.thread[lanes])
        where = np.isin(own, self._doubts[site])
        if isinstance(values, tuple):
            return tuple(_other(value, where) for value in values)
        return _other(values, where)

    def begin(self, windows: Any, word: int) -> None:
        for window in windows:
            window.allocation.shadow = None

    def loaded(self, *_: Any) -> None:
        pass

    def stored(self, *_: Any) -> None:
        pass

    def divergent(self, *_: Any) -> None:
        pass

    def found(self, run: Running, kind: str, text: str, i: Instruction, lanes: Any) -> None:
        pass


def _other(value: Any, where: Array) -> Array:
    """The value with half of its bits turned over in some threads."""
    bits = np.broadcast_to(value, len(where)).view(f"u{value.dtype.itemsize}").copy()
    bits[where] ^= bits.dtype.type(0x5A5A5A5A5A5A5A5A & ((1 << 8 * bits.itemsize) - 1))
    return bits.view(value.dtype)
