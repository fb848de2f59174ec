"""The backends `cuda`, `cudasim` and `ptx`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_mnist.backends.base import Arena, Program
from tinygrad_mnist.backends.cuda.ahead import CompilingGpu, wanted_capability
from tinygrad_mnist.backends.cuda.availability import refusal, usable_for_all
from tinygrad_mnist.backends.cuda.code import kernel_names
from tinygrad_mnist.backends.cuda.design import design_plan
from tinygrad_mnist.backends.cuda.driver import CudaGpu
from tinygrad_mnist.backends.cuda.gpu import Gpu
from tinygrad_mnist.backends.cuda.program import CudaArena, CudaProgram
from tinygrad_mnist.backends.cuda.simulator import SimulatedGpu
from tinygrad_mnist.backends.cuda.toolkit import compiler_missing
from tinygrad_mnist.backends.ptx.gpu import PtxGpu
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.compile.plan import Plan
from tinygrad_mnist.errors import DeviceError


class CudaBackend:
    """Numba-CUDA kernels, fused forms included, on one GPU, in the simulator, or as PTX."""

    fuses = True
    keeps_shared = True
    threads = 1
    rising: frozenset[tuple[str, str]] = frozenset()  # CUDA promises it of none
    keeps_depth = True  # a launch that waits for another one costs as much as many side by side

    def __init__(self, gpu: Gpu) -> None:
        self._gpu = gpu
        self.name = gpu.backend

    @property
    def kernels(self) -> frozenset[str]:
        return kernel_names()

    @property
    def target(self) -> str:
        return self._gpu.name

    def peak(self, dtype: str) -> float | None:
        """Peak FLOP/s of all multiprocessors at the highest clock; None for the simulator."""
        return self._gpu.peak(dtype)

    def bandwidth(self, nbytes: int) -> float | None:
        """Bytes/s, measured by copies on the GPU; None for the simulator."""
        return self._gpu.bandwidth(nbytes)

    def arena(self) -> Arena:
        return CudaArena(self._gpu)

    @property
    def compiles(self) -> bool:
        return self.name != "cudasim"

    def prepare(self, plans: Sequence[Plan]) -> None:
        capability = self._gpu.capability
        self._gpu.load([c.design for plan in plans for c in design_plan(plan, capability)])

    def program(self, plan: Plan, arena: Any) -> Program:
        return CudaProgram(plan, arena)


_WITHOUT_A_GPU = (
    "To compute without a GPU, set network3.GPU = False, config.device = 'cpu' or --device cpu; "
    "`tinygrad-mnist devices` shows what is here and what is missing"
)


def cuda_backend(name: str) -> CudaBackend:
    """The backend `cuda`, `cudasim` or `ptx`; DeviceError if it can't be used."""
    if name == "cudasim":
        return CudaBackend(SimulatedGpu())
    if name == "ptx":
        return ptx_backend()
    problem = refusal()
    if problem is not None:
        raise DeviceError(f"{problem}. {_WITHOUT_A_GPU}")
    capability = wanted_capability()
    return CudaBackend(CudaGpu() if capability is None else CompilingGpu(capability))


def ptx_backend(observer: Observer | None = None) -> CudaBackend:
    """The backend `ptx`, whose launches an observer checks; DeviceError without a compiler."""
    parts = compiler_missing()
    if parts:
        problems = ", and ".join(part.problem for part in parts)
        raise DeviceError(f"the device ptx needs CUDA's compiler: {problems}; {parts[0].remedy}")
    return CudaBackend(PtxGpu(observer))


def is_usable(name: str) -> bool:
    """Whether any program can run on `cuda_backend(name)`: without a compiler, kernels must have
    been carried from elsewhere."""
    return name in ("cudasim", "ptx") or usable_for_all()
