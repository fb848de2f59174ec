"""Schedule: a rewritten graph becomes kernel calls over buffers.

Views cost nothing: a reshape or a slice is another layout over the same buffer. Everything else is
one call per node, in an order that respects who reads what before it is overwritten (`order`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinygrad_mnist.compile.assemble import draft_assembled, draft_scattered
from tinygrad_mnist.compile.draft import Draft, view_of
from tinygrad_mnist.compile.plan import INPUT, SHARED, View
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.errors import IndexOutOfRangeError, MissingKernelError
from tinygrad_mnist.graph.layout import contiguous
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Constant, Node, SharedVariable, Variable
from tinygrad_mnist.ops.gather import GATHER, SCATTER_ADD, SCATTER_SET
from tinygrad_mnist.ops.kernels import TAPE
from tinygrad_mnist.ops.slices import ASSEMBLE
from tinygrad_mnist.rewrite.fuse import operands_before_epilogue


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
    draft = Draft(kernels)
    for leaf, counterpart in leaves.items():
        kind = SHARED if isinstance(leaf, SharedVariable) else INPUT
        shape = counterpart.type.static_shape
        number = draft.new_buffer(kind, leaf.dtype, shape, name=leaf.name, leaf=leaf)
        draft.views[counterpart] = View(number, leaf.dtype, contiguous(shape))
    for node in toposort(outputs):
        _add_node(draft, node, backend)
    for v in outputs:
        view_of(draft, v)
    return draft


def _add_node(draft: Draft, node: Node, backend: str) -> None:
    if node.op.view is not None:
        draft.views[node.outputs[0]] = _viewed(draft, node)
        return
    if node.op is ASSEMBLE:
        draft.views[node.outputs[0]] = draft_assembled(draft, node)
        return
    kernel = node.op.contract or (TAPE.name if node.op is TAPE else None)
    if kernel is None or kernel not in draft.kernels:
        raise MissingKernelError(
            f"the backend {backend!r} has no kernel {kernel or node.op.name!r}{at(node.source)}"
        )
    checks = _add_checks(draft, node)
    if node.op in (SCATTER_ADD, SCATTER_SET):
        draft.views[node.outputs[0]] = draft_scattered(draft, node, checks)
        return
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
        bounds = f"has to lie between {low} and {high - 1}"
        label = f"{_described(index)} {bounds if low < high else 'points into a length of 0'}"
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
    walk, is_computed = v, False
    while walk.name is None and walk.node is not None and walk.node.inputs:
        is_computed = is_computed or not _only_moves(walk.node)
        walk = walk.node.inputs[0]
    if not walk.name:
        return "an index"
    return f"an index computed from {walk}" if is_computed else f"the index {walk}"


def _only_moves(node: Node) -> bool:
    """Whether a node's result has the values of its first input, perhaps as another dtype."""
    if node.op is TAPE:
        tape: Tape = node.params["tape"]
        return tape.is_identity
    return node.op.view is not None or node.op is GATHER
