"""The compiler: Numba makes NVVM's LTO-IR, nvJitLink a cubin or PTX. It needs no GPU."""

from __future__ import annotations

import re
import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

from tinygrad_mnist.backends.cuda.design import Capability
from tinygrad_mnist.backends.cuda.make import Kernel
from tinygrad_mnist.graph.access import ForkSafeLock
from tinygrad_mnist.graph.collection import collection_paused
from tinygrad_mnist.kernels.core.call import UNBOUNDED_THREADS

_compiling = ForkSafeLock()
_BRANCH = re.compile(r"\bbra(?:\.uni)?\s+(\$?\w+)\s*;")
_LABEL = re.compile(r"^\s*(\$?\w+):", re.MULTILINE)


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
    linker = _linker(kernel, capability, ptxas_options=["-v"])
    cubin = bytes(linker.link("cubin").code)
    return _read_report(cubin, linker.get_info_log())


def compile_to_ptx(kernel: Kernel, capability: Capability) -> str:
    """A kernel and all that it calls as one module of PTX, from which the assembler would make the
    machine code. Its lines refer to those of the Python code, unless the linker refuses that."""
    with warnings.catch_warnings():
        # Numba doesn't find the sources of some small functions; others have their lines.
        warnings.filterwarnings("ignore", "Could not find source for function")
        try:
            text = _text(_linker(kernel, capability, lines=True, ptx=True))
        except Exception:  # some names of functions can't be in line information
            text = ""
        # With lines, the linker of CUDA 13.0 leaves out labels of some unrolled loops.
        if not text or not has_its_labels(text):
            text = _text(_linker(kernel, capability, ptx=True))
    return text


def has_its_labels(ptx: str) -> bool:
    """Whether a text has the labels that its branches lead to."""
    return set(_BRANCH.findall(ptx)) <= set(_LABEL.findall(ptx))


def _linker(kernel: Kernel, capability: Capability, lines: bool = False, **options: Any) -> Any:
    """A linker that has all parts of a kernel."""
    threads = kernel.shape.threads
    is_bounded = kernel.resident > 0 or threads > UNBOUNDED_THREADS
    bounds = (threads, kernel.resident or 1) if is_bounded else None
    cuda = import_module("numba.cuda")
    core = import_module("cuda.core")
    with _compiling_for(capability, lines), collection_paused():  # Numba's objects stay, too
        codes, _ = cuda.compile_all(
            kernel.function,
            _signature(kernel),
            cc=capability,
            device=False,
            abi="numba",
            output="ltoir",
            launch_bounds=bounds,
            lineinfo=lines,
        )
    objects = [core.ObjectCode.from_ltoir(c) if isinstance(c, bytes) else c for c in codes]
    arch = f"sm_{capability[0]}{capability[1]}"
    made = core.LinkerOptions(
        arch=arch, link_time_optimization=True, lineinfo=lines or None, **options
    )
    return core.Linker(*objects, options=made)


def _text(linker: Any) -> str:
    return bytes(linker.link("ptx").code).rstrip(b"\0").decode()


@contextmanager
def _compiling_for(capability: Capability, lines: bool) -> Iterator[None]:
    """While Numba compiles a device function, it reads the capability of the current GPU. Here it
    reads `capability` instead, even if there is no GPU. lines: whether device functions get line
    information; those that have it are kept apart from the others."""

    class Device:
        compute_capability = capability
        id = 0

    def compile_with_lines(*args: Any, **options: Any) -> Any:
        return compile_function(*args, **{**options, "lineinfo": True})

    dispatcher: Any = import_module("numba.cuda.dispatcher")
    with _compiling:
        present, compile_function = dispatcher.get_current_device, dispatcher.compile_cuda
        dispatcher.get_current_device = Device
        if lines:
            dispatcher.compile_cuda = compile_with_lines
            # A property of the class hides the attribute of this name that an instance has.
            dispatcher.CUDADispatcher.overloads = property(_overloads_with_lines, _keep_overloads)
        try:
            yield
        finally:
            dispatcher.get_current_device = present
            if lines:
                dispatcher.compile_cuda = compile_function
                del dispatcher.CUDADispatcher.overloads


def _overloads_with_lines(dispatcher: Any) -> Any:
    return vars(dispatcher).setdefault("overloads_with_lines", OrderedDict())


def _keep_overloads(dispatcher: Any, overloads: Any) -> None:
    vars(dispatcher)["overloads"] = overloads


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
