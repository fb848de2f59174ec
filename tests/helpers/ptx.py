"""Small PTX kernels run on the machine of `backends.ptx`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_mnist.backends.ptx.machine import Kernel, Shape, launch
from tinygrad_mnist.backends.ptx.memory import Allocation, Window, operand_window
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.contracts.core.base import Array

HEADER = ".version 8.5\n.target sm_90\n.address_size 64\n"
REGISTERS = """
  .reg .pred %p<16>;
  .reg .b16 %rs<32>;
  .reg .b32 %r<64>;
  .reg .f32 %f<64>;
  .reg .b64 %rd<64>;
  .reg .f64 %fd<32>;
"""


def kernel_text(body: str, n_parameters: int, variables: str = "") -> str:
    """A kernel whose parameters are 64-bit pointers, loaded into %rd0, %rd1, ..."""
    parameters = ", ".join(f".param .u64 p{k}" for k in range(n_parameters))
    loads = "\n".join(f"  ld.param.u64 %rd{k}, [p{k}];" for k in range(n_parameters))
    inside = f"{REGISTERS}{variables}\n{loads}\n{body}\n"
    return f"{HEADER}\n.visible .entry k({parameters})\n{{\n{inside}}}\n"


def memory_of(array: Array | int | Allocation) -> Allocation:
    """Memory with the bytes of an array, or so many bytes that nothing has written."""
    if isinstance(array, Allocation):
        return array
    if isinstance(array, int):
        return Allocation(array, records=True)
    allocation = Allocation(array.nbytes, records=True)
    allocation.data[: array.nbytes] = array.reshape(-1).view(np.uint8)
    assert allocation.written is not None
    allocation.written[: array.nbytes] = True
    return allocation


def run(
    text: str,
    arrays: Sequence[Array | int | Allocation],
    threads: int | tuple[int, int] = 32,
    blocks: int = 1,
    inputs: int = 0,
    shared_bytes: int = 0,
) -> tuple[list[Any], Observer]:
    """Runs a kernel whose parameters point to arrays; returns what these hold afterwards, and what
    was found. inputs: how many of them the kernel may not write."""
    memories = [memory_of(array) for array in arrays]
    windows: list[Window] = [
        operand_window(k, f"array {k}", memory, 0, (0, memory.nbytes), k >= inputs)
        for k, memory in enumerate(memories)
    ]
    observer = Observer()
    x, y = (threads, 1) if isinstance(threads, int) else threads
    shape = Shape((blocks, 1, 1), (x, y, 1), shared_bytes)
    kernel = Kernel(text, follows=True)
    launch(kernel, shape, [w.base for w in windows], windows, observer)
    results = [
        memory.data[: memory.nbytes].view(a.dtype if isinstance(a, np.ndarray) else "uint8")
        for a, memory in zip(arrays, memories, strict=True)
    ]
    return results, observer


def kinds(observer: Observer) -> list[str]:
    """The kinds of what was found, in order."""
    return sorted({finding.kind for finding in observer.findings})


# --- single instructions ------------------------------------------------------------------------

SUFFIXES = {"f32": "f", "f64": "fd", "64": "rd", "32": "r", "16": "rs"}


def register(kind: str, k: int) -> str:
    """A register of a type."""
    suffix = SUFFIXES.get(kind) or SUFFIXES.get(kind[1:]) or "rs"
    return f"%{suffix}{20 + k}"


def numpy_of(kind: str) -> np.dtype[Any]:
    """A type of PTX as a dtype."""
    return np.dtype({"f": "f", "s": "i", "u": "u", "b": "u"}[kind[0]] + str(int(kind[1:]) // 8))


def computed(opcode: str, result: str, kinds: list[str], *columns: Any) -> Any:
    """What an instruction makes of columns of operands, one row for each thread. opcode: or code,
    in which `{0}`, `{1}` are the operands and `{out}` is the result."""
    n = len(columns[0])
    size = numpy_of(result).itemsize
    lines = ["mov.u32 %r1, %tid.x;"]
    arrays = []
    for k, (kind, column) in enumerate(zip(kinds, columns, strict=True)):
        dtype = numpy_of(kind)
        arrays.append(np.asarray(column, dtype))
        lines.append(f"mul.wide.u32 %rd15, %r1, {dtype.itemsize};")
        lines.append(f"add.s64 %rd15, %rd15, %rd{k};")
        lines.append(f"ld.global.{kind} {register(kind, k)}, [%rd15];")
    named = [register(kind, k) for k, kind in enumerate(kinds)]
    out = register(result, 9)
    if "{out}" in opcode:
        lines.append(opcode.format(*named, out=out))
    else:
        lines.append(f"{opcode} {out}, {', '.join(named)};")
    lines.append(f"mul.wide.u32 %rd15, %r1, {size};")
    lines.append(f"add.s64 %rd15, %rd15, %rd{len(kinds)};")
    lines.append(f"st.global.{result} [%rd15], {out};")
    text = kernel_text("\n".join(lines), len(kinds) + 1)
    results, observer = run(text, [*arrays, n * size], n, inputs=len(kinds))
    assert observer.findings == []
    return results[-1].view(numpy_of(result))


def pairs(values: list[Any]) -> tuple[list[Any], list[Any]]:
    """Every value beside every other."""
    return [a for a in values for _ in values], [b for _ in values for b in values]
