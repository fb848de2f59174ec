"""The machine code of a plan's kernels, read with NVIDIA's disassembler."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from cuda import pathfinder

from tinygrad_mnist.backends.cuda.compiler import Compiled, compile_kernel
from tinygrad_mnist.backends.cuda.design import Capability, Design
from tinygrad_mnist.backends.cuda.make import Kernel, make

_LINE = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z][A-Z0-9_.]+)", re.MULTILINE)


# What a block can have, by compute capability.
SHARED_BYTES = {(7, 5): 64 << 10, (8, 0): 163 << 10, (9, 0): 227 << 10}


class Code(NamedTuple):
    """The machine code of one kernel."""

    kernel: str
    compiled: Compiled

    def opcodes(self) -> Counter[str]:
        """How often each opcode occurs; the disassembler takes half a second."""
        return opcodes(self.compiled.cubin)

    def __repr__(self) -> str:
        return f"{self.kernel}: {self.compiled._replace(cubin=b'')}"


def machine_code(
    designs: Sequence[Design], capabilities: Sequence[Capability]
) -> Iterator[tuple[Design, Capability, Code]]:
    """The code of all kernels of designs for each capability; checks that each can be launched.

    designs: for the newest capability. Numba spends most of the time on reading the functions. It
    reads them once, since only kernels for tensor cores depend on the capability.
    """
    for design in designs:
        made = make(design)
        for capability in capabilities:
            own = replace(design, capability=capability)
            for kernel in (make(own) if design.allow_tf32 else made).kernels:
                compiled = compile_kernel(kernel, capability)
                expect_launchable(kernel, compiled, capability)
                yield own, capability, Code(design.kernel, compiled)


def expect_launchable(kernel: Kernel, compiled: Compiled, capability: tuple[int, int]) -> None:
    """Checks the limits of a launch: threads, registers and shared memory of a block, and the size
    of the grid. Beyond them the driver refuses it."""
    (grid, block, shared_bytes), threads = kernel.shape, kernel.shape.threads
    assert 1 <= threads <= 1024, block
    assert min(block) >= 1, block
    assert block[2] <= 64, block
    assert min(grid) >= 1, grid
    assert grid[0] < 2**31, grid
    assert max(grid[1:]) < 2**16, grid
    warps = -(-threads // 128) * 4  # registers are allocated for four warps at a time
    registers = warps * 32 * -(-compiled.registers // 8) * 8
    assert registers <= 65536, (compiled.registers, block)
    shared = compiled.shared + shared_bytes
    assert shared <= SHARED_BYTES[capability], shared


def opcodes(cubin: bytes) -> Counter[str]:
    """How often each opcode occurs in a cubin."""
    tool = pathfinder.find_nvidia_binary_utility("nvdisasm")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        result = subprocess.run([tool, "-c", path], check=True, capture_output=True, text=True)
    return Counter(o for o in _LINE.findall(result.stdout) if o not in ("NOP", "BRA"))
