"""The GPU that a benchmark runs on: name, driver and peak, read without a context of its own."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import sys
from typing import Any

from tinygrad_mnist.errors import DeviceError

# Attributes of a device, as the driver numbers them.
_CLOCK_KHZ, _MULTIPROCESSORS, _MAJOR, _MINOR, _L2_BYTES = 13, 16, 75, 76, 38
# float32 multiply-adds per clock cycle of a multiprocessor, by compute capability.
_LANES = {(7, 0): 64, (7, 5): 64, (8, 0): 64}
_LANES_SINCE = 128


def describe() -> dict[str, Any]:
    """The first GPU that is visible, for a report.

    peak_flops: of float32 multiply-adds at the highest clock, counted, not measured. Raises
    DeviceError, which says in one sentence what is missing, where there is no GPU.
    """
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    try:
        driver = ctypes.CDLL(library)
    except OSError as error:
        raise DeviceError(
            f"no GPU can be used here: NVIDIA's driver ({library}) is not installed"
        ) from error
    count = ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        raise DeviceError("no GPU can be used here: NVIDIA's driver finds none")
    name, version = ctypes.create_string_buffer(256), ctypes.c_int()
    driver.cuDeviceGetName(name, 256, 0)
    driver.cuDriverGetVersion(ctypes.byref(version))

    def attribute(number: int) -> int:
        value = ctypes.c_int()
        if driver.cuDeviceGetAttribute(ctypes.byref(value), number, 0):
            raise DeviceError(f"the GPU's driver doesn't tell attribute {number} of the device")
        return value.value

    capability = (attribute(_MAJOR), attribute(_MINOR))
    multiprocessors, clock = attribute(_MULTIPROCESSORS), attribute(_CLOCK_KHZ) * 1e3
    return {
        "gpu": name.value.decode(),
        "compute_capability": ".".join(map(str, capability)),
        "multiprocessors": multiprocessors,
        "highest_clock_hz": clock,
        "l2_bytes": attribute(_L2_BYTES),
        "driver": _driver_version(),
        "driver_cuda": f"{version.value // 1000}.{version.value % 1000 // 10}",
        "peak_flops": 2 * _LANES.get(capability, _LANES_SINCE) * multiprocessors * clock,
    }


def _driver_version() -> str:
    """As nvidia-smi tells it; "unknown" where that is not there."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return "unknown"
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, check=False)
    lines = result.stdout.split()
    return lines[0] if result.returncode == 0 and lines else "unknown"
