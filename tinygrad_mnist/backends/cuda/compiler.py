"""The compiler: Numba makes NVVM's LTO-IR, nvJitLink a cubin. It needs no GPU."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from tinygrad_mnist.backends.cuda.design import Capability
from tinygrad_mnist.backends.cuda.make import Kernel
from tinygrad_mnist.graph.access import ForkSafeLock

_compiling = ForkSafeLock()


class Compiled(NamedTuple):
    """Machine code of one kernel.

    name: of its function in the cubin. registers, stack: of a thread; the stack, in bytes of local
    memory. spilled: bytes of registers spilled to local memory. shared: bytes of static shared
    memory of a block.
    """

    cubin: bytes
    name: str
    registers: int
    spilled: int
    stack: int
    shared: int


def compile_kernel(kernel: Kernel, capability: Capability) -> Compiled:
    """The machine code of a kernel for GPUs of one compute capability.

    Its parameters are 8 bytes each: the operands' pointers, the pointers to the state's words and
    to the step table, and `ahead` (see `kernels.core.entry`).
    """
    threads = kernel.shape.threads
    # With up to 256 threads each may have 255 registers, the maximum. The assembler must know the
    # size of larger blocks, or the driver would refuse the launch.
    bounds = (threads, kernel.resident or 1) if kernel.resident or threads > 256 else None
    cuda = import_module("numba.cuda")
    core = import_module("cuda.core")
    with _compiling_for(capability):
        codes, _ = cuda.compile_all(
            kernel.function,
            _signature(kernel),
            cc=capability,
            device=False,
            abi="numba",
            output="ltoir",
            launch_bounds=bounds,
        )
    objects = [core.ObjectCode.from_ltoir(c) if isinstance(c, bytes) else c for c in codes]
    options = core.LinkerOptions(
        arch=f"sm_{capability[0]}{capability[1]}",
        link_time_optimization=True,
        ptxas_options=["-v"],
    )
    linker = core.Linker(*objects, options=options)
    cubin = bytes(linker.link("cubin").code)
    return _read_report(cubin, linker.get_info_log())


@contextmanager
def _compiling_for(capability: Capability) -> Iterator[None]:
    """While Numba compiles a device function, it reads the capability of the current GPU. Here it
    reads `capability` instead, even if there is no GPU."""

    class Device:
        compute_capability = capability
        id = 0

    dispatcher: Any = import_module("numba.cuda.dispatcher")
    with _compiling:
        present = dispatcher.get_current_device
        dispatcher.get_current_device = Device
        try:
            yield
        finally:
            dispatcher.get_current_device = present


def _signature(kernel: Kernel) -> Any:
    types = import_module("numba").types
    known = import_module("tinygrad_mnist.kernels.core.device").TYPES
    pointers = types.Tuple(tuple(types.CPointer(known[dtype]) for dtype in kernel.dtypes))
    words = types.CPointer(types.int64)
    return types.void(pointers, types.Tuple((words, words)), types.int64)


def _read_report(cubin: bytes, log: str) -> Compiled:
    """Reads the assembler's report on a kernel."""

    def number(pattern: str) -> int:
        found = re.search(pattern, log)
        return int(found[1]) if found else 0

    name = re.search(r"Compiling entry function '([^']+)'", log)
    if name is None:
        raise RuntimeError(f"the linker's report names no kernel: {log!r}")
    return Compiled(
        cubin,
        name[1],
        number(r"Used (\d+) registers"),
        number(r"(\d+) bytes spill stores"),
        number(r"(\d+) bytes stack frame"),
        number(r"(\d+) bytes smem"),
    )
