"""The plan: what a backend runs, as plain data, and its listing.

A plan is a list of kernel calls over buffers. It can be printed, compared and run by any backend
that has its kernels. Its listing has one line per kernel call, with its costs, and the totals.
Nothing in it depends on the machine or the moment.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.compile.host import HostProgram
from tinygrad_mnist.compile.listing import counted, scaled
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import Array, ArraySpec, Flops
from tinygrad_mnist.contracts.core.listing import show_tape
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.layout import Layout
from tinygrad_mnist.graph.source import Origins
from tinygrad_mnist.graph.variables import Variable

# Kinds of buffers. All but temporaries are bound to arrays from outside the arena.
INPUT, SHARED, CONSTANT, OUTPUT, TEMPORARY = "input", "shared", "constant", "output", "temporary"

COLUMNS = 120  # of a listing's lines


@dataclass(frozen=True)
class Buffer:
    """A contiguous block of memory.

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
    """Elements of a buffer: the number of the buffer, and their layout in it."""

    buffer: int
    dtype: str
    layout: Layout

    @property
    def spec(self) -> ArraySpec:
        return ArraySpec(self.dtype, self.layout.shape)

    @property
    def true_shape(self) -> tuple[int, ...]:
        """The shape with 1 in place of the lengths along which one element is repeated."""
        layout = self.layout
        return tuple(
            1 if s == 0 and n > 1 else n for n, s in zip(layout.shape, layout.strides, strict=True)
        )

    @property
    def elements(self) -> Hashable:
        """Equal for views of the same elements of the same buffer, in whatever order of axes."""
        layout = self.layout
        steps = zip(self.true_shape, layout.strides, strict=True)
        axes = tuple(sorted(axis for axis in steps if axis[0] != 1))
        return self.buffer, layout.offset, layout.slots, axes


@dataclass(frozen=True)
class KernelCall:
    """One call: kernel, operands, parameters, and the user's lines that it comes from."""

    kernel: str
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
    params: Mapping[str, Any]
    origins: Origins = field(default=(), compare=False)
    label: str = field(default="", compare=False)

    def with_buffers(self, number: Callable[[int], int]) -> KernelCall:
        """The same call on other buffers: `number` gives the new number of each."""

        def moved(views: Sequence[View]) -> tuple[View, ...]:
            return tuple(v._replace(buffer=number(v.buffer)) for v in views)

        return replace(self, inputs=moved(self.inputs), outputs=moved(self.outputs))

    @property
    def flops(self) -> int:
        """Arithmetic operations by the contract's formula, dense."""
        return self._cost(CONTRACTS[self.kernel].flops)

    @property
    def least_flops(self) -> int:
        """Arithmetic operations that can't be left out: behind a max-pool, those of the winners."""
        contract = CONTRACTS[self.kernel]
        return self._cost(contract.least_flops or contract.flops)

    def _cost(self, formula: Flops) -> int:
        return formula(self.params, [v.spec for v in self.inputs], [v.spec for v in self.outputs])

    @property
    def nbytes(self) -> int:
        """Bytes that it has to read and write at least. An element that is read twice, or repeated
        by a broadcast, counts once; one that is updated in place is read and written."""
        contract = CONTRACTS[self.kernel]
        read: dict[Hashable, int] = {}
        for number, view in enumerate(self.inputs):
            spec = ArraySpec(view.dtype, view.true_shape)
            least = spec.size
            if number in contract.picked:
                least = min(least, self.outputs[0].spec.size)
            if number == 0 and contract.touched is not None:
                least = min(least, self.inputs[contract.touched].spec.size)
            read[view.elements] = max(read.get(view.elements, 0), least * spec.itemsize)
        if contract.touched is not None:
            written = self.inputs[contract.touched].spec.size * self.outputs[0].spec.itemsize
        else:
            written = sum(v.spec.nbytes for v in self.outputs)
        return sum(read.values()) + written

    @property
    def tapes(self) -> list[Tape]:
        """The call's tapes, in the contract's order."""
        return [tape for _, tape in CONTRACTS[self.kernel].named_tapes(self.params)]


@dataclass(frozen=True)
class Plan:
    """Calls over buffers, for one set of shapes.

    backend: name of the backend that it was made for. calls: in an order in which they may run one
    by one. depends: for each call the earlier calls that it waits for, without those that one of
    them waits for; others may run at the same time. outputs: number of the buffer of each result.
    arena_bytes: memory of all temporaries. host: what is computed on the host before each run.
    rewrites: how often each rule was applied.
    """

    backend: str
    buffers: tuple[Buffer, ...]
    calls: tuple[KernelCall, ...]
    depends: tuple[tuple[int, ...], ...]
    outputs: tuple[int, ...]
    arena_bytes: int
    host: HostProgram = field(compare=False)
    rewrites: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def flops(self) -> int:
        """Arithmetic operations of one run, dense."""
        return sum(call.flops for call in self.calls)

    @property
    def nbytes(self) -> int:
        """Bytes that the calls of one run have to read and write at least."""
        return sum(call.nbytes for call in self.calls)

    @property
    def shared_bytes(self) -> int:
        """Memory of the shared variables that it reads or updates."""
        return sum(b.nbytes for b in self.buffers if b.kind == SHARED)

    def __str__(self) -> str:
        return show_plan(self)


# --- the listing --------------------------------------------------------------------------------


def show_plan(plan: Plan) -> str:
    """The table of a plan's calls, between a line on the plan and one with the totals."""
    lines = [
        f"plan for {plan.backend}: {counted(len(plan.calls), 'call')}",
        "  #     FLOP    bytes  call",
    ]
    for number, call in enumerate(plan.calls):
        costs = f"{number:3d}  {scaled(call.flops):>7}  {scaled(call.nbytes):>7}  "
        text, *tapes = show_call(plan, call)
        if tapes and len(costs) + len(text) + len("  ".join(["", *tapes])) <= COLUMNS:
            text, tapes = "  ".join([text, *tapes]), []
        margin = " " * len(costs)
        lines += _wrapped(text, costs, margin + "  ")
        for tape in tapes:
            lines += _wrapped(tape, margin + "  ", margin + "    ")
    return "\n".join([*lines, _totals(plan)])


def _wrapped(text: str, first: str, others: str) -> list[str]:
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=first,
        subsequent_indent=others,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _totals(plan: Plan) -> str:
    kinds = [buffer.kind for buffer in plan.buffers]
    parts = [
        f"{scaled(plan.flops)}FLOP",
        f"{scaled(plan.nbytes)}B read and written",
        f"arena {scaled(plan.arena_bytes)}B for {counted(kinds.count('temporary'), 'temporary')}",
        f"shared {scaled(plan.shared_bytes)}B in {counted(kinds.count('shared'), 'variable')}",
        counted(plan.host.n_slots, "slot"),
    ]
    return f"total: {'; '.join(parts)}"


def show_call(plan: Plan, call: KernelCall) -> list[str]:
    """A call's text: `outputs = kernel(inputs)`, then each of its tapes that does something."""
    inputs = ", ".join(show_view(plan, v) for v in call.inputs)
    outputs = ", ".join(show_view(plan, v) for v in call.outputs) or "-"
    tapes = [
        f"{name}: {show_tape(tape)}"
        for name, tape in CONTRACTS[call.kernel].named_tapes(call.params)
        if not tape.is_identity
    ]
    return [f"{outputs} = {call.kernel}({inputs})", *tapes]


def show_view(plan: Plan, view: View) -> str:
    """`name:shape`, with `+s0` where slot 0 moves it and 1 for a length along which it repeats."""
    shape = "x".join(map(str, view.true_shape)) or "scalar"
    slots = "".join(f"+s{slot}" for slot, _ in view.layout.slots)
    return f"{plan.buffers[view.buffer].name}{slots}:{shape}"
