"""Memory and its addresses.

Each operand of a launch, and each variable of a kernel, has a window of addresses of its own, far
from all others, also where they share memory. So an address tells which operand it was made from,
and an access that leaves the operand is seen even if it stays within the memory.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_mnist.backends.ptx.races import Shadow
from tinygrad_mnist.contracts.core.base import Array

# Windows of shared variables have 32-bit addresses; the others have room for 2**40 bytes each.
SHARED_STEP, STEP = 1 << 20, 1 << 40
LOCAL_BASE, VARIABLE_BASE = 1 << 61, 1 << 62
_PADDING = 16
UNSET = 0xAB  # the bytes of new memory, so that reads of unwritten memory are visible


class Allocation:
    """A block of memory. written: of each byte, whether it has been written; None if that isn't
    recorded."""

    def __init__(self, nbytes: int, records: bool = False) -> None:
        self.nbytes = nbytes
        self.data = np.full(nbytes + -nbytes % _PADDING, UNSET, np.uint8)
        self.written = np.zeros(len(self.data), bool) if records else None
        self.shadow: Shadow | None = None  # during a launch that is checked for races
        self._views: dict[Any, Array] = {}

    def view(self, dtype: np.dtype[Any]) -> Array:
        """The memory as elements of this dtype."""
        if dtype not in self._views:
            self._views[dtype] = self.data.view(dtype)
        return self._views[dtype]


@dataclass
class Window:
    """A range of addresses.

    base: address of the byte `start` of the allocation. low, high: the addresses that may be
    accessed. per: 'block' or 'thread' where each has its own copy, `stride` bytes apart. name: for
    messages. writable: whether the kernel may write there.
    """

    name: str
    base: int
    low: int
    high: int
    allocation: Allocation
    start: int = 0
    per: str = ""
    stride: int = 0
    writable: bool = True


def operand_window(
    number: int,
    name: str,
    allocation: Allocation,
    start: int,
    reach: tuple[int, int],
    writable: bool = True,
) -> Window:
    """The window of a launch's parameter `number`. start: the byte that the pointer points to.
    reach: first byte that may be accessed, and the end, from there on."""
    base = (number + 1) * STEP + start % 256  # aligned as the memory is
    return Window(
        name, base, base + reach[0], base + reach[1], allocation, start, writable=writable
    )


class AddressSpace:
    """The windows of a launch."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self.windows = sorted(windows, key=lambda w: w.low)
        self._lows = [w.low for w in self.windows]

    def find(self, low: int, high: int) -> Window | None:
        """The window that holds all addresses from low to before high."""
        k = bisect_right(self._lows, low) - 1
        if k < 0 or high > self.windows[k].high:
            return None
        return self.windows[k]

    def nearest(self, address: int) -> Window | None:
        """The window that an address outside of all was meant for, by its base."""
        near = [w for w in self.windows if abs(address - w.base) < STEP // 2]
        return min(near, key=lambda w: abs(address - w.base)) if near else None
