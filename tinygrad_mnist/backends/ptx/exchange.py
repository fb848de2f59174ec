"""What the threads of a warp do together."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist.backends.ptx import warp
from tinygrad_mnist.backends.ptx.threads import WARP, Lanes, Threads
from tinygrad_mnist.contracts.core.base import Array


class Exchange(Threads):
    """Threads of warps; see `warp.py`."""

    def _warps(self, lanes: Lanes) -> tuple[Array, Array]:
        """Warp and lane of each thread."""
        block, thread = self.block, self.thread
        if lanes is not None:
            block, thread = block[lanes], thread[lanes]
        return warp.positions(block, thread, self.n_threads)

    def _seats(self, number: Array, lane: Array) -> Array:
        """By warp and lane, the index of a thread among those that take part; -1 if it doesn't."""
        seats = np.full((self.n_blocks * -(-self.n_threads // WARP), WARP), -1)
        seats[number, lane] = np.arange(len(lane))
        return seats

    def shuffled(
        self, how: str, value: Any, by: Any, limits: Any, mask: Any, site: int, lanes: Lanes
    ) -> tuple[Any, Any]:
        """The value of another thread of the warp, and whether there is one."""
        number, lane = self._warps(lanes)
        source, inside = warp.sources(how, lane, by, limits)
        value = np.broadcast_to(value, len(lane))
        seat = self._seats(number, lane)[number, source]
        self._check_warp(number, lane, mask, site, lanes)
        absent = np.flatnonzero(seat < 0)
        if len(absent):
            text = "reads the value of a thread that doesn't take part"
            self.fail("warp", text, site, absent if lanes is None else lanes[absent])
        return np.where(seat < 0, value, value[seat]), inside

    def voted(self, how: str, value: Any, mask: Any, site: int, lanes: Lanes) -> Any:
        """all, any, uni or ballot of the threads of each warp that take part."""
        number, lane = self._warps(lanes)
        seats = self._seats(number, lane)
        here = seats >= 0
        self._check_warp(number, lane, mask, site, lanes)
        yes = here & np.broadcast_to(value, len(lane))[seats]
        if how == "ballot":
            bits = (yes.astype(np.uint64) << np.arange(WARP, dtype=np.uint64)).sum(axis=1)
            return bits.astype(np.uint32)[number]
        everyone, someone = (yes == here).all(axis=1), yes.any(axis=1)
        votes = {"all": everyone, "any": someone, "uni": everyone | ~someone}
        return votes[how][number]

    def _check_warp(self, number: Array, lane: Array, mask: Any, site: int, lanes: Lanes) -> None:
        """Reports threads that the mask names and that don't come along."""
        bits = np.broadcast_to(mask, len(lane)).astype(np.int64)
        present = np.zeros(self.n_blocks * -(-self.n_threads // WARP), np.int64)
        np.bitwise_or.at(present, number, 1 << lane)
        missing = np.flatnonzero((bits & ~present[number]) & self._existing(number))
        if len(missing):
            text = "waits for threads of its warp that don't come"
            self.fail("warp", text, site, missing if lanes is None else lanes[missing])

    def _existing(self, number: Array) -> Array:
        """Which lanes of a warp there are at all: the last one of a block may not be full."""
        rest = self.n_threads - number % -(-self.n_threads // WARP) * WARP
        lanes: Array = (1 << np.minimum(rest, WARP)) - 1
        return lanes

    def multiplied(self, k: int, a: Any, b: Any, c: Any, site: int, lanes: Lanes) -> list[Any]:
        """The product of matrices whose elements the threads of each warp hold; see
        `warp.product`."""
        number, lane = self._warps(lanes)
        order = np.lexsort((lane, number))
        if len(order) % WARP or (lane[order].reshape(-1, WARP) != np.arange(WARP)).any():
            self.fail("warp", "multiplies with threads of its warp that don't come", site, lanes)
            return list(c)
        back = np.empty(len(order), np.int64)
        back[order] = np.arange(len(order))

        def rows(values: Any) -> list[Array]:
            n = len(order)
            return [np.broadcast_to(v, n)[order].reshape(-1, WARP) for v in values]

        results = warp.product(k, rows(a), rows(b), rows(c))
        return [r.reshape(-1)[back] for r in results]
