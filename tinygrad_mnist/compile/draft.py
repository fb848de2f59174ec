"""The draft of a plan: calls and buffers while they are being collected."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_mnist.compile.call_graph import CallGraph
from tinygrad_mnist.compile.plan import CONSTANT, TEMPORARY, Buffer, KernelCall, View
from tinygrad_mnist.contracts.core.tape import Instruction, Tape
from tinygrad_mnist.graph.layout import Layout, contiguous
from tinygrad_mnist.graph.source import Origins
from tinygrad_mnist.graph.types import compute_dtype
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.kernels import TAPE


@dataclass
class Draft:
    """Calls and buffers while they are being collected.

    kernels: those of the backend that the calls are for. views: where the values of variables are.
    checks: the range checks among the calls, by view and bounds. parts: calls that copy a part into
    an assembled array. bases: by the buffer of an assembled array, the call that initialises it as
    a copy of another array. `in_place` removes such copies.
    """

    kernels: frozenset[str]
    graph: CallGraph = field(default_factory=CallGraph)
    buffers: list[Buffer] = field(default_factory=list)
    views: dict[Variable, View] = field(default_factory=dict)
    checks: dict[Any, int] = field(default_factory=dict)
    parts: list[int] = field(default_factory=list)
    bases: dict[int, int] = field(default_factory=dict)

    def new_buffer(self, kind: str, dtype: str, shape: tuple[int, ...], **more: Any) -> int:
        number = len(self.buffers)
        name = more.pop("name", None) or f"{kind[0]}{number}"
        self.buffers.append(Buffer(kind, dtype, shape, name, **more))
        return number

    def temporary(self, dtype: str, shape: tuple[int, ...]) -> View:
        """A fresh temporary in C order."""
        number = self.new_buffer(TEMPORARY, dtype, shape)
        return View(number, dtype, contiguous(shape))

    def copy(
        self, source: View, target: View, origins: Origins, apart: Collection[int] = ()
    ) -> int:
        """Adds a call that copies `source`, element by element, into `target`. It does not wait for
        the calls in `apart`, which write other elements."""
        tape = Tape.identity(compute_dtype(target.dtype))
        call = KernelCall(TAPE.name, (source,), (target,), {"tape": tape}, origins, "copy")
        return self.graph.add(call, apart=apart)

    def fill(
        self, value: float, target: View, origins: Origins, apart: Collection[int] = ()
    ) -> int:
        """Adds a call that fills `target` with a number; `apart` as in `copy`."""
        instruction = Instruction("const", immediate=float(value))
        tape = Tape(compute_dtype(target.dtype), 0, (instruction,), (0,))
        call = KernelCall(TAPE.name, (), (target,), {"tape": tape}, origins, "fill")
        return self.graph.add(call, apart=apart)

    def redirect(self, old: int, new: int) -> None:
        """Replaces one buffer by another of the same size."""
        self.graph.redirect(old, new)
        for v, view in self.views.items():
            if view.buffer == old:
                self.views[v] = view._replace(buffer=new)
        if old in self.bases:
            self.bases[new] = self.bases.pop(old)


def view_of(draft: Draft, v: Variable) -> View:
    """Where the value of `v` is; a constant gets its buffer here."""
    if v not in draft.views:
        assert isinstance(v, Constant), f"{v} has neither a value nor a node"
        shape = v.type.static_shape
        value = np.ascontiguousarray(v.value).reshape(shape)
        number = draft.new_buffer(CONSTANT, v.dtype, shape, value=value)
        draft.views[v] = View(number, v.dtype, contiguous(shape))
    return draft.views[v]


def layout_is_whole(view: View, buffer: Buffer) -> bool:
    """Whether a view covers its buffer completely, in C order."""
    layout: Layout = view.layout
    return (
        layout.offset == 0
        and not layout.slots
        and layout.is_contiguous
        and layout.size == buffer.size
    )
