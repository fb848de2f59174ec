"""The GPU that a benchmark runs on, for its report; read without a context of its own."""

from __future__ import annotations

import shutil
import subprocess
from typing import Any

from tinygrad_mnist.backends.cuda.api import devices, driver_version, load_driver
from tinygrad_mnist.backends.cuda.availability import refusal
from tinygrad_mnist.errors import DeviceError


def describe() -> dict[str, Any]:
    """The first GPU that is visible.

    peak_flops: of float32 multiply-adds at the highest clock, counted, not measured. Raises
    DeviceError, which says in one sentence what is missing, where no GPU can be used.
    """
    if problem := refusal():
        raise DeviceError(problem)
    driver = load_driver()
    device = devices(driver)[0]
    return {
        "gpu": device.name,
        "compute_capability": ".".join(map(str, device.capability)),
        "multiprocessors": device.multiprocessors,
        "highest_clock_hz": device.clock,
        "memory_bytes": device.memory,
        "driver": _driver_release(),
        "driver_cuda": ".".join(map(str, driver_version(driver))),
        "peak_flops": device.peak("float32"),
    }


def _driver_release() -> str:
    """As nvidia-smi reports it; "unknown" where that command is missing."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = result.stdout.split()
    return lines[0] if result.returncode == 0 and lines else "unknown"
