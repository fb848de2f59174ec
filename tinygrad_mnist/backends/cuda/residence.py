"""Shared variables in device memory."""

from __future__ import annotations

from tinygrad_mnist.backends.cuda.gpu import Gpu, Memory
from tinygrad_mnist.contracts.core.base import Array
from tinygrad_mnist.graph.shared import SharedVariable


class Resident:
    """A shared variable's value in the memory of a GPU; see `graph.variables.DeviceCopy`."""

    def __init__(self, gpu: Gpu, nbytes: int) -> None:
        self.gpu = gpu
        self.memory: Memory = gpu.allocate(max(nbytes, 1))
        self.nbytes = nbytes
        self.is_newer = False
        self.version = -1

    def fetch(self, array: Array) -> None:
        """Copies the value to the host."""
        self.gpu.download(self.memory, array)


def resident(shared: SharedVariable, gpu: Gpu) -> Resident:
    """The variable's value in the memory of `gpu`; copied there unless it is up to date."""
    copy = shared.device_copy
    nbytes = shared.host_array.nbytes
    if not isinstance(copy, Resident) or copy.gpu is not gpu or copy.nbytes != nbytes:
        shared.sync_to_host()
        copy = Resident(gpu, nbytes)
        shared.device_copy = copy
    if copy.version != shared.version:
        gpu.upload(copy.memory, shared.host_array)
        copy.version = shared.version
    return copy
