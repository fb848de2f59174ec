"""Backends run plans. Each declares the kernels it has; `backend(name)` finds one."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from tinygrad_mnist.backends.base import Arena, Backend, Guard, Guarded, Operand, Program
from tinygrad_mnist.backends.cpu import CpuBackend
from tinygrad_mnist.backends.reference import ReferenceBackend
from tinygrad_mnist.config import config, device_of

BACKENDS: dict[str, Backend] = {b.name: b for b in (CpuBackend(), ReferenceBackend())}
GPUS = ("cuda", "cudasim", "ptx")


def backend(name: str) -> Backend:
    """The backend of that device; of `'auto'` that of a GPU where one can be used, else the CPU's.

    Raises DeviceError, which says what is missing, for a GPU that can't be used here.
    """
    name = device_of(name)
    if name == "auto":
        name = "cuda" if gpu_backends().is_usable("cuda") else "cpu"
    if name not in BACKENDS:
        BACKENDS[name] = gpu_backends().cuda_backend(name)
    return BACKENDS[name]


def gpu_backends() -> Any:
    """The package of the GPU's backends, which only programs that ask for a GPU have to load."""
    return import_module("tinygrad_mnist.backends.cuda")


def _refuse(name: str) -> None:
    """Raises DeviceError for a device that can't be used."""
    if name in GPUS:
        backend(name)


config.refuse_devices(_refuse)

__all__ = [
    "BACKENDS",
    "GPUS",
    "Arena",
    "Backend",
    "Guard",
    "Guarded",
    "Operand",
    "Program",
    "backend",
]
