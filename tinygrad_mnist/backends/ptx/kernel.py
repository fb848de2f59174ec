"""A kernel's text as code that is ready to run, and the memory that it declares."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.backends.ptx import arithmetic, data, exact, logic, overflow, warp
from tinygrad_mnist.backends.ptx.blocks import Block, code_of
from tinygrad_mnist.backends.ptx.memory import (
    LOCAL_BASE,
    SHARED_STEP,
    STEP,
    VARIABLE_BASE,
    Allocation,
    Window,
)
from tinygrad_mnist.backends.ptx.overflow import Overflow
from tinygrad_mnist.backends.ptx.parse import parse
from tinygrad_mnist.backends.ptx.program import Instruction, Parameter, Variable
from tinygrad_mnist.backends.ptx.races import Shadow
from tinygrad_mnist.backends.ptx.types import DTYPES
from tinygrad_mnist.backends.ptx.writer import Writer, lacking

EMITTERS = (arithmetic, data, logic, warp)  # they register what they write


class Shape(NamedTuple):
    """Threads of a launch; shared_bytes: dynamic shared memory of a block."""

    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    shared_bytes: int = 0


class Kernel:
    """A kernel that is ready to run.

    name: for messages; by default the one in the text. follows: whether 32-bit indices that wrap
    around are found, which takes time. Raises PtxError for text that this machine
    can't run.
    """

    def __init__(self, text: str, name: str = "", follows: bool = False) -> None:
        self.text = text
        code = code_of(parse(text))
        self.name = name or code.entry.name
        self.parameters: dict[str, Parameter] = {p.name: p for p in code.entry.parameters}
        variables = code.variables.values()
        self._shared = [v for v in variables if v.space == "shared"]
        self._local = [v for v in variables if v.space == "local"]
        self._constants = [v for v in variables if v.space in ("const", "global")]
        writer = Writer(code, self._addresses(), Overflow(code) if follows else None)
        self.source = writer.text()
        self.blocks: tuple[Block, ...] = code.blocks
        self.sites: list[Instruction] = writer.sites
        self._words = _narrowest(self.sites)
        self.n_registers = len(writer.numbers)
        self.register_names = list(writer.numbers)
        names: dict[str, Any] = {
            "np": np,
            **exact.FUNCTIONS,
            **overflow.FUNCTIONS,
            **writer.constants,
        }
        exec(compile(self.source, f"<PTX of {self.name}>", "exec"), names)
        self.functions: list[Callable[[Any, Any], Any]] = [
            names[f"block_{block.number}"] for block in self.blocks
        ]
        for block in self.blocks:
            if block.end is not None and block.end.name in ("bar", "barrier"):
                _check_barrier(block.end)

    def _addresses(self) -> dict[str, int]:
        addresses = {v.name: (k + 1) * SHARED_STEP for k, v in enumerate(self._shared)}
        addresses |= {v.name: LOCAL_BASE + k * STEP for k, v in enumerate(self._local)}
        return addresses | {v.name: VARIABLE_BASE + k * STEP for k, v in enumerate(self._constants)}

    def constant_windows(self) -> list[Window]:
        """Those of the tables that the kernel brings along."""
        addresses, windows = self._addresses(), []
        for variable in self._constants:
            assert variable.nbytes is not None
            allocation = Allocation(variable.nbytes)
            if variable.initial is not None:
                allocation.data[: variable.nbytes] = np.frombuffer(variable.initial, np.uint8)
            base = addresses[variable.name]
            writable = variable.space == "global"
            windows.append(
                Window(
                    variable.name,
                    base,
                    base,
                    base + variable.nbytes,
                    allocation,
                    0,
                    "",
                    0,
                    writable,
                )
            )
        return windows

    def word(self, space: str) -> int:
        """Bytes of the narrowest access of a space."""
        return self._words.get(space, 8)

    def own_windows(
        self, n_blocks: int, n_threads: int, shape: Shape, records: bool
    ) -> list[Window]:
        """Those of shared and local memory, for some blocks. records: whether writes are."""
        shared = self._windows(self._shared, "block", n_blocks, shape.shared_bytes, records)
        return shared + self._windows(self._local, "thread", n_threads, 0, records)

    def _windows(
        self, variables: Sequence[Variable], per: str, n: int, dynamic: int, records: bool
    ) -> list[Window]:
        offsets, end = [], 0
        sizes = [dynamic if v.nbytes is None else v.nbytes for v in variables]
        for variable, size in zip(variables, sizes, strict=True):
            end += -end % max(variable.alignment, 16)
            offsets.append(end)
            end += size
        stride = end + -end % 16
        allocation = Allocation(n * stride, records)
        allocation.data.fill(0xFF)  # NaN, or -1
        if records and per == "block":
            allocation.shadow = Shadow(0, n * stride, self.word("shared"))
        addresses = self._addresses()
        return [
            Window(v.name, base, base, base + size, allocation, offset, per, stride)
            for v, offset, size in zip(variables, offsets, sizes, strict=True)
            for base in [addresses[v.name]]
        ]


def _narrowest(sites: Sequence[Instruction]) -> dict[str, int]:
    """Bytes of the narrowest load or store, by space; one of any space counts for all."""
    words: dict[str, int] = {}
    for i in sites:
        if i.name in ("ld", "ldu", "st"):
            known = {"global", "shared", "local"}
            for space in known & set(i.opcode) or known:
                words[space] = min(words.get(space, 8), DTYPES[i.opcode[-1]].itemsize)
    return words


def _check_barrier(i: Instruction) -> None:
    """Barriers of all threads of a block alone."""
    if (
        i.opcode not in (("bar", "sync"), ("barrier", "sync"), ("barrier", "sync", "aligned"))
        or len(i.operands) != 1
    ):
        raise lacking(i)
