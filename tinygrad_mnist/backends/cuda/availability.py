"""Whether a GPU can be used here. If not: what is missing, and how to install it.

A GPU is used without a compiler, as long as all kernels are in the cache. Nothing here imports
Numba or starts work on a GPU, so the check is cheap.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from functools import cache

from tinygrad_mnist.backends.cuda.ahead import wanted_capability
from tinygrad_mnist.backends.cuda.api import (
    Device,
    chosen_device,
    devices,
    driver_version,
    hidden,
    load_driver,
)
from tinygrad_mnist.backends.cuda.cache import carried_folder
from tinygrad_mnist.backends.cuda.toolkit import (
    INSTALL,
    INSTALL_12,
    NEWEST,
    RELEASES,
    Missing,
    Version,
    compiler_missing,
    is_there,
    not_installed,
    oldest_driver,
    oldest_driver_for,
    toolkit,
)
from tinygrad_mnist.errors import DeviceError

_DRIVERS = "https://www.nvidia.com/drivers"


@cache
def missing() -> tuple[Missing, ...]:
    """What keeps this process from using a GPU; empty if one can be used."""
    if wanted_capability() is not None:
        return compiler_missing()
    return (*_driver_and_gpu(), *_packages())


def usable() -> bool:
    """Whether a GPU can be used, if its kernels are in the cache or can be compiled."""
    return not missing()


def usable_for_all() -> bool:
    """Whether a GPU can be used for any program: kernels can be compiled, or have been carried."""
    return usable() and (not compiler_missing() or carried_folder() is not None)


def refusal() -> str | None:
    """One sentence: why no GPU can be used, and what to install. None if one can be used."""
    parts = missing()
    if not parts:
        return None
    problems = ", and ".join(part.problem for part in parts)
    remedies = ", then ".join(dict.fromkeys(part.remedy for part in parts if part.remedy))
    return f"no GPU can be used: {problems}{f'; {remedies}' if remedies else ''}"


def gpus() -> list[Device]:
    """All GPUs that the driver finds, unusable ones included; empty without a driver."""
    try:
        return devices(load_driver())
    except (DeviceError, ModuleNotFoundError):
        return []


def chosen() -> int:
    """The number of the GPU in use; DeviceError if there is none."""
    return chosen_device(gpus()).number


def driver_serves() -> str:
    """The newest CUDA that the driver supports, such as '13.0'; DeviceError without a driver."""
    return ".".join(map(str, driver_version(load_driver())))


def _driver_and_gpu() -> Iterator[Missing]:
    if sys.platform == "darwin":
        yield Missing("driver", "NVIDIA has no driver for macOS", "")
        return
    library = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"
    needed = oldest_driver()
    try:
        ctypes.CDLL(library)
    except OSError:
        problem = f"there is no NVIDIA driver ({library})"
        remedy = _install_driver(needed if toolkit() else oldest_driver_for(NEWEST))
        yield Missing("driver", problem, remedy)
        return
    if not is_there("cuda.bindings"):
        return  # the driver can't be called; `_packages` reports that
    try:
        driver = load_driver()
        version = driver_version(driver)
    except DeviceError as error:
        yield Missing("driver", f"{error}{hidden()}", "")
        return
    if version < needed:
        yield _old_driver(version, needed)
        return
    try:
        chosen_device(devices(driver))
    except DeviceError as error:
        yield Missing("GPU", str(error), "")


def _old_driver(version: Version, needed: Version) -> Missing:
    has, needs = (".".join(map(str, v)) for v in (version, needed))
    problem = f"NVIDIA's driver supports CUDA {has}, not {needs}"
    remedy = _install_driver(needed)
    if version[0] == needed[0] - 1:
        package = f"cuda-compat-{needed[0]}-{needed[1]}"
        remedy += f", or, for a data-centre GPU, NVIDIA's system package {package}"
    if needed[0] == 13 and version >= (12, 4):
        remedy = f"{INSTALL_12} in a new environment, or {remedy}"
    return Missing("driver", problem, remedy)


def _install_driver(needed: Version) -> str:
    release = RELEASES.get(needed)
    which = f", {release} or later," if release else f" for CUDA {needed[0]}.{needed[1]}"
    return f"install NVIDIA's driver{which} from {_DRIVERS}"


def _packages() -> Iterator[Missing]:
    if not is_there("cuda.bindings"):
        supported = _driver_supports()
        is_old = supported is not None and supported < oldest_driver_for(NEWEST)
        yield not_installed(["cuda-bindings"], INSTALL_12 if is_old else INSTALL)


def _driver_supports() -> Version | None:
    """The newest CUDA that the driver supports, asked without cuda-bindings."""
    number = ctypes.c_int()
    try:
        if ctypes.CDLL("libcuda.so.1").cuDriverGetVersion(ctypes.byref(number)) != 0:
            return None
    except (OSError, AttributeError):
        return None
    return number.value // 1000, number.value % 1000 // 10
