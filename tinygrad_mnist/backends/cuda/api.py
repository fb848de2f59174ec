"""NVIDIA's driver as Python sees it: its functions, what its errors mean, and the GPUs it knows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

from tinygrad_mnist.backends.cuda.design import Capability
from tinygrad_mnist.errors import DeviceError, DeviceMemoryError

# What machine code needs: CUDA 13's compiler makes it for these GPUs, these drivers load it.
OLDEST_DRIVER = (13, 0)
OLDEST_CAPABILITY: Capability = (7, 5)
NUMBER = "TINYGRAD_MNIST_GPU"  # the environment's choice of a GPU

# After these nothing of this process can use the GPU any more.
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
# Multiply-adds in float32 that a multiprocessor starts in a cycle, where they are not 128.
_LANES = {(7, 5): 64, (8, 0): 64}


class Driver:
    """The functions of the driver: `driver(doing, name, ...)` calls one and returns its result.

    doing: says in an error what failed, such as 'copying to the GPU'. A call that fails raises
    DeviceError, or DeviceMemoryError where there is no memory left; both name the driver's error.
    """

    def __init__(self) -> None:
        self.functions: Any = import_module("cuda.bindings.driver")

    def __call__(self, doing: str, function: str, *arguments: Any) -> Any:
        try:
            code, *results = getattr(self.functions, function)(*arguments)
        except RuntimeError as error:  # the library or the function is not there
            raise DeviceError(f"{doing} failed: {error}") from error
        if code != 0:
            raise self.error(doing, function, code)
        return results[0] if results else None

    def error(self, doing: str, function: str, code: Any) -> DeviceError:
        """The exception for an error that a function has returned."""
        name, text = self._words(code)
        if name == "CUDA_ERROR_OUT_OF_MEMORY":
            return DeviceMemoryError(f"{doing} failed: the GPU's memory is full ({name})")
        hint = ""
        if name in _FINAL:
            hint = "; this process can't use the GPU any more"
        return DeviceError(f"{doing} failed: {name} in {function}: {text}{hint}")

    def _words(self, code: Any) -> tuple[str, str]:
        """Name and meaning of an error."""
        words = []
        for function in (self.functions.cuGetErrorName, self.functions.cuGetErrorString):
            failed, text = function(code)
            words.append(text.decode() if failed == 0 and text else f"error {int(code)}")
        return words[0], words[1]


class Device(NamedTuple):
    """A GPU. clock, memory_clock: in Hz. bus: of its memory, in bits.

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
        """FLOP/s of multiply-adds in float32 or float64, on all multiprocessors at the highest
        clock."""
        lanes = _LANES.get(self.capability, 128)
        ratio = self.float64_ratio if dtype == "float64" else 1
        return 2.0 * lanes * self.multiprocessors * self.clock / ratio

    @property
    def problem(self) -> str | None:
        """Why this package can't use it, or None."""
        if self.capability < OLDEST_CAPABILITY:
            has, needs = (".".join(map(str, c)) for c in (self.capability, OLDEST_CAPABILITY))
            return f"{self.name} has compute capability {has}; CUDA 13 serves {needs} and later"
        return None


@cache
def load_driver() -> Driver:
    """The driver, ready for use.

    Raises ModuleNotFoundError without the package cuda-bindings; DeviceError where there is no
    driver, or no GPU for it.
    """
    driver = Driver()
    driver("starting NVIDIA's driver", "cuInit", 0)
    return driver


def driver_version(driver: Driver) -> tuple[int, int]:
    """The newest CUDA that the driver serves."""
    number = driver("asking for the driver's version", "cuDriverGetVersion")
    return number // 1000, number % 1000 // 10


def devices(driver: Driver) -> list[Device]:
    """All GPUs, as CUDA_VISIBLE_DEVICES lets them be seen."""
    n = driver("counting GPUs", "cuDeviceGetCount")
    return [_describe(driver, number) for number in range(n)]


def chosen_device(known: Sequence[Device]) -> Device:
    """The GPU that TINYGRAD_MNIST_GPU names by its number, else the first; DeviceError where it
    is not there, or too old."""
    text = os.environ.get(NUMBER) or "0"
    if not known:
        raise DeviceError(f"NVIDIA's driver sees no GPU{hidden()}")
    if not text.isdecimal() or int(text) >= len(known):
        here = f"the GPUs here are 0 to {len(known) - 1}" if known[1:] else "the only GPU here is 0"
        raise DeviceError(f"{NUMBER} is {text!r}; {here}")
    device = known[int(text)]
    if device.problem is not None:
        raise DeviceError(device.problem)
    return device


def hidden() -> str:
    """A hint where the environment may hide GPUs."""
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
