"""Whether reads matter that race with writes, or that find shared memory unwritten: a launch runs
again with other values in their place.

Threads behind the edge of a result may read elements that other threads update, or the space
between rows, and use them for nothing: without a test, loads start earlier. That is no fault.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.backends.ptx.observe import Observer, Running
from tinygrad_mnist.backends.ptx.races import moments
from tinygrad_mnist.contracts.core.base import Array

#: The bits that are inverted in a byte, two bytes, and so on. In unwritten shared memory all bits
#: are 1: NaN or -1. These changes make 0 of it, then 1; of floats a small number, the greatest one
#: and the least one. So one of them changes any sum, product, maximum or bit, and the answer of a
#: comparison with a number between those, of a test for 0, and of a flag.
CHANGES = (
    {n: (1 << 8 * n) - 1 for n in (1, 2, 4, 8)},
    {n: (1 << 8 * n) - 2 for n in (1, 2, 4, 8)},
    {n: int.from_bytes(b"\x5a" * n, "little") for n in (1, 2, 4, 8)},
    {1: 0x80, 2: 0x8000, 4: 0x80800000, 8: 0x8010 << 48},
    {1: 0x40, 2: 0x4000, 4: 0x00800000, 8: 0x0010 << 48},
)


class Alteration(Observer):
    """Gives some threads other values, and reports nothing.

    doubts: by the number of a load, the moments of the threads. change: one of CHANGES.
    """

    def __init__(self, doubts: dict[int, Array], change: dict[int, int]) -> None:
        super().__init__()
        self._doubts, self._change = doubts, change

    def altered(self, run: Running, values: Any, site: int, lanes: Any) -> Any:
        if site not in self._doubts:
            return values
        lanes = np.arange(len(run.block)) if lanes is None else lanes
        block = run.block[lanes]
        own = moments(run.numbers[block], run.epochs[block], run.thread[lanes])
        where = np.isin(own, self._doubts[site])
        if isinstance(values, tuple):
            return tuple(self._other(value, where) for value in values)
        return self._other(values, where)

    def _other(self, value: Any, where: Array) -> Array:
        """The value with some of its bits inverted in some threads."""
        bits = np.broadcast_to(value, len(where)).view(f"u{value.dtype.itemsize}").copy()
        bits[where] ^= bits.dtype.type(self._change[bits.itemsize])
        return bits.view(value.dtype)

    def begin(self, windows: Any, word: int) -> None:
        for window in windows:
            window.allocation.shadow = None

    def loaded(self, *_: Any) -> None:
        pass

    def stored(self, *_: Any) -> None:
        pass

    def divergent(self, *_: Any) -> None:
        pass

    def found(self, *_: Any, **__: Any) -> None:
        pass
