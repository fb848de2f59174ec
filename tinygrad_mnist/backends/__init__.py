"""Backends run plans. Each declares the kernels it has; `backend(name)` finds one."""

from __future__ import annotations

from tinygrad_mnist.backends.base import Arena, Backend, Operand, Program
from tinygrad_mnist.backends.cpu import CpuBackend
from tinygrad_mnist.backends.cuda import cuda_backend
from tinygrad_mnist.backends.reference import ReferenceBackend

BACKENDS: dict[str, Backend] = {b.name: b for b in (CpuBackend(), ReferenceBackend())}


def backend(name: str) -> Backend:
    """The backend of that name.

    Raises DeviceError, which says what is missing, for a GPU that can't be used here.
    """
    if name not in BACKENDS:
        BACKENDS[name] = cuda_backend(name)
    return BACKENDS[name]


__all__ = ["BACKENDS", "Arena", "Backend", "Operand", "Program", "backend"]
