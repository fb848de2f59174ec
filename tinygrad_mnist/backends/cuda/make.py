"""Designs turned into kernels. Numba is imported here alone, and only when a kernel is made."""

from __future__ import annotations

import sys
from importlib import import_module, util
from pkgutil import walk_packages
from types import ModuleType
from typing import Any, NamedTuple

from tinygrad_mnist.backends.cuda.cache import source_folder, write_if_new
from tinygrad_mnist.backends.cuda.design import Design
from tinygrad_mnist.backends.cuda.operands import check_scratch
from tinygrad_mnist.kernels.core.call import (
    FACTORIES,
    GENERATED,
    Call,
    Function,
    LaunchShape,
    Operand,
    grid_1d,
)


class Kernel(NamedTuple):
    """A kernel as Python code, and how it is launched.

    dtypes: of the operands that its tuple of pointers points to. resident: see
    `kernels.core.call.Launch`.
    """

    function: Function
    dtypes: tuple[str, ...]
    shape: LaunchShape
    resident: int = 0


class Made(NamedTuple):
    """The kernels of a design, and (dtype, elements) of their scratch memory, or None."""

    kernels: tuple[Kernel, ...]
    workspace: tuple[str, int] | None


def load_families() -> dict[str, Any]:
    """The factories of all kernels, by contract. Imports every module of kernels/, and so Numba."""
    package = import_module("tinygrad_mnist.kernels")
    for module in walk_packages(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    factories: dict[str, Any] = FACTORIES
    return factories


def make(design: Design) -> Made:
    """The kernels of a design.

    Raises NotImplementedError, which names the kernel, for a contract without a CUDA kernel.
    """
    factories = load_families()
    if design.kernel not in factories:
        raise NotImplementedError(f"there is no CUDA kernel for {design.kernel}")
    module = _module(design)
    entry = import_module("tinygrad_mnist.kernels.core.entry").entry
    operands = tuple(Operand(*o) for o in design.operands)
    call = Call(
        kernel=design.kernel,
        inputs=operands[: design.n_inputs],
        outputs=operands[design.n_inputs :],
        params=dict(design.params),
        allow_tf32=design.allow_tf32,
        capability=design.capability,
        **{name: getattr(module, name) for name in GENERATED},
    )
    launches = factories[design.kernel](call)
    dtypes = tuple(o.dtype for o in operands)
    if launches.workspace is not None:
        dtypes += (launches.workspace[0],)
        check_scratch(design.kernel, launches.workspace[1])
    kernels = tuple(
        Kernel(
            _named(entry(launch, module.placed, design.guarded, design.note), design.kernel),
            dtypes,
            launch.shape,
            launch.resident,
        )
        for launch in launches.kernels
    )
    return Made(kernels, launches.workspace)


def make_advance() -> Kernel:
    """The kernel at the end of every graph."""
    function = import_module("tinygrad_mnist.kernels.core.entry").advance
    return Kernel(function, (), grid_1d(1, 1))


def _named(function: Function, name: str) -> Function:
    """Gives a kernel the name that debuggers and profilers show."""
    function.__name__ = function.__qualname__ = name
    return function


def _module(design: Design) -> ModuleType:
    """The design's text, imported from a file in the user's cache."""
    name = f"_tinygrad_mnist_{design.kernel}_{design.digest}"
    if name in sys.modules:
        return sys.modules[name]
    path = source_folder() / f"{name.removeprefix('_tinygrad_mnist_')}.py"
    write_if_new(path, design.source.encode())
    spec = util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
