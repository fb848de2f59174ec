"""The devices of this machine that programs can run on."""

from __future__ import annotations

import os
import platform
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

_CPUINFO = Path("/proc/cpuinfo")


class DeviceInfo(NamedTuple):
    """A device. kind: 'CPU' or 'GPU'. number: 0, 1, … of its kind. memory: in bytes, 0 if unknown.

    description: what it is, in words; of a GPU its name and compute capability.
    """

    kind: str
    number: int
    memory: int
    description: str


def usable_devices() -> list[DeviceInfo]:
    """The processor, and the GPUs that the driver lists if one can be used.

    A GPU that is there but can't be used is left out; `tinygrad-mnist devices` says what is
    missing.
    """
    availability: Any = import_module("tinygrad_mnist.backends.cuda.availability")
    gpus = [] if availability.missing() else availability.gpus()
    return [
        DeviceInfo("CPU", 0, _memory(), processor()),
        *(
            DeviceInfo(
                "GPU",
                gpu.number,
                gpu.memory,
                f"device: {gpu.number}, name: {gpu.name}, compute capability:"
                f" {gpu.capability[0]}.{gpu.capability[1]}",
            )
            for gpu in gpus
        ),
    ]


def processor() -> str:
    """The processor's name, or its architecture where the system doesn't give a name."""
    if _CPUINFO.exists():
        for line in _CPUINFO.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int:
    """The bytes of the machine's memory; 0 where the system doesn't say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0
