"""Whether a GPU can be used here. If not: what is missing, and how to install it.

Nothing here imports Numba or starts work on a GPU, so the check is cheap.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module, metadata, util
from typing import NamedTuple

from tinygrad_mnist.backends.cuda.api import (
    OLDEST_DRIVER,
    Device,
    chosen_device,
    devices,
    driver_version,
    hidden,
    load_driver,
)
from tinygrad_mnist.errors import DeviceError

INSTALL = "pip install 'tinygrad_mnist[cuda]'"
INSTALL_DRIVER = "install NVIDIA's driver, 580 or later, from https://www.nvidia.com/drivers"

# Packages by a module of theirs; the package is installed if the module is found.
_PACKAGES = {
    "numba": "numba",
    "numba_cuda": "numba-cuda",
    "cuda.bindings": "cuda-bindings",
    "cuda.core": "cuda-core",
}
# Libraries of CUDA's compiler, as `cuda.pathfinder` names them, and the packages that have them.
_COMPILER = {"nvvm": "nvidia-nvvm", "nvJitLink": "nvidia-nvjitlink"}


class Missing(NamedTuple):
    """A part that is missing or unusable.

    part: 'driver', 'GPU', 'packages' or 'compiler'. problem: what is wrong, as a clause. remedy:
    what to do about it, or '' if nothing can be installed.
    """

    part: str
    problem: str
    remedy: str


@cache
def missing() -> tuple[Missing, ...]:
    """What keeps this process from using a GPU; empty if one can be used."""
    return (*_driver_and_gpu(), *_packages(), *_compiler())


def usable() -> bool:
    """Whether a GPU can be used."""
    return not missing()


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
    try:
        ctypes.CDLL(library)
    except OSError:
        yield Missing("driver", f"there is no NVIDIA driver ({library})", INSTALL_DRIVER)
        return
    if not _is_there("cuda.bindings"):
        return  # the driver can't be called; `_packages` reports that
    try:
        driver = load_driver()
        version = driver_version(driver)
    except DeviceError as error:
        yield Missing("driver", f"{error}{hidden()}", "")
        return
    if version < OLDEST_DRIVER:
        has, needs = (".".join(map(str, v)) for v in (version, OLDEST_DRIVER))
        yield Missing("driver", f"NVIDIA's driver supports CUDA {has}, not {needs}", INSTALL_DRIVER)
        return
    try:
        chosen_device(devices(driver))
    except DeviceError as error:
        yield Missing("GPU", str(error), "")


def _packages() -> Iterator[Missing]:
    names = [name for module, name in _PACKAGES.items() if not _is_there(module)]
    if names:
        what = "the package" if len(names) == 1 else "the packages"
        are = "is" if len(names) == 1 else "are"
        yield Missing("packages", f"{what} {_listed(names)} {are} not installed", INSTALL)


def _compiler() -> Iterator[Missing]:
    names = [name for library, name in _COMPILER.items() if not _has_library(library, name)]
    if names:
        yield Missing("compiler", f"CUDA's compiler lacks {_listed(names)}", INSTALL)


def _is_there(module: str) -> bool:
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is missing too
        return False


def _has_library(library: str, package: str) -> bool:
    """Whether a package or the system has a library."""
    try:
        metadata.version(package)
        return True
    except metadata.PackageNotFoundError:
        pass
    if not _is_there("cuda.pathfinder"):
        return False
    try:
        import_module("cuda.pathfinder").load_nvidia_dynamic_lib(library)
    except RuntimeError:
        return False
    return True


def _listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
