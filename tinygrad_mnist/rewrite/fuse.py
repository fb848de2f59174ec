"""Fuse: kernels take in what surrounds them, where the backend has the fused form.

A reshape or dimshuffle moves behind the tape that follows it; a tape joins the kernel whose result
it works on, as epilogue, where the kernel's contract has one, or the reduction that reads it, as
prologue. So bias and activation, and the SGD update, cost no pass over memory of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tinygrad_mnist.contracts import CONTRACTS
from tinygrad_mnist.contracts.core.tape import Tape
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.kernels import REDUCE, TAPE, full_type
from tinygrad_mnist.ops.shape import dimshuffle, static_reshape
from tinygrad_mnist.rewrite.engine import Context, copied, rebuild, uses
from tinygrad_mnist.rewrite.tapes import MAX_INPUTS, TapeBuilder


def n_kernel_inputs(node: Node) -> int | None:
    """How many inputs of a node come before those of its epilogue; None where its kernel takes no
    epilogue."""
    if node.op.contract is None:
        return None
    contract = CONTRACTS[node.op.contract]
    if not contract.has_epilogue:
        return None
    return contract.n_kernel_inputs(node.params, len(node.inputs))


# --- views behind tapes -------------------------------------------------------------------------


def sink_views(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """tape(view(x), y) is view(tape(x, inverse view(y))) where x comes from a kernel that could
    take the tape in as its epilogue."""
    counts = uses(outputs)
    sunk: Counter[Variable] = Counter()

    def emit(node: Node, inputs: list[Variable]) -> Sequence[Variable]:
        if node.op is TAPE and len(node.outputs) == 1:
            for old, new in zip(node.inputs, inputs, strict=True):
                if counts[old] == 1 and _is_view_of_kernel(new, old, counts):
                    moved = _sink(node, inputs, new)
                    if moved is not None:
                        context.fired["view_after_tape"] += 1
                        sunk[moved] += 1
                        return [moved]
        return copied(node, inputs).outputs

    return rebuild(outputs, emit)


def _is_view_of_kernel(new: Variable, old: Variable, counts: Counter[Variable]) -> bool:
    view = new.node
    if view is None or view.op.name not in ("static_reshape", "dimshuffle"):
        return False
    source, old_node = view.inputs[0].node, old.node
    return (
        source is not None
        and n_kernel_inputs(source) is not None
        and old_node is not None
        and old_node.op is view.op
        and counts[old_node.inputs[0]] == 1
    )


def _sink(node: Node, inputs: Sequence[Variable], viewed: Variable) -> Variable | None:
    view = viewed.node
    assert view is not None
    source, result = view.inputs[0], node.outputs[0]
    if viewed.type.shape != result.type.shape:
        return None
    if node.params["tape"].step_inputs:
        return None  # a draw belongs to a position in C order
    operands = []
    for v in inputs:
        moved = source if v is viewed else _inverse_view(v, view, source)
        if moved is None:
            return None
        operands.append(moved)
    type = source.type.with_dtype(result.dtype)
    tape = TAPE.rebuild(operands, {**node.params, "types": (type,)}).outputs[0]
    return view.op.rebuild([tape], view.params).outputs[0]


def _inverse_view(v: Variable, view: Node, source: Variable) -> Variable | None:
    """An operand of the viewed shape as it lies before the view; None where it can't be."""
    if view.op.name == "dimshuffle":
        pattern = view.params["pattern"]
        if "x" in pattern:
            return None
        return dimshuffle(
            v, *(pattern.index(i) if i in pattern else "x" for i in range(source.ndim))
        )
    if v.type.shape == view.outputs[0].type.shape:
        return static_reshape(v, source.type.static_shape, source.broadcastable)
    return None


# --- epilogues and prologues --------------------------------------------------------------------


def fuse_prologues(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """A tape that only a reduction reads is computed while it reduces."""
    counts = uses(outputs)
    absorbed = {
        v.node
        for node in toposort(outputs)
        if node.op is REDUCE
        for v in node.inputs[: node.params["n_prologue"]]
        if _joins_prologue(v, node, counts)
    }
    fresh: dict[Variable, Variable] = {}

    def emit(node: Node, inputs: list[Variable]) -> Sequence[Variable] | None:
        fresh.update(zip(node.inputs, inputs, strict=True))
        if node in absorbed:
            return None
        if node.op is REDUCE and node.inputs[0].node in absorbed:
            context.fired["prologue"] += 1
            return [_with_prologue(node, fresh)]
        return copied(node, inputs).outputs

    return rebuild(outputs, emit)


def fuse_epilogues(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """A tape that only works on a kernel's result becomes that kernel's epilogue."""
    producers = _epilogue_producers(toposort(outputs), uses(outputs))
    fused = set(producers.values())
    fresh: dict[Variable, Variable] = {}
    # The other results of a kernel that is emitted with its epilogue, such as a pool's winners.
    late: dict[Variable, Variable] = {}

    def emit(node: Node, inputs: list[Variable]) -> Sequence[Variable] | None:
        current = [late.get(v, v) for v in inputs]
        fresh.update(zip(node.inputs, current, strict=True))
        if node in fused:
            return None
        if node in producers:
            context.fired["epilogue"] += 1
            result = _with_epilogue(producers[node], node, fresh)
            late.update(zip(producers[node].outputs[1:], result.outputs[1:], strict=True))
            return [result.outputs[0]]
        return copied(node, current).outputs

    return [late.get(v, v) for v in rebuild(outputs, emit)]


def _epilogue_producers(order: Sequence[Node], counts: Counter[Variable]) -> dict[Node, Node]:
    """Tapes that become epilogues, each with the kernel node that makes what it works on."""
    position = {node: i for i, node in enumerate(order)}
    readers: dict[Variable, list[Node]] = {}
    for node in order:
        for v in node.inputs:
            readers.setdefault(v, []).append(node)
    producers: dict[Node, Node] = {}
    taken: set[Node] = set()
    for node in order:
        if node.op is not TAPE or len(node.outputs) != 1:
            continue
        for v in node.inputs:
            kernel = v.node
            if kernel is None or kernel in taken or not _takes_epilogue(kernel, v, node, counts):
                continue
            others = [r for extra in kernel.outputs[1:] for r in readers.get(extra, ())]
            if all(position[r] > position[node] for r in others):
                producers[node] = kernel
                taken.add(kernel)
                break
    return producers


def _takes_epilogue(kernel: Node, v: Variable, tape: Node, counts: Counter[Variable]) -> bool:
    n_before = n_kernel_inputs(kernel)
    result = tape.outputs[0]
    return (
        n_before is not None
        and v.index == 0
        and counts[v] == 1
        and tape.params["tape"].dtype == v.dtype == result.dtype
        and v.type.shape == result.type.shape
        and len(tape.inputs) - 1 + len(kernel.inputs) - n_before <= MAX_INPUTS
        and not tape.params["tape"].step_inputs
    )


def _with_epilogue(kernel: Node, tape: Node, fresh: dict[Variable, Variable]) -> Node:
    """The kernel with `tape` behind the epilogue that it has."""
    n_before = n_kernel_inputs(kernel)
    assert n_before is not None
    inputs = [fresh[v] for v in kernel.inputs]
    accumulated = kernel.outputs[0]
    first: Tape = kernel.params["epilogue"]
    builder = TapeBuilder(first.dtype)
    start = builder.load(accumulated)
    extras = inputs[n_before:]
    value = builder.append(first, [start, *map(builder.load, extras)], [accumulated, *extras])
    raw = [v if v is accumulated else fresh[v] for v in tape.inputs]
    values = [value if v is accumulated else builder.load(v) for v in raw]
    output = builder.append(tape.params["tape"], values, raw)
    params = {**kernel.params, "epilogue": builder.finish(output)}
    if "types" in params:
        params["types"] = (tape.outputs[0].type, *params["types"][1:])
    result = kernel.op.rebuild([*inputs[:n_before], *builder.operands[1:]], params)
    result.outputs[0].name = tape.outputs[0].name
    return result


def _joins_prologue(v: Variable, reduction: Node, counts: Counter[Variable]) -> bool:
    node = v.node
    prologue: Tape = reduction.params["prologue"]
    return (
        node is not None
        and node.op is TAPE
        and len(node.outputs) == 1
        and counts[v] == 1
        and node.params["tape"].dtype == v.dtype == prologue.dtype
        # The kernel learns the shape that it reduces from the operands.
        and full_type([u.type for u in node.inputs], v.dtype).shape == v.type.shape
    )


def _with_prologue(reduction: Node, fresh: dict[Variable, Variable]) -> Variable:
    """The reduction with the tape that made its input in front."""
    n = reduction.params["n_prologue"]
    (v,) = reduction.inputs[:n]
    assert v.node is not None
    operands = [fresh[u] for u in v.node.inputs]
    params = {
        **reduction.params,
        "prologue": v.node.params["tape"],
        "n_prologue": len(operands),
    }
    extras = [fresh[u] for u in reduction.inputs[n:]]
    return reduction.op.rebuild([*operands, *extras], params).outputs[0]
