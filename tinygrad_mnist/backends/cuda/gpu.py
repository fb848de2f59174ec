"""The interface of a GPU: memory, kernels, and recordings of launches that can be replayed.

It has three implementations: a real GPU (`driver.py`), Numba's simulator (`simulator.py`), and a
machine that runs the kernels' PTX (`backends/ptx/gpu.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from tinygrad_mnist.backends.cuda.design import Capability, Design
from tinygrad_mnist.backends.cuda.operands import Pointer
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.kernels.core.call import LaunchShape


class Memory(Protocol):
    """A block of device memory; freed when it is no longer referenced."""

    @property
    def nbytes(self) -> int: ...


class LoadedKernel(NamedTuple):
    """A kernel that is ready to be launched.

    handle: the GPU's own. pointers: how many pointers to operands and workspace it takes.
    """

    handle: Any
    pointers: int
    shape: LaunchShape


class Loaded(NamedTuple):
    """The kernels of a design, and their common scratch memory."""

    kernels: tuple[LoadedKernel, ...]
    workspace_bytes: int
    workspace_dtype: str = "uint8"


class Bound(NamedTuple):
    """A launch with its arguments.

    pointers: those of the operands, then that of the workspace, from `Gpu.pointer`. state: pointers
    to the words and to the step table (see `kernels/core/entry.py`). ahead: number of the step
    within its graph; of the last launch, how many steps the graph has. after: indices, in the
    sequence of launches, of those that it waits for. operands: where the operands' pointers begin,
    and how they move from step to step. width: columns of the step table.
    """

    kernel: LoadedKernel
    pointers: tuple[Any, ...]
    state: tuple[Any, Any]
    ahead: int
    after: tuple[int, ...] = ()
    operands: tuple[Pointer, ...] = ()
    width: int = 0


class Replay:
    """A recording on the host that runs launches one by one.

    A graph may run a launch as soon as those that it waits for are done. Of these the last one in
    the plan runs first here, so that a missing dependency is noticed.
    """

    def __init__(self, launches: Sequence[Bound], run: Callable[[Bound], None]) -> None:
        left = set(range(len(launches)))
        self._run = run
        self._launches: list[Bound] = []
        while left:
            index = max(k for k in left if left.isdisjoint(launches[k].after))
            left.remove(index)
            self._launches.append(launches[index])

    def replay(self) -> None:
        for launch in self._launches:
            self._run(launch)


class Recording(Protocol):
    """Launches that can be replayed; each runs after those that it waits for."""

    def replay(self) -> None:
        """Starts them; they run after everything started before."""


class Gpu(Protocol):
    """A device with one stream: work begins when all work started before it has ended.

    name: the product's. backend: name of the backend. capability: compute capability.
    """

    name: str
    backend: str
    capability: Capability

    def allocate(self, nbytes: int) -> Memory:
        """New memory, aligned to 256 bytes; DeviceMemoryError if the memory is full."""

    def pointer(self, memory: Memory, dtype: str, offset: int) -> Any:
        """A kernel's pointer to element `offset` of memory with elements of `dtype`."""

    def upload(self, memory: Memory, array: Array) -> None:
        """Copies a C-contiguous array to the beginning of the memory."""

    def download(self, memory: Memory, array: Array) -> None:
        """Copies from the beginning of the memory to a C-contiguous array; returns when this copy
        and all work before it are done."""

    def load(self, designs: Sequence[Design]) -> list[Loaded]:
        """The kernels of designs; those that are not in memory or in the cache are compiled."""

    def load_advance(self) -> LoadedKernel:
        """The kernel at the end of a graph, whose `ahead` is the number of the graph's steps."""

    def record(self, launches: Sequence[Bound]) -> Recording:
        """A recording of launches; nothing runs yet."""

    def time(self, launches: Sequence[Bound]) -> list[float]:
        """Runs launches one by one, once; returns the seconds that each took."""

    def synchronize(self) -> None:
        """Waits for all work; DeviceError if some of it failed."""

    def peak(self, dtype: str) -> float | None:
        """Peak FLOP/s of multiply-adds in `dtype`; None if unknown."""

    def bandwidth(self, nbytes: int) -> float | None:
        """Bytes/s, read and written, of copies within `nbytes` of memory; None if unknown."""
