"""NVIDIA's driver: its functions, its errors as exceptions, and the GPUs that it finds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from tinygrad_mnist.backends.cuda.design import Capability
from tinygrad_mnist.config import config
from tinygrad_mnist.errors import DeviceError, DeviceMemoryError

# CUDA 13's compiler makes code for GPUs from this capability on.
OLDEST_CAPABILITY: Capability = (7, 5)
NUMBER = "TINYGRAD_MNIST_GPU"  # the environment variable that chooses a GPU

# Errors after which this process can't use the GPU any more.
_FINAL = frozenset(
    f"CUDA_ERROR_{name}"
    for name in (
        "ASSERT",
        "CONTEXT_IS_DESTROYED",
        "ECC_UNCORRECTABLE",
        "HARDWARE_STACK_ERROR",
        "ILLEGAL_ADDRESS",
        "ILLEGAL_INSTRUCTION",
        "INVALID_ADDRESS_SPACE",
        "INVALID_PC",
        "LAUNCH_FAILED",
        "LAUNCH_TIMEOUT",
        "MISALIGNED_ADDRESS",
    )
)
# Float32 multiply-adds per cycle and multiprocessor, where they are not 128.
_LANES = {(7, 5): 64, (8, 0): 64}


class Driver:
    """The functions of the driver: `driver(doing, name, ...)` calls one and returns its result.

    doing: what an error names as failed, such as 'copying to the GPU'. A call that fails raises
    DeviceError, or DeviceMemoryError if the GPU's memory is full. Both name the driver's error.
    """

    def __init__(self) -> None:
        self.functions: Any = import_module("cuda.bindings.driver")
        self._process = os.getpid()

    def __call__(self, doing: str, function: str, *arguments: Any) -> Any:
        if os.getpid() != self._process:
            raise DeviceError(
                f"{doing} failed: this process was forked from one that uses NVIDIA's driver, and"
                " can't use a GPU itself; start it with multiprocessing's method 'spawn'"
            )
        try:
            code, *results = getattr(self.functions, function)(*arguments)
        except RuntimeError as error:  # the library or the function is missing
            raise DeviceError(f"{doing} failed: {error}") from error
        if code != 0:
            raise self.error(doing, function, code)
        return results[0] if results else None

    def error(self, doing: str, function: str, code: Any) -> DeviceError:
        """The exception for an error that a function has returned."""
        name, text = self._describe(code)
        if name == "CUDA_ERROR_OUT_OF_MEMORY":
            return DeviceMemoryError(f"{doing} failed: the GPU's memory is full ({name})")
        hint = ""
        if name in _FINAL:
            hint = "; this process can't use the GPU any more"
        return DeviceError(f"{doing} failed: {name} in {function}: {text}{hint}")

    def _describe(self, code: Any) -> tuple[str, str]:
        """Name and meaning of an error."""
        texts = []
        for function in (self.functions.cuGetErrorName, self.functions.cuGetErrorString):
            failed, text = function(code)
            texts.append(text.decode() if failed == 0 and text else f"error {int(code)}")
        return texts[0], texts[1]


class Device(NamedTuple):
    """A GPU.

    memory: in bytes. clock, memory_clock: in Hz. bus: width of the memory bus in bits.
    float64_ratio: how many times faster float32 is than float64.
    """

    number: int
    name: str
    capability: Capability
    memory: int
    multiprocessors: int
    clock: float
    memory_clock: float
    bus: int
    float64_ratio: int

    def peak(self, dtype: str) -> float:
        """Peak FLOP/s of multiply-adds in float32 or float64, at the highest clock."""
        lanes = _LANES.get(self.capability, 128)
        ratio = self.float64_ratio if dtype == "float64" else 1
        return 2.0 * lanes * self.multiprocessors * self.clock / ratio

    @property
    def problem(self) -> str | None:
        """Why this package can't use it, or None."""
        if self.capability < OLDEST_CAPABILITY:
            has, needs = (".".join(map(str, c)) for c in (self.capability, OLDEST_CAPABILITY))
            return f"{self.name} has compute capability {has}; CUDA 13 supports {needs} and later"
        return None


@cache
def load_driver() -> Driver:
    """The driver, ready for use.

    Raises ModuleNotFoundError without the package cuda-bindings, and DeviceError without a driver
    or a GPU.
    """
    driver = Driver()
    driver("starting NVIDIA's driver", "cuInit", 0)
    return driver


def driver_version(driver: Driver) -> tuple[int, int]:
    """The newest version of CUDA that the driver supports."""
    number = driver("asking for the driver's version", "cuDriverGetVersion")
    return number // 1000, number % 1000 // 10


def devices(driver: Driver) -> list[Device]:
    """All GPUs that CUDA_VISIBLE_DEVICES makes visible."""
    n = driver("counting GPUs", "cuDeviceGetCount")
    return [_describe(driver, number) for number in range(n)]


def chosen_device(known: Sequence[Device]) -> Device:
    """The GPU whose number is in TINYGRAD_MNIST_GPU or in `config.device` ('gpu1'), by default the
    first.

    Raises DeviceError if there is no such GPU, or if it is too old.
    """
    text = os.environ.get(NUMBER) or str(config.gpu_number or 0)
    if not known:
        raise DeviceError(f"NVIDIA's driver finds no GPU{hidden()}")
    if not text.isdecimal() or int(text) >= len(known):
        here = f"the GPUs here are 0 to {len(known) - 1}" if known[1:] else "the only GPU here is 0"
        place = NUMBER if os.environ.get(NUMBER) else "the number in config.device"
        raise DeviceError(f"{place} is {text!r}; {here}")
    device = known[int(text)]
    if device.problem is not None:
        raise DeviceError(device.problem)
    return device


def hidden() -> str:
    """A hint for errors: the value of CUDA_VISIBLE_DEVICES, if it is set."""
    choice = os.environ.get("CUDA_VISIBLE_DEVICES")
    return "" if choice is None else f" (CUDA_VISIBLE_DEVICES is {choice!r})"


def _describe(driver: Driver, number: int) -> Device:
    handle = driver(f"looking for GPU {number}", "cuDeviceGet", number)
    names = driver.functions.CUdevice_attribute

    def attribute(name: str) -> int:
        which = getattr(names, f"CU_DEVICE_ATTRIBUTE_{name}")
        value: int = driver(f"asking for {name}", "cuDeviceGetAttribute", which, handle)
        return value

    name = driver("asking for the GPU's name", "cuDeviceGetName", 256, handle)
    return Device(
        number,
        name.split(b"\0")[0].decode(errors="replace"),
        (attribute("COMPUTE_CAPABILITY_MAJOR"), attribute("COMPUTE_CAPABILITY_MINOR")),
        driver("asking for the GPU's memory", "cuDeviceTotalMem", handle),
        attribute("MULTIPROCESSOR_COUNT"),
        attribute("CLOCK_RATE") * 1e3,
        attribute("MEMORY_CLOCK_RATE") * 1e3,
        attribute("GLOBAL_MEMORY_BUS_WIDTH"),
        max(1, attribute("SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO")),
    )
