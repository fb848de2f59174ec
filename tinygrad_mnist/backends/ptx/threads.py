"""The threads of some blocks of a launch while they run, and their registers."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tinygrad_mnist.backends.ptx.kernel import Kernel, Shape
from tinygrad_mnist.backends.ptx.memory import AddressSpace
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.backends.ptx.types import PtxError, UnsetRegisterError
from tinygrad_mnist.contracts.core.base import Array

WARP = 32

Lanes = Any  # numbers of threads as an array, or None for all


class Threads:
    """The code of a kernel calls the methods of this class and its heirs.

    n: threads. block, thread: of each thread, the number of its block among these, and its own
    number in the block. numbers: those of these blocks in the grid.
    """

    def __init__(
        self,
        kernel: Kernel,
        shape: Shape,
        parameters: Sequence[int],
        space: AddressSpace,
        numbers: Array,
        observer: Observer | None,
    ) -> None:
        self.kernel, self.shape, self.space = kernel, shape, space
        self.numbers, self.n_blocks, self.observer = numbers, len(numbers), observer
        self.n_threads = prod(shape.block)
        self.n = self.n_blocks * self.n_threads
        self.block = np.repeat(np.arange(self.n_blocks), self.n_threads)
        self.thread = np.tile(np.arange(self.n_threads), self.n_blocks)
        self.epochs = np.zeros(self.n_blocks, np.int64)  # barriers that each block has passed
        self._values = dict(zip(kernel.parameters, parameters, strict=True))
        self.registers: list[Any] = [None] * kernel.n_registers
        self._special: dict[str, Any] = {}
        self.alive = self.n  # threads that have not ended

    def length(self, lanes: Lanes) -> int:
        """How many threads these are."""
        return self.n if lanes is None else len(lanes)

    # --- registers ----------------------------------------------------------------------------

    def get(self, number: int, lanes: Lanes) -> Any:
        value = self.registers[number]
        if value is None:
            raise UnsetRegisterError(
                f"{self.kernel.name} reads the register {self.kernel.register_names[number]},"
                " which it has not written"
            )
        return value if lanes is None or value.ndim == 0 else value[lanes]

    def put(self, number: int, value: Any, lanes: Lanes) -> None:
        if lanes is None:
            self.registers[number] = value
            return
        old = self.registers[number]
        if old is None:
            new = _unset(self.n, value.dtype)
        elif old.ndim == 0:
            new = np.full(self.n, old)
        else:
            new = old.copy()  # it may be that of another register, too
        new[lanes] = value
        self.registers[number] = new

    def special(self, name: str, lanes: Lanes) -> Any:
        """The value of a special register, as uint32."""
        if name not in self._special:
            self._special[name] = self._computed(name)
        value = self._special[name]
        return value if lanes is None or value.ndim == 0 else value[lanes]

    def _computed(self, name: str) -> Any:
        what, _, axis = name.partition("_")
        k = "xyz".index(axis) if axis else 0
        if what in ("ntid", "nctaid"):
            return np.uint32((self.shape.block if what == "ntid" else self.shape.grid)[k])
        if what in ("tid", "ctaid"):
            extent = self.shape.block if what == "tid" else self.shape.grid
            number = self.thread if what == "tid" else self.numbers[self.block]
            if extent[k] == 1:
                return np.uint32(0)
            if what == "ctaid" and self.n_blocks == 1:
                return np.uint32(self.numbers[0] // prod(extent[:k]) % extent[k])
            return (number // prod(extent[:k]) % extent[k]).astype(np.uint32)
        if what == "laneid":
            return (self.thread % WARP).astype(np.uint32)
        if what == "warpid":
            return (self.thread // WARP).astype(np.uint32)
        raise PtxError(f"this machine has no special register %{name.replace('_', '.')}")

    def fail(self, kind: str, text: str, site: int, lanes: Lanes) -> None:
        """Reports what threads do wrong; without an observer, as an error."""
        observer = self.observer or Observer()
        observer.found(self, kind, text, self.kernel.sites[site], lanes)
        if self.observer is None:
            raise PtxError(str(observer.findings[0]))


def _unset(n: int, dtype: np.dtype[Any]) -> Array:
    """What threads find in a register that only others have written: NaN, -1 or True."""
    if dtype.kind == "b":
        return np.ones(n, dtype)
    return np.full(n * dtype.itemsize, 0xFF, np.uint8).view(dtype)
