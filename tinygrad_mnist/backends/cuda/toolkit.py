"""CUDA's compiler as it is installed here: its parts, their versions, and who can run its code.

A GPU runs kernels from the cache without any of it. Nothing here imports Numba.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module, metadata, util
from pathlib import Path
from typing import Any, NamedTuple

Version = tuple[int, int]

INSTALL = "pip install 'tinygrad_mnist[cuda]'"
INSTALL_12 = "pip install 'tinygrad_mnist[cuda12]'"

# Packages by a module of theirs; the package is installed if the module is found.
_PACKAGES = {"numba": "numba", "numba_cuda": "numba-cuda", "cuda.core": "cuda-core"}
# Libraries of the compiler, as `cuda.pathfinder` names them, and the packages that have them: those
# of CUDA 13, then those of CUDA 12.
_LIBRARIES = {
    "nvvm": ("nvidia-nvvm", "nvidia-cuda-nvcc-cu12"),
    "nvJitLink": ("nvidia-nvjitlink", "nvidia-nvjitlink-cu12"),
}
# Other packages whose versions the machine code depends on.
_TOOLS = ("numba", "numba-cuda", "llvmlite", "cuda-core", "cuda-bindings", "cuda-toolkit")
# The oldest driver for code of each major version of CUDA, as the CUDA that it supports: drivers
# run code of their own major version, and we call a function that 12.4 introduced.
_OLDEST = {12: (12, 4), 13: (13, 0)}
NEWEST = 13  # the CUDA of the extra `cuda`
RELEASES = {(12, 4): 550, (13, 0): 580}  # numbers under which NVIDIA released those drivers


class Missing(NamedTuple):
    """A part that is missing or unusable.

    part: 'driver', 'GPU', 'packages' or 'compiler'. problem: what is wrong, as a clause. remedy:
    what to do about it, or '' if nothing can be installed.
    """

    part: str
    problem: str
    remedy: str


@cache
def compiler_missing() -> tuple[Missing, ...]:
    """What keeps this process from compiling kernels; empty if it can."""
    return (*_packages(), *_libraries())


def _packages() -> Iterator[Missing]:
    names = [name for module, name in _PACKAGES.items() if not is_there(module)]
    if names:
        yield not_installed(names)


def not_installed(names: list[str], remedy: str = "") -> Missing:
    """That these packages are missing."""
    what, are = ("package", "is") if len(names) == 1 else ("packages", "are")
    problem = f"the {what} {listed(names)} {are} not installed"
    return Missing("packages", problem, remedy or _install())


def _install() -> str:
    """The line that installs what belongs to the cuda-bindings that are installed."""
    return INSTALL_12 if _bindings_major() == 12 else INSTALL


def _bindings_major() -> int:
    return (_numbers(_installed("cuda-bindings")) or (13, 0))[0]


def _libraries() -> Iterator[Missing]:
    names = [_packages_of(library)[0] for library in _LIBRARIES if version(library) is None]
    if names:
        yield Missing("compiler", f"CUDA's compiler lacks {listed(names)}", _install())


def toolkit() -> Version | None:
    """Major and minor version of CUDA whose code the linker makes; None without one."""
    return _numbers(version("nvJitLink"))


def oldest_driver() -> Version:
    """The oldest driver, by the CUDA that it supports, that runs what the installed compiler makes;
    without a compiler, the oldest that runs anything of ours."""
    found = toolkit()
    return _OLDEST[12] if found is None else oldest_driver_for(found[0])


def oldest_driver_for(major: int) -> Version:
    """The oldest driver for code of this major version of CUDA."""
    return _OLDEST.get(major, (major, 0))


def tools() -> dict[str, str]:
    """What machine code depends on besides the design and the sources: versions of the tools."""
    found = {"Python": f"{sys.version_info[0]}.{sys.version_info[1]}"}
    found |= {name: _installed(name) or "-" for name in _TOOLS}
    return found | {library: version(library) or "-" for library in _LIBRARIES}


def mismatch() -> str | None:
    """A clause for errors of the linker, where it is older than the compiler or of another major
    version; None where the two fit."""
    compiler, linker = version("nvvm"), version("nvJitLink")
    first, second = _numbers(compiler), _numbers(linker)
    if first is None or second is None or first[0] < 10:  # a system library without a CUDA version
        return None
    if first[0] == second[0] and first <= second:
        return None
    package = _LIBRARIES["nvJitLink"][0 if first[0] > 12 else 1]
    wanted = f"{first[0]}.{first[1]}"
    return (
        f"the compiler NVVM is of CUDA {wanted}, but the linker nvJitLink is of CUDA"
        f" {second[0]}.{second[1]}, which doesn't read its output:"
        f" pip install '{package}=={wanted}.*'"
    )


@cache
def version(library: str) -> str | None:
    """The version of a library of the compiler: its package's, or, of one that comes with the
    system or with conda, what the library itself answers. None if there is none."""
    for package in _packages_of(library):
        found = _installed(package)
        if found is not None:
            return found
    return _of_the_system(library)


def _packages_of(library: str) -> tuple[str, ...]:
    """The packages that may have a library, that of the installed cuda-bindings first."""
    packages = _LIBRARIES[library]
    return packages[::-1] if _bindings_major() == 12 else packages


def _of_the_system(library: str) -> str | None:
    if not is_there("cuda.pathfinder"):
        return None
    try:
        loaded: Any = import_module("cuda.pathfinder").load_nvidia_dynamic_lib(library)
    except RuntimeError:
        return None
    asked: Any = import_module(f"cuda.bindings.{library.lower()}")
    numbers = asked.version()
    if library == "nvvm":  # it has versions of its own, and releases of CUDA may share them
        nbytes = Path(loaded.abs_path).stat().st_size
        return f"{_dotted(numbers)} (IR {_dotted(asked.ir_version())}, {nbytes} bytes)"
    return _dotted(numbers)


def _dotted(numbers: Any) -> str:
    return ".".join(map(str, numbers))


def _numbers(text: str | None) -> Version | None:
    found = re.match(r"(\d+)\.(\d+)", text or "")
    return (int(found[1]), int(found[2])) if found else None


def _installed(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def is_there(module: str) -> bool:
    """Whether a module can be imported."""
    try:
        return util.find_spec(module) is not None
    except ModuleNotFoundError:  # its package is missing too
        return False


def listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
