"""Schedule: a rewritten graph becomes kernel calls over buffers.

Views cost nothing: a reshape or a slice is another layout over the same buffer. Everything else is
one call per node, in an order in which every value is read before it is overwritten (`order`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tinygrad_mnist.compile.assemble import draft_assembled, draft_updated
from tinygrad_mnist.compile.draft import Draft, view_of
from tinygrad_mnist.compile.plan import INPUT, SHARED, KernelCall, View
from tinygrad_mnist.contracts import CONTRACTS, Contract
from tinygrad_mnist.contracts.core.operands import tape_uses
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.contracts.index.check_range import CHECK_RANGE
from tinygrad_mnist.errors import ArgumentError, IndexOutOfRangeError, MissingKernelError
from tinygrad_mnist.graph.layout import contiguous
from tinygrad_mnist.graph.shared import SharedVariable
from tinygrad_mnist.graph.source import at
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Constant, Node, Variable
from tinygrad_mnist.ops.gather import GATHER
from tinygrad_mnist.ops.kernels import TAPE
from tinygrad_mnist.ops.slices import ASSEMBLE


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
        _add_checks(draft, node, None)
        draft.views[node.outputs[0]] = _viewed(draft, node)
        return
    if node.op is ASSEMBLE:
        draft.views[node.outputs[0]] = draft_assembled(draft, node)
        return
    kernel = node.op.contract
    if kernel is None or kernel not in draft.kernels:
        raise MissingKernelError(
            f"the backend {backend!r} has no kernel {kernel or node.op.name!r}{at(*node.origins)}"
        )
    contract = CONTRACTS[kernel]
    checks = _add_checks(draft, node, contract)
    if contract.touched is not None:
        draft.views[node.outputs[0]] = draft_updated(draft, node, contract, checks)
        return
    inputs = _operands(draft, node, contract)
    results = [draft.temporary(v.dtype, v.type.static_shape) for v in node.outputs]
    params = contract.own_params(node.params)
    call = KernelCall(kernel, tuple(inputs), tuple(results), params, node.origins)
    draft.graph.add(call, after=checks)
    draft.views.update(zip(node.outputs, results, strict=True))


def _viewed(draft: Draft, node: Node) -> View:
    """The result of a view op; its input is copied first where no layout can express it."""
    assert node.op.view is not None
    source = view_of(draft, node.inputs[0])
    layout = node.op.view(node.params, source.layout)
    if layout is None:
        fresh = draft.temporary(source.dtype, source.layout.shape)
        draft.copy(source, fresh, node.origins)
        source = fresh
        layout = node.op.view(node.params, source.layout)
        assert layout is not None, f"{node.op.name} has no layout over C order"
    return View(source.buffer, source.dtype, layout)


def _operands(draft: Draft, node: Node, contract: Contract) -> list[View]:
    """Views of a node's inputs. Those that a tape reads are stretched to the tape's shape; counters
    of random draws are 0-d."""
    views = [view_of(draft, v) for v in node.inputs]
    for use in tape_uses(contract, node.params, len(node.inputs), len(node.outputs)):
        if use.outputs:
            shape = node.outputs[use.outputs[0]].type.static_shape
        else:
            shapes = [node.inputs[k].type.static_shape for k in use.inputs]
            shape = tuple(map(_longest, zip(*shapes, strict=True)))
        before = use.tape.n_inputs - len(use.inputs)  # 1 where the tape reads the kernel's result
        for k, v in enumerate(use.inputs, before):
            is_step = k in use.tape.step_inputs
            views[v] = _scalar(views[v]) if is_step else _stretched(views[v], shape)
    return views


def _scalar(view: View) -> View:
    """A view of one element as a 0-d one."""
    return view._replace(layout=view.layout.rearranged((), ()))


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


def _add_checks(draft: Draft, node: Node, contract: Contract | None) -> set[int]:
    """Range checks of index operands, or of a view's condition: at once for constants, by calls for
    the rest.

    Raises ValueError where the inputs that the op checks are not those that the contract's kernel
    uses as indices.
    """
    calls: set[int] = set()
    checks = node.op.checks(node) if node.op.checks is not None else ()
    indices = [] if contract is None else contract.index_inputs(node.params, len(node.inputs))
    if contract is not None and sorted(number for number, _, _ in checks) != list(indices):
        raise ValueError(
            f"the op {node.op.name} has to check the inputs that its kernel {contract.name} uses as"
            f" indices, {list(indices)}, and no others"
        )
    for number, low, high in checks:
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
                if "message" in node.params:
                    raise ArgumentError(f"{node.params['message']}{at(*node.origins)}")
                raise IndexOutOfRangeError(f"{node.op.name}: {label}{at(*node.origins)}")
            continue
        view = view_of(draft, index)
        condition = node.params.get("message", "")
        key = (view, low, high, condition)
        if key in draft.checks:
            draft.graph.add_origins(draft.checks[key], node.origins)
        else:
            params = {"low": low, "high": high}
            name = CHECK_RANGE.name
            check = KernelCall(name, (view,), (), params, node.origins, label, condition)
            draft.checks[key] = draft.graph.add(check)
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
