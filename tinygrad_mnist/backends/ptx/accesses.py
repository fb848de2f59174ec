"""Loads and stores."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.backends.ptx.memory import Window
from tinygrad_mnist.backends.ptx.threads import Lanes, Threads
from tinygrad_mnist.contracts.core.base import Array


class Accesses(Threads):
    """Threads that access memory."""

    def parameter(self, name: str, offset: int, dtype: np.dtype[Any], n: int) -> Any:
        value = self._values[name]
        raw = int(value).to_bytes(8, "little", signed=value < 0)
        values = np.frombuffer(raw, dtype, n, offset)
        return values[0] if n == 1 else tuple(values)

    def load(
        self,
        address: Any,
        offset: int,
        dtype: np.dtype[Any],
        n: int,
        used: tuple[bool, ...],
        site: int,
        lanes: Lanes,
    ) -> Any:
        """n elements of each thread. used: which of them the kernel reads later."""
        window, index, lanes = self._located(address, offset, dtype.itemsize * n, site, lanes)
        if window is None:
            return self._load_apart(index, dtype, n, used, site, lanes)
        if self.observer is not None:
            self.observer.loaded(self, window, index, dtype.itemsize, used, site, lanes)
        values = _taken(window.allocation.view(dtype), index, dtype.itemsize, n)
        if self.observer is not None:
            values = self.observer.altered(self, values, site, lanes)
        return values

    def _load_apart(
        self,
        addresses: Array,
        dtype: np.dtype[Any],
        n: int,
        used: tuple[bool, ...],
        site: int,
        lanes: Lanes,
    ) -> Any:
        """A load whose threads access several windows."""
        columns = [
            np.full(len(addresses), 0xFF).astype(np.uint8).repeat(dtype.itemsize).view(dtype)
            for _ in range(n)
        ]
        for part in self._apart(addresses, dtype.itemsize * n, site, lanes):
            own = part if lanes is None else lanes[part]
            values = self.load(addresses[part], 0, dtype, n, used, site, own)
            for column, value in zip(columns, (values,) if n == 1 else values, strict=True):
                column[part] = value
        return columns[0] if n == 1 else tuple(columns)

    def store(
        self,
        address: Any,
        offset: int,
        dtype: np.dtype[Any],
        values: tuple[Any, ...],
        site: int,
        lanes: Lanes,
    ) -> None:
        """Stores values of each thread, one behind the other. Of two threads that write the same
        element, the last one's value stays."""
        n = len(values)
        window, index, lanes = self._located(address, offset, dtype.itemsize * n, site, lanes)
        if window is None:
            for part in self._apart(index, dtype.itemsize * n, site, lanes):
                own = part if lanes is None else lanes[part]
                chosen = tuple(v if v.ndim == 0 else v[part] for v in values)
                self.store(index[part], 0, dtype, chosen, site, own)
            return
        if not window.writable:
            self.fail("write", f"writes to {window.name}, which is an input", site, lanes)
            return
        view = window.allocation.view(dtype)
        if self.observer is not None:
            self.observer.stored(self, window, index, view, values, site, lanes)
        first = index >> (dtype.itemsize.bit_length() - 1)
        for k, value in enumerate(values):
            if index.ndim == 0 and value.ndim:
                value = value[-1]
            view[first + k] = value

    def _located(
        self, address: Any, offset: int, nbytes: int, site: int, lanes: Lanes
    ) -> tuple[Window | None, Any, Lanes]:
        """The window of an access, and the index of its first byte; where the threads' windows
        differ or an access isn't allowed, None and their addresses."""
        if address.dtype != np.uint64:
            address = address.astype(np.uint64)
        if address.ndim == 0:
            low = high = int(address) + offset
            merged = low
        else:
            low, high = int(address.min()) + offset, int(address.max()) + offset
            merged = int(np.bitwise_or.reduce(address + np.uint64(offset % 2**64)))
        window = self.space.find(low, high + nbytes)
        if window is None or merged & (nbytes - 1):
            addresses = address + np.uint64(offset % 2**64)
            return None, np.broadcast_to(addresses, self.length(lanes)), lanes
        index = address - np.uint64((window.base - window.start - offset) % 2**64)
        if window.per and window.stride:
            copies = self.block if window.per == "block" else self._copies()
            if lanes is not None:
                copies = copies[lanes]
            if self.n_blocks > 1 or window.per == "thread":
                index = index + (copies * window.stride).astype(np.uint64)
        return window, index.view(np.int64), lanes

    def _copies(self) -> Array:
        """The number of each thread among those of these blocks."""
        return self.block * self.n_threads + self.thread

    def _apart(self, addresses: Array, nbytes: int, site: int, lanes: Lanes) -> list[Array]:
        """Threads by the window that they access; reports those that access none."""
        parts = []
        misaligned = (addresses & np.uint64(nbytes - 1)) != 0
        if misaligned.any():
            where = np.flatnonzero(misaligned)
            text = f"accesses {nbytes} bytes at an address that isn't a multiple of {nbytes}"
            self.fail("misaligned", text, site, where if lanes is None else lanes[where])
        left = ~misaligned
        for window in self.space.windows:
            inside = left & (addresses >= window.low) & (addresses <= window.high - nbytes)
            if inside.any():
                parts.append(np.flatnonzero(inside))
                left &= ~inside
        if left.any():
            where = np.flatnonzero(left)
            text = self._outside(int(addresses[where[0]]), nbytes)
            self.fail("outside", text, site, where if lanes is None else lanes[where])
        return parts

    def _outside(self, address: int, nbytes: int) -> str:
        window = self.space.nearest(address)
        if window is None:
            return f"accesses {nbytes} bytes at address {address:#x}, where there is no memory"
        return (
            f"accesses {nbytes} bytes from byte {address - window.low} of {window.name} on, which"
            f" has {window.high - window.low}"
        )

    def overflowed(self, excess: Any, site: int, lanes: Lanes) -> None:
        """Reports threads whose address is made of an index that has wrapped around: those that
        have an excess (overflow.py)."""
        if not np.any(excess):
            return
        where = np.flatnonzero(np.broadcast_to(excess, self.length(lanes)))
        text = "accesses an address made of a 32-bit index that has wrapped around"
        self.fail("overflow", text, site, where if lanes is None else lanes[where])


def _taken(view: Array, index: Any, itemsize: int, n: int) -> Any:
    first = index >> (itemsize.bit_length() - 1)
    if index.ndim == 0:
        values = tuple(view[first + k] for k in range(n))
    else:
        values = tuple(view.take(first + k if k else first) for k in range(n))
    return values[0] if n == 1 else values
