"""The plan: what a backend runs, as plain data.

A plan is a list of kernel calls over buffers. It can be printed, compared and run by any backend
that has its kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.compile.host import HostProgram
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.base import Array, ArraySpec
from tinygrad_mnist.contracts.tape import Tape
from tinygrad_mnist.graph.layout import Layout
from tinygrad_mnist.graph.source import Source
from tinygrad_mnist.graph.variables import Variable

# Kinds of buffers. All but temporaries are bound to arrays from outside the arena.
INPUT, SHARED, CONSTANT, OUTPUT, TEMPORARY = "input", "shared", "constant", "output", "temporary"


@dataclass(frozen=True)
class Buffer:
    """A piece of memory.

    kind: one of the constants above. size: in elements. offset: in bytes, of a temporary in the
    arena. leaf: the symbolic variable whose value an input or shared buffer holds. value: of a
    constant.
    """

    kind: str
    dtype: str
    shape: tuple[int, ...]
    name: str
    offset: int = 0
    leaf: Variable | None = None
    value: Array | None = field(default=None, compare=False)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        return self.size * np.dtype(self.dtype).itemsize


class View(NamedTuple):
    """Elements of a buffer: its number, and how they lie in it."""

    buffer: int
    dtype: str
    layout: Layout

    @property
    def spec(self) -> ArraySpec:
        return ArraySpec(self.dtype, self.layout.shape)


@dataclass(frozen=True)
class KernelCall:
    """One call: kernel, operands, parameters, and the user's line that it comes from."""

    kernel: str
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
    params: Mapping[str, Any]
    source: Source | None = field(default=None, compare=False)
    label: str = field(default="", compare=False)

    @property
    def flops(self) -> int:
        """Arithmetic operations by the contract's formula."""
        contract = CONTRACTS[self.kernel]
        return contract.flops(
            self.params, [v.spec for v in self.inputs], [v.spec for v in self.outputs]
        )

    @property
    def tapes(self) -> list[Tape]:
        """The call's tapes, in the contract's order."""
        return [self.params[name] for name in CONTRACTS[self.kernel].tapes]


@dataclass(frozen=True)
class Plan:
    """Calls over buffers, for one set of shapes.

    backend: name of the backend that it was made for. outputs: number of the buffer of each
    result. arena_bytes: memory of all temporaries. host: what is computed on the host before each
    run. rewrites: how often each rule was applied.
    """

    backend: str
    buffers: tuple[Buffer, ...]
    calls: tuple[KernelCall, ...]
    outputs: tuple[int, ...]
    arena_bytes: int
    host: HostProgram = field(compare=False)
    rewrites: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def flops(self) -> int:
        """Arithmetic operations of one run, dense."""
        return sum(call.flops for call in self.calls)

    def __str__(self) -> str:
        temporaries = sum(b.kind == TEMPORARY for b in self.buffers)
        lines = [
            f"plan for {self.backend}: {len(self.calls)} calls, "
            f"{self.flops / 1e6:.1f} MFLOP, {temporaries} temporaries in an arena of "
            f"{self.arena_bytes / 1024:.1f} KiB, {self.host.n_slots} slots"
        ]
        for number, call in enumerate(self.calls):
            lines.append(f"{number:3d}  {self._show_call(call)}")
        return "\n".join(lines)

    def _show_call(self, call: KernelCall) -> str:
        inputs = ", ".join(map(self._show_view, call.inputs))
        outputs = ", ".join(map(self._show_view, call.outputs)) or "-"
        tapes = "".join(
            f"  {name}: {show_tape(tape)}"
            for name, tape in zip(CONTRACTS[call.kernel].tapes, call.tapes, strict=True)
            if not tape.is_identity
        )
        return f"{outputs} = {call.kernel}({inputs}){tapes}"

    def _show_view(self, view: View) -> str:
        buffer = self.buffers[view.buffer]
        shape = "x".join(map(str, view.layout.shape)) or "scalar"
        slots = "".join(f"+s{slot}" for slot, _ in view.layout.slots)
        return f"{buffer.name}{slots}:{shape}"


def show_tape(tape: Tape) -> str:
    """A tape as one expression; its inputs are i0, i1, ..."""
    values = [f"i{k}" for k in range(tape.n_inputs)]
    for instruction in tape.instructions:
        if instruction.op == "const":
            values.append(f"{instruction.immediate:g}")
        else:
            values.append(f"{instruction.op}({', '.join(values[a] for a in instruction.args)})")
    return ", ".join(values[o] for o in tape.outputs)
