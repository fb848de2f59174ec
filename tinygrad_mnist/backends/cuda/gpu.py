"""What a program needs of a GPU: memory, kernels, and sequences of launches that can be repeated.

Two have it: a real one (`driver.py`) and Numba's simulator (`simulator.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from tinygrad_mnist.backends.cuda.design import Capability, Design
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.kernels.core.call import LaunchShape


class Memory(Protocol):
    """A block of device memory; freed when nobody refers to it any more."""

    @property
    def nbytes(self) -> int: ...


class LoadedKernel(NamedTuple):
    """A kernel that is ready to be launched.

    handle: the GPU's own. pointers: how many it takes.
    """

    handle: Any
    pointers: int
    shape: LaunchShape


class Loaded(NamedTuple):
    """The kernels of a design, and the scratch memory that they share."""

    kernels: tuple[LoadedKernel, ...]
    workspace_bytes: int
    workspace_dtype: str = "uint8"


class Bound(NamedTuple):
    """A launch with its arguments.

    pointers: the operands', then the workspace's, as `Gpu.pointer` made them. state: pointers to
    the words and to the step table (see `kernels/core/entry.py`). ahead: number of the step within
    its graph. after: places, in the sequence of launches, of those that it waits for.
    """

    kernel: LoadedKernel
    pointers: tuple[Any, ...]
    state: tuple[Any, Any]
    ahead: int
    after: tuple[int, ...] = ()


class Recording(Protocol):
    """Launches that can be carried out again and again, each after those that it waits for."""

    def replay(self) -> None:
        """Starts them; they run after all that was started before."""


class Gpu(Protocol):
    """A device with one stream: what is started later begins when all before it has ended.

    name: as its maker calls it. backend: the backend's name. capability: what its machine code is
    made for.
    """

    name: str
    backend: str
    capability: Capability

    def allocate(self, nbytes: int) -> Memory:
        """Fresh memory, at a multiple of 256 bytes; DeviceMemoryError where there is none left."""

    def pointer(self, memory: Memory, dtype: str, offset: int) -> Any:
        """A kernel's pointer to element `offset` of memory that holds elements of `dtype`."""

    def upload(self, memory: Memory, array: Array) -> None:
        """Copies a C-contiguous array to the memory's beginning."""

    def download(self, memory: Memory, array: Array) -> None:
        """Copies from the memory's beginning to a C-contiguous array; waits for all before it."""

    def load(self, designs: Sequence[Design]) -> list[Loaded]:
        """Kernels of designs; compiles what neither this process nor the user's cache has."""

    def load_advance(self, steps: int) -> LoadedKernel:
        """The kernel that ends a graph of so many steps."""

    def record(self, launches: Sequence[Bound]) -> Recording:
        """A recording of launches; nothing runs yet."""

    def time(self, launches: Sequence[Bound]) -> list[float]:
        """Runs launches one after the other, once; returns how long each took, in seconds."""

    def synchronize(self) -> None:
        """Waits for all that was started; DeviceError where something of it failed."""

    def peak(self, dtype: str) -> float | None:
        """FLOP/s of multiply-adds in `dtype`; None where nobody can tell."""

    def bandwidth(self, nbytes: int) -> float | None:
        """Bytes/s, read and written, of going through so much memory again and again; or None."""
