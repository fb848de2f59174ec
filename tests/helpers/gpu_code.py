"""The machine code of a plan's kernels, read with NVIDIA's disassembler."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from cuda import pathfinder

from tinygrad_mnist.backends.cuda.compiler import Compiled, compile_kernel
from tinygrad_mnist.backends.cuda.design import Design, design_plan
from tinygrad_mnist.backends.cuda.make import make
from tinygrad_mnist.compile.plan import Plan

_LINE = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+ )?([A-Z][A-Z0-9_.]+)", re.MULTILINE)


class Code(NamedTuple):
    """One kernel's. opcodes: how often each stands in it."""

    kernel: str
    compiled: Compiled
    opcodes: Counter[str]

    def __repr__(self) -> str:
        return f"{self.kernel}: {self.compiled._replace(cubin=b'')} {dict(self.opcodes)}"


def machine_code(plan: Plan, capability: tuple[int, int]) -> list[Code]:
    """The code of all kernels of all calls."""
    designs = [designed.design for designed in design_plan(plan, capability)]
    return [code for design in designs for code in design_code(design, capability)]


def design_code(design: Design, capability: tuple[int, int]) -> list[Code]:
    """The code of a design's kernels."""
    compiled = [compile_kernel(kernel, capability) for kernel in make(design).kernels]
    return [Code(design.kernel, c, opcodes(c.cubin)) for c in compiled]


def opcodes(cubin: bytes) -> Counter[str]:
    """How often each opcode stands in a cubin."""
    tool = pathfinder.find_nvidia_binary_utility("nvdisasm")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "kernel.cubin"
        path.write_bytes(cubin)
        result = subprocess.run([tool, "-c", path], check=True, capture_output=True, text=True)
    return Counter(o for o in _LINE.findall(result.stdout) if o not in ("NOP", "BRA"))
