"""The draft of a plan: calls and buffers while they are being collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tinygrad_mnist.compile.plan import CONSTANT, TEMPORARY, Buffer, KernelCall, View
from tinygrad_mnist.contracts.core.tape import Instruction, Tape
from tinygrad_mnist.graph.layout import Layout, contiguous
from tinygrad_mnist.graph.source import Source
from tinygrad_mnist.graph.types import compute_dtype
from tinygrad_mnist.graph.variables import Constant, Variable
from tinygrad_mnist.ops.kernels import TAPE


@dataclass
class Draft:
    """Calls and buffers while they are being collected; `depends[i]` are calls before call i.

    kernels: those of the backend that the calls are for.
    """

    kernels: frozenset[str]
    buffers: list[Buffer] = field(default_factory=list)
    calls: list[KernelCall] = field(default_factory=list)
    depends: list[set[int]] = field(default_factory=list)
    # Calls that write a temporary, and calls that read a buffer.
    writers: dict[int, list[int]] = field(default_factory=dict)
    readers: dict[int, set[int]] = field(default_factory=dict)
    views: dict[Variable, View] = field(default_factory=dict)
    checks: dict[Any, int] = field(default_factory=dict)
    # Calls that copy a part into an assembled array; by the buffer of such an array, the call that
    # initialises it as a copy of another one; and calls that are redundant. See `in_place`.
    parts: list[int] = field(default_factory=list)
    bases: dict[int, int] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)

    def new_buffer(self, kind: str, dtype: str, shape: tuple[int, ...], **more: Any) -> int:
        number = len(self.buffers)
        name = more.pop("name", None) or f"{kind[0]}{number}"
        self.buffers.append(Buffer(kind, dtype, shape, name, **more))
        return number

    def temporary(self, dtype: str, shape: tuple[int, ...]) -> View:
        """A fresh temporary in C order."""
        number = self.new_buffer(TEMPORARY, dtype, shape)
        return View(number, dtype, contiguous(shape))

    def call(
        self,
        kernel: str,
        inputs: Sequence[View],
        outputs: Sequence[View],
        params: Mapping[str, Any],
        source: Source | None,
        label: str = "",
    ) -> int:
        """Adds a call; it comes after those that write what it reads."""
        number = len(self.calls)
        self.calls.append(KernelCall(kernel, tuple(inputs), tuple(outputs), params, source, label))
        before: set[int] = set()
        for view in (*inputs, *outputs):
            before.update(self.writers.get(view.buffer, ()))
        for view in inputs:
            self.readers.setdefault(view.buffer, set()).add(number)
        for view in outputs:
            self.writers.setdefault(view.buffer, []).append(number)
        self.depends.append(before)
        return number

    def copy(self, source: View, target: View, line: Source | None) -> int:
        """Adds a call that copies `source`, element by element, into `target`."""
        tape = Tape.identity(compute_dtype(target.dtype))
        return self.call(TAPE.name, [source], [target], {"tape": tape}, line, "copy")

    def fill(self, value: float, target: View, line: Source | None) -> int:
        """Adds a call that fills `target` with a number."""
        instruction = Instruction("const", immediate=float(value))
        tape = Tape(compute_dtype(target.dtype), 0, (instruction,), (0,))
        return self.call(TAPE.name, [], [target], {"tape": tape}, line, "fill")

    def drop(self, number: int) -> None:
        """Leaves a call out; what it says about the order of other calls still holds."""
        self.dropped.add(number)
        for view in self.calls[number].inputs:
            self.readers[view.buffer].discard(number)

    def rename(self, old: int, new: int) -> None:
        """Replaces one buffer by another of the same size."""

        def renamed(views: Sequence[View]) -> tuple[View, ...]:
            return tuple(v._replace(buffer=new) if v.buffer == old else v for v in views)

        for number in {*self.writers.get(old, ()), *self.readers.get(old, ())}:
            call = self.calls[number]
            self.calls[number] = replace(
                call, inputs=renamed(call.inputs), outputs=renamed(call.outputs)
            )
        self.writers[new] = [*self.writers.pop(old, ()), *self.writers.get(new, ())]
        self.readers[new] = self.readers.pop(old, set()) | self.readers.get(new, set())
        for v, view in self.views.items():
            if view.buffer == old:
                self.views[v] = view._replace(buffer=new)
        if old in self.bases:
            self.bases[new] = self.bases.pop(old)

    def without_dropped(self) -> tuple[list[KernelCall], list[set[int]]]:
        """The calls that are left, and for each those before it. A call that waited for a dropped
        one waits for what the dropped one waited for."""
        left = [i for i in range(len(self.calls)) if i not in self.dropped]
        number = {old: new for new, old in enumerate(left)}
        depends = []
        for i in left:
            before: set[int] = set()
            seen: set[int] = set()
            stack = list(self.depends[i])
            while stack:
                other = stack.pop()
                if other in seen:
                    continue
                seen.add(other)
                if other in self.dropped:
                    stack.extend(self.depends[other])
                else:
                    before.add(number[other])
            depends.append(before)
        return [self.calls[i] for i in left], depends


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
