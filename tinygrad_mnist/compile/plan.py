"""The plan: what a backend runs, as plain data, and its listing.

A plan is a list of kernel calls over buffers. It can be printed, compared and run by any backend
that has its kernels. Its listing has one line per kernel call, with its costs, and the totals.
Nothing in it depends on the machine or the moment.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from tinygrad_mnist.compile.host import HostProgram
from tinygrad_mnist.compile.listing import (
    counted,
    scaled,
    short_names,
    show_origins,
    show_values,
    wrapped,
    wrapped_origins,
)
from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.base import BODY, Array, ArraySpec, Flops
from tinygrad_mnist.contracts.core.listing import show_params, show_tape
from tinygrad_mnist.contracts.core.sizes import n_elements
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.layout import Layout
from tinygrad_mnist.graph.source import Origins
from tinygrad_mnist.graph.types import FLOATS
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
        return n_elements(self.shape)

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
    """One call: kernel, operands, parameters, and the user's lines that it comes from.

    label: describes what a range check checks. condition: what is wrong where a check fails that is
    none of an index.
    """

    kernel: str
    inputs: tuple[View, ...]
    outputs: tuple[View, ...]
    params: Mapping[str, Any]
    origins: Origins = field(default=(), compare=False)
    label: str = ""
    condition: str = ""

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

    @cached_property
    def output_bytes(self) -> int:
        """Memory of the outputs, and of new values of shared variables whose shape changes."""
        return sum(b.nbytes for b in self.buffers if b.kind == OUTPUT)

    @property
    def peak_bytes(self) -> int:
        """Memory that a run takes beside its inputs and shared variables: temporaries and outputs.
        Kernels' workspaces come on top; see `Program.workspace_bytes`."""
        return self.arena_bytes + self.output_bytes

    @cached_property
    def usual_dtype(self) -> str:
        """The float dtype that most operands have, or the dtype if there are no floats. Listings
        show the others."""
        count = Counter(v.dtype for call in self.calls for v in (*call.inputs, *call.outputs))
        floats = {dtype: n for dtype, n in count.items() if dtype in FLOATS}
        counts = floats or count
        return max(counts, key=lambda dtype: counts[dtype], default="float32")

    @cached_property
    def file_names(self) -> Mapping[str, str]:
        """Short names of the files that calls come from."""
        return short_names({origin.file for call in self.calls for origin in call.origins})

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
        text, *more = show_call(plan, call)
        origins = f"from {show_origins(call.origins, plan.file_names)}" if call.origins else ""
        together = "  ".join(filter(None, [text, *more, origins]))
        if len(costs) + len(together) <= COLUMNS:
            lines.append(costs + together)
            continue
        margin = " " * (len(costs) + 2)
        lines += wrapped(text, COLUMNS, costs, margin)
        for part in more:
            lines += wrapped(part, COLUMNS, margin, margin + "  ")
        lines += wrapped_origins(origins, COLUMNS, margin, margin + "  ")
    lines += wrapped(_totals(plan), COLUMNS, "", "  ")
    for line in _legend(plan):
        lines += wrapped(line, COLUMNS, "", "  ")
    return "\n".join(lines)


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


def _legend(plan: Plan) -> Iterator[str]:
    """What the table leaves out: the usual dtype, and what slots and constants are."""
    if plan.calls:
        yield f"dtype: {plan.usual_dtype} where none is shown"
    for number, text in enumerate(plan.host.legend):
        yield f"slot s{number}: {text}, computed before each run"
    for buffer in plan.buffers:
        if buffer.value is not None:
            yield f"constant {buffer.name}: {show_values(buffer.value)}"


def show_call(plan: Plan, call: KernelCall) -> list[str]:
    """A call's text: `outputs = kernel{parameters}(inputs)`, then each of its tapes that does
    something."""
    inputs = ", ".join(show_view(plan, v) for v in call.inputs)
    outputs = ", ".join(show_view(plan, v) for v in call.outputs) or "-"
    tapes = [
        f"{name}: {show_tape(tape)}"
        for name, tape in CONTRACTS[call.kernel].named_tapes(call.params)
        if not tape.is_identity
    ]
    what = what_it_does(call)
    kernel = f"{call.kernel}{{{what}}}" if what else call.kernel
    return [f"{outputs} = {kernel}({inputs})", *tapes]


def what_it_does(call: KernelCall) -> str:
    """Its parameters, such as `sum over 0,2`; `cast` or `copy` where a tape computes nothing."""
    if BODY in call.params and call.params[BODY].is_identity and len(call.inputs) == 1:
        return "copy" if call.inputs[0].dtype == call.outputs[0].dtype else "cast"
    return show_params(CONTRACTS[call.kernel], call.params)


def show_view(plan: Plan, view: View) -> str:
    """`name:shape`, with 1 for a length along which it repeats.

    `name+10:shape` begins at element 10 of the buffer, `name+s0:shape` where slot 0 puts it. A
    dtype that is not the plan's usual one follows, and the strides of elements that are not in C
    order without gaps: `t2:640x10 strides 1x640`.
    """
    layout, true_shape = view.layout, view.true_shape
    shape = "x".join(map(str, true_shape)) or "scalar"
    offset = f"+{layout.offset}" if layout.offset else ""
    slots = "".join(f"+s{slot}" for slot, _ in layout.slots)
    text = f"{plan.buffers[view.buffer].name}{offset}{slots}:{shape}"
    if view.dtype != plan.usual_dtype:
        text += f" {view.dtype}"
    if not layout._replace(shape=true_shape).is_contiguous:
        strides = (s if n != 1 else 0 for n, s in zip(true_shape, layout.strides, strict=True))
        text += f" strides {'x'.join(map(str, strides))}"
    return text
