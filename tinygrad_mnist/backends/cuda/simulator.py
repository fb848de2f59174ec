"""Numba's simulator of a GPU: kernels run as Python, with a thread per CUDA thread.

The simulator replaces numba.cuda in the whole process. So it must be chosen before Numba is
imported, and one process can't use both the simulator and a GPU.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from itertools import pairwise
from time import perf_counter
from typing import Any

import numpy as np

from tinygrad_mnist.backends.cuda.design import Design
from tinygrad_mnist.backends.cuda.gpu import Bound, Loaded, LoadedKernel, Memory, Recording, Replay
from tinygrad_mnist.backends.cuda.make import Kernel, make, make_advance
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.errors import DeviceError
from tinygrad_mnist.graph.access import ForkSafeLock

_SWITCH = "NUMBA_ENABLE_CUDASIM"


def enable_simulator() -> None:
    """Makes numba.cuda the simulator; DeviceError if it is already loaded as the compiler."""
    before = os.environ.get(_SWITCH)
    if "numba" not in sys.modules:
        os.environ[_SWITCH] = "1"
    try:
        device = import_module("tinygrad_mnist.kernels.core.device")
    except ModuleNotFoundError as error:
        raise DeviceError(
            "the CUDA simulator needs the packages numba and numba-cuda: install them with"
            " pip install 'numba>=0.66' 'numba-cuda>=0.30.4,<0.31'"
        ) from error
    finally:  # Numba has read it; child processes must not
        if before is None:
            os.environ.pop(_SWITCH, None)
        else:
            os.environ[_SWITCH] = before
    if not device.SIMULATED:
        raise DeviceError(
            f"Numba is loaded without its CUDA simulator: set {_SWITCH}=1 before the program starts"
        )


class _HostMemory:
    """Device memory as an array of bytes on the host."""

    def __init__(self, nbytes: int) -> None:
        self.bytes = np.full(nbytes, 0xAB, np.uint8)  # makes reads of unwritten memory visible

    @property
    def nbytes(self) -> int:
        return self.bytes.nbytes


class SimulatedGpu:
    """See `gpu.Gpu`."""

    name = "Numba's CUDA simulator"
    backend = "cudasim"
    capability = (9, 0)

    def __init__(self) -> None:
        enable_simulator()
        self._loaded: dict[Design, Loaded] = {}

    def allocate(self, nbytes: int) -> Memory:
        return _HostMemory(nbytes)

    def pointer(self, memory: Any, dtype: str, offset: int) -> Any:
        kind = np.dtype(np.uint8 if dtype == "bool" else dtype)
        whole = memory.bytes[: memory.nbytes // kind.itemsize * kind.itemsize]
        return whole.view(kind)[offset:]

    def upload(self, memory: Any, array: Array) -> None:
        memory.bytes[: array.nbytes] = array.reshape(-1).view(np.uint8)

    def download(self, memory: Any, array: Array) -> None:
        array.reshape(-1).view(np.uint8)[...] = memory.bytes[: array.nbytes]

    def load(self, designs: Sequence[Design]) -> list[Loaded]:
        for design in designs:
            if design not in self._loaded:
                self._loaded[design] = self._load(design)
        return [self._loaded[design] for design in designs]

    def _load(self, design: Design) -> Loaded:
        made = make(design)
        dtype, n = made.workspace or ("uint8", 0)
        nbytes = n * np.dtype(dtype).itemsize
        return Loaded(tuple(map(_simulated, made.kernels)), nbytes, dtype)

    def load_advance(self) -> LoadedKernel:
        return _simulated(make_advance())

    def record(self, launches: Sequence[Bound]) -> Recording:
        return Replay(launches, _run)

    def time(self, launches: Sequence[Bound]) -> list[float]:
        points = [perf_counter()]
        for launch in launches:
            _run(launch)
            points.append(perf_counter())
        return [end - begin for begin, end in pairwise(points)]

    def synchronize(self) -> None:
        """Does nothing: all work is done when it is started."""

    def peak(self, dtype: str) -> None:
        """Unknown."""

    def bandwidth(self, nbytes: int) -> None:
        """Unknown."""


def _simulated(kernel: Kernel) -> LoadedKernel:
    cuda = import_module("tinygrad_mnist.kernels.core.device").cuda
    function = kernel.function

    def quiet(p: Any, state: Any, ahead: Any) -> None:
        with np.errstate(all="ignore"):  # as on a device; NumPy's setting is per thread
            simulated(p, state, ahead)

    simulated = cuda.jit(device=True)(function)
    handle = cuda.jit(quiet)
    return LoadedKernel(handle, len(kernel.dtypes), kernel.shape)


_one_at_a_time = ForkSafeLock()


def _run(launch: Bound) -> None:
    """Runs one launch. Arguments are tuples, which the simulator passes without copying."""
    handle, _, (grid, block, shared_bytes) = launch.kernel
    with _one_at_a_time:
        configured = handle[grid, block, 0, shared_bytes]
        configured(launch.pointers, launch.state, launch.ahead)
