"""Schedule: a rewritten graph becomes kernel calls over buffers.

Views cost nothing: a reshape or a slice is another layout over the same buffer. Everything else is
one call per node, in an order that respects who reads what before it is overwritten (`order`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tinygrad_mnist.compile.plan import (
    CONSTANT,
    INPUT,
    SHARED,
    TEMPORARY,
    Buffer,
    KernelCall,
    View,
)
from tinygrad_mnist.contracts.tape import Instruction, Tape
from tinygrad_mnist.errors import IndexOutOfRangeError, MissingKernelError
from tinygrad_mnist.graph.layout import Layout, contiguous
from tinygrad_mnist.graph.source import Source, at
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.types import compute_dtype
from tinygrad_mnist.graph.variables import Constant, Node, SharedVariable, Variable
from tinygrad_mnist.ops.index import EMBED, sliced_layout
from tinygrad_mnist.ops.kernels import TAPE
from tinygrad_mnist.rewrite.fuse import operands_before_epilogue


@dataclass
class Draft:
    """Calls and buffers while they are being collected; `depends[i]` are calls before call i."""

    buffers: list[Buffer] = field(default_factory=list)
    calls: list[KernelCall] = field(default_factory=list)
    depends: list[set[int]] = field(default_factory=list)
    # Calls that write a temporary, and calls that read a buffer.
    writers: dict[int, list[int]] = field(default_factory=dict)
    readers: dict[int, set[int]] = field(default_factory=dict)
    views: dict[Variable, View] = field(default_factory=dict)
    checks: dict[Any, int] = field(default_factory=dict)

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


def draft_calls(
    outputs: Sequence[Variable],
    leaves: Mapping[Variable, Variable],
    kernels: frozenset[str],
    backend: str,
) -> Draft:
    """The calls of a rewritten graph, views resolved, in no particular order yet.

    leaves: symbolic leaves with their counterparts of known shape. Raises MissingKernelError for
    a kernel that the backend lacks, IndexOutOfRangeError for a constant index out of range.
    """
    draft = Draft()
    for leaf, counterpart in leaves.items():
        kind = SHARED if isinstance(leaf, SharedVariable) else INPUT
        shape = counterpart.type.static_shape
        number = draft.new_buffer(kind, leaf.dtype, shape, name=leaf.name, leaf=leaf)
        draft.views[counterpart] = View(number, leaf.dtype, contiguous(shape))
    for node in toposort(outputs):
        _add_node(draft, node, kernels, backend)
    for v in outputs:
        view_of(draft, v)
    return draft


def view_of(draft: Draft, v: Variable) -> View:
    """Where the value of `v` is; a constant gets its buffer here."""
    if v not in draft.views:
        assert isinstance(v, Constant), f"{v} has neither a value nor a node"
        shape = v.type.static_shape
        value = np.ascontiguousarray(v.value).reshape(shape)
        number = draft.new_buffer(CONSTANT, v.dtype, shape, value=value)
        draft.views[v] = View(number, v.dtype, contiguous(shape))
    return draft.views[v]


def _add_node(draft: Draft, node: Node, kernels: frozenset[str], backend: str) -> None:
    if node.op.view is not None:
        draft.views[node.outputs[0]] = _viewed(draft, node)
        return
    if node.op is EMBED:
        draft.views[node.outputs[0]] = _embedded(draft, node)
        return
    kernel = node.op.contract or (TAPE.name if node.op is TAPE else None)
    if kernel is None or kernel not in kernels:
        raise MissingKernelError(
            f"the backend {backend!r} has no kernel {kernel or node.op.name!r}{at(node.source)}"
        )
    checks = _add_checks(draft, node)
    inputs = _operands(draft, node)
    results = [draft.temporary(v.dtype, v.type.static_shape) for v in node.outputs]
    params = {k: p for k, p in node.params.items() if k not in ("types", "broadcastable")}
    number = draft.call(kernel, inputs, results, params, node.source)
    draft.depends[number] |= checks
    draft.views.update(zip(node.outputs, results, strict=True))


def _viewed(draft: Draft, node: Node) -> View:
    """The result of a view op; its input is copied first where no layout can express it."""
    assert node.op.view is not None
    source = view_of(draft, node.inputs[0])
    layout = node.op.view(node.params, source.layout)
    if layout is None:
        fresh = draft.temporary(source.dtype, source.layout.shape)
        draft.copy(source, fresh, node.source)
        source = fresh
        layout = node.op.view(node.params, source.layout)
        assert layout is not None, f"{node.op.name} has no layout over C order"
    return View(source.buffer, source.dtype, layout)


def _embedded(draft: Draft, node: Node) -> View:
    """Zeros with a slice written into them: two calls over one buffer."""
    result = node.outputs[0]
    whole = draft.temporary(result.dtype, result.type.static_shape)
    zeros = Tape(compute_dtype(result.dtype), 0, (Instruction("const", immediate=0.0),), (0,))
    draft.call(TAPE.name, [], [whole], {"tape": zeros}, node.source, "zeros")
    part = View(whole.buffer, whole.dtype, sliced_layout(node.params, whole.layout))
    draft.copy(view_of(draft, node.inputs[0]), part, node.source)
    return whole


def _operands(draft: Draft, node: Node) -> list[View]:
    """Views of a node's inputs; those that a tape reads are stretched to the tape's shape."""
    views = [view_of(draft, v) for v in node.inputs]
    if node.op is TAPE:
        return _tape_operands(node.params["tape"], views, node.outputs[0].type.static_shape)
    n_own = operands_before_epilogue(node)
    if n_own is None:
        return views
    own = views[:n_own]
    if node.op.name == "reduce":
        shapes = [v.type.static_shape for v in node.inputs[:n_own]]
        full = tuple(map(_longest, zip(*shapes, strict=True)))
        own = _tape_operands(node.params["prologue"], own, full)
    extra_shape = node.outputs[0].type.static_shape
    return own + [_stretched(v, extra_shape) for v in views[n_own:]]


def _tape_operands(tape: Tape, views: Sequence[View], shape: tuple[int, ...]) -> list[View]:
    """Operands in the tape's shape; step counters, which only `uniform` reads, are 0-d."""
    steps = {i.args[0] for i in tape.instructions if i.op == "uniform"}
    return [
        View(v.buffer, v.dtype, v.layout.rearranged((), ())) if k in steps else _stretched(v, shape)
        for k, v in enumerate(views)
    ]


def _longest(lengths: Sequence[int]) -> int:
    """The length to which operands of these lengths stretch; 0 wins over 1."""
    return next((n for n in lengths if n != 1), 1)


def _stretched(view: View, shape: tuple[int, ...]) -> View:
    layout = view.layout
    if layout.shape == shape:
        return view
    strides = (
        0 if n == 1 and m != 1 else s
        for n, m, s in zip(layout.shape, shape, layout.strides, strict=True)
    )
    return View(view.buffer, view.dtype, layout.rearranged(shape, strides))


def _add_checks(draft: Draft, node: Node) -> set[int]:
    """Range checks of index operands: at once for constants, by calls for the rest."""
    calls: set[int] = set()
    if node.op.checks is None:
        return calls
    for number, low, high in node.op.checks(node):
        index = node.inputs[number]
        label = f"{_described(index)} has to lie between {low} and {high - 1}"
        constant = index
        while constant.node is not None and constant.node.op.name == "static_reshape":
            constant = constant.node.inputs[0]
        if isinstance(constant, Constant):
            if constant.value.size and not (
                low <= constant.value.min() and constant.value.max() < high
            ):
                raise IndexOutOfRangeError(f"{node.op.name}: {label}{at(node.source)}")
            continue
        view = view_of(draft, index)
        key = (view, low, high)
        if key not in draft.checks:
            params = {"low": low, "high": high}
            draft.checks[key] = draft.call("check_range", [view], [], params, node.source, label)
        calls.add(draft.checks[key])
    return calls


def _described(v: Variable) -> str:
    """A name for an index in a message: its own, or that of what it is computed from."""
    walk = v
    while walk.name is None and walk.node is not None and walk.node.inputs:
        walk = walk.node.inputs[0]
    return f"the index {walk}" if walk.name else "an index"


def layout_is_whole(view: View, buffer: Buffer) -> bool:
    """Whether a view covers its buffer completely, in C order."""
    layout: Layout = view.layout
    return (
        layout.offset == 0
        and not layout.slots
        and layout.is_contiguous
        and layout.size == buffer.size
    )
