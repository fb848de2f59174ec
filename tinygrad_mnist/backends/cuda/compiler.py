"""Kernels to machine code, with or without a GPU: Numba to NVVM's LTO-IR, nvJitLink to a cubin."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from tinygrad_mnist.backends.cuda.design import Capability
from tinygrad_mnist.backends.cuda.make import Kernel

_compiling = threading.Lock()


class Compiled(NamedTuple):
    """Machine code of one kernel.

    name: of its function in the cubin. registers: of each thread. spilled: bytes of registers that
    went to local memory. stack: bytes of local memory of each thread. shared: static bytes.
    """

    cubin: bytes
    name: str
    registers: int
    spilled: int
    stack: int
    shared: int


def compile_kernel(kernel: Kernel, capability: Capability) -> Compiled:
    """The machine code of a kernel for one generation of GPUs.

    Its parameters are 8 bytes each: the operands' pointers, those to words and table, `ahead`.
    """
    threads = kernel.shape.threads
    # Up to 256 threads may have 255 registers each, all that there are. Of larger blocks the
    # assembler has to know, or the driver would refuse the launch.
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
    """Numba asks for the present GPU when it compiles a device function, and reads its capability.
    Here it gets one of the capability that is compiled for, whether or not there is one."""

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
    """What the assembler says about a kernel."""

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
