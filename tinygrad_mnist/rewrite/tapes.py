"""Tapes: elementwise nodes become tapes, and chains of them become one.

A node joins the tape of its consumer when nothing else reads it, it has the consumer's shape and
both compute in the same dtype. Numbers that fill a whole operand become instructions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tinygrad_mnist.contracts.core.tape import TRUTHS, Instruction, Tape
from tinygrad_mnist.graph.match import constant_value
from tinygrad_mnist.graph.source import merged, on_behalf_of
from tinygrad_mnist.graph.traversal import toposort
from tinygrad_mnist.graph.types import BOOL
from tinygrad_mnist.graph.variables import Node, Variable
from tinygrad_mnist.ops.elementwise import single_tape
from tinygrad_mnist.ops.kernels import TAPE
from tinygrad_mnist.ops.shape import with_ndim
from tinygrad_mnist.rewrite.engine import Context, copied, rebuild, uses

MAX_INPUTS = 12  # operands of one tape: beyond this a row's operands crowd the first-level cache
MAX_INSTRUCTIONS = 64  # of one tape; also bounds how deep `_write` goes


def tape_of(node: Node) -> Tape | None:
    """The tape that computes a node, or None where it is not elementwise."""
    if node.op.tape_op is not None:
        return single_tape(node)
    if node.op is TAPE and len(node.outputs) == 1:
        tape: Tape = node.params["tape"]
        return tape
    return None


@dataclass
class TapeBuilder:
    """Builds one tape from several: operands are loaded once, instructions are concatenated."""

    dtype: str
    operands: list[Variable] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    # Operands have negative numbers and instructions their own until the operands are complete.
    _loads: dict[Variable, int] = field(default_factory=dict)
    _steps: dict[Variable, int] = field(default_factory=dict)  # operands that `uniform` reads

    def load(self, operand: Variable) -> int:
        """The value of an operand; a filled one is a constant instruction."""
        if operand not in self._loads:
            value = constant_value(operand)
            if value is not None and abs(value) < 2**53:
                self._loads[operand] = self._emit(Instruction("const", immediate=float(value)))
            else:
                self.operands.append(operand)
                self._loads[operand] = -len(self.operands)
        return self._loads[operand]

    def append(self, tape: Tape, values: Sequence[int], raw: Sequence[Variable]) -> int:
        """Adds a tape with one output, whose inputs are values made before; returns its value.

        raw: the variable of each input, since `uniform` reads its operand directly.
        """
        numbers = list(values)
        for instruction in tape.instructions:
            if instruction.op == "uniform":
                args: tuple[int, ...] = (self._operand(raw[instruction.args[0]]),)
            else:
                args = tuple(numbers[a] for a in instruction.args)
            renumbered = Instruction(instruction.op, args, instruction.immediate, instruction.key)
            numbers.append(self._emit(renumbered))
        return numbers[tape.outputs[0]]

    def _operand(self, operand: Variable) -> int:
        if operand not in self._steps:
            self.operands.append(operand)
            self._steps[operand] = -len(self.operands)
        return self._steps[operand]

    def _emit(self, instruction: Instruction) -> int:
        self.instructions.append(instruction)
        return len(self.instructions) - 1

    def finish(self, *outputs: int) -> Tape:
        """The finished tape, with these values as its results."""
        n = len(self.operands)

        def number(value: int) -> int:
            return -value - 1 if value < 0 else n + value

        instructions = tuple(
            Instruction(i.op, tuple(map(number, i.args)), i.immediate, i.key)
            for i in self.instructions
        )
        return Tape(self.dtype, n, instructions, tuple(map(number, outputs)))


def make_tapes(outputs: Sequence[Variable], join: bool) -> list[Variable]:
    """Turns elementwise nodes into tapes; with `join`, chains into one tape each."""
    order = toposort(outputs)
    counts = uses(outputs)
    absorbed = _absorbed(order, counts) if join else set()
    fresh: dict[Variable, Variable] = {}

    def emit(node: Node, inputs: list[Variable]) -> Sequence[Variable] | None:
        fresh.update(zip(node.inputs, inputs, strict=True))
        tape = tape_of(node)
        if tape is None:
            return node.op.rebuild(inputs, node.params).outputs
        if node in absorbed:
            return None
        builder = TapeBuilder(tape.dtype)
        value = _write(node, builder, absorbed, fresh)
        return [_finish(node.outputs[0], builder, value)]

    return rebuild(outputs, emit)


def _absorbed(order: Sequence[Node], counts: dict[Variable, int]) -> set[Node]:
    """Nodes that join the tape of their only consumer."""
    root: dict[Node, Node] = {}
    operands: dict[Node, int] = {}
    length: dict[Node, int] = {}
    absorbed: set[Node] = set()
    for node in reversed(order):
        tape = tape_of(node)
        if tape is None:
            continue
        group = root.setdefault(node, node)
        operands.setdefault(group, len(set(node.inputs)))
        length.setdefault(group, len(tape.instructions))
        for v in dict.fromkeys(node.inputs):
            inner = v.node
            if inner is None or counts[v] != node.inputs.count(v):
                continue
            inner_tape = tape_of(inner)
            if (
                inner_tape is None
                or inner_tape.dtype != tape.dtype
                or not (v.dtype == tape.dtype or (v.dtype == BOOL and inner.op.tape_op in TRUTHS))
                or v.type.shape != node.outputs[0].type.shape
                or operands[group] + len(set(inner.inputs)) - 1 > MAX_INPUTS
                or length[group] + len(inner_tape.instructions) > MAX_INSTRUCTIONS
            ):
                continue
            length[group] += len(inner_tape.instructions)
            operands[group] += len(set(inner.inputs)) - 1
            root[inner] = group
            absorbed.add(inner)
    return absorbed


def _write(
    node: Node, builder: TapeBuilder, absorbed: set[Node], fresh: dict[Variable, Variable]
) -> int:
    """Writes a node and the nodes it absorbed; returns the value that holds its result."""
    tape = tape_of(node)
    assert tape is not None
    raw = [fresh[v] for v in node.inputs]
    seen: dict[Variable, int] = {}
    for v in node.inputs:
        if v in seen:
            continue
        if v.node is not None and v.node in absorbed:
            seen[v] = _write(v.node, builder, absorbed, fresh)
        elif not tape.step_inputs:
            seen[v] = builder.load(fresh[v])
    return builder.append(tape, [seen.get(v, 0) for v in node.inputs], raw)


def _finish(old: Variable, builder: TapeBuilder, value: int) -> Variable:
    operands = [with_ndim(v, old.ndim) for v in builder.operands]
    result = TAPE(*operands, tape=builder.finish(value), types=(old.type,))
    result.name = old.name
    return result


def join_results(outputs: Sequence[Variable], context: Context) -> list[Variable]:
    """A tape that is a result, and that only one other tape reads, becomes a result of that one.
    So does a chain of such tapes. Results that share a value become one tape, too."""
    results = Counter(outputs)
    fused = _fused_tapes(outputs, results)
    absorbed = {tape for group in fused.values() for tape in group}
    fresh: dict[Variable, Variable] = {}
    for node in toposort(outputs):
        if node in absorbed:
            continue
        group = fused.get(node, ())
        members = (node, *group)
        with on_behalf_of(merged(*(member.origins for member in members))):
            if group:
                olds = [node.outputs[0], *(m.outputs[0] for m in group if results[m.outputs[0]])]
                context.fired["result of another tape"] += len(olds) - 1
                new = _with_fused(node, group, olds, fresh)
            else:
                olds = list(node.outputs)
                new = copied(node, [fresh.get(v, v) for v in node.inputs]).outputs
        fresh.update(zip(olds, new, strict=True))
    return [fresh.get(v, v) for v in outputs]


@dataclass
class _Member:
    """A tape: what it computes, and its size with those that join it."""

    tape: Tape
    operands: set[Variable]
    length: int


def _fused_tapes(
    outputs: Sequence[Variable], results: Mapping[Variable, int]
) -> dict[Node, list[Node]]:
    """Tapes, each with those that join it, in the order in which they are computed. No other node
    reads these, so no cycle arises."""
    counts, order = uses(outputs), toposort(outputs)
    fused: dict[Node, list[Node]] = {}
    tapes: dict[Node, _Member] = {}
    for node in order:
        tape = _plain_tape(node)
        if tape is None:
            continue
        tapes[node] = _Member(tape, set(node.inputs), len(tape.instructions))
        for v in dict.fromkeys(node.inputs):
            inner = v.node
            if inner not in tapes or not results[v]:
                continue
            if counts[v] == node.inputs.count(v) + results[v] and _join(node, [inner], tapes):
                fused.setdefault(node, []).extend([*fused.pop(inner, ()), inner])
    absorbed = {tape for group in fused.values() for tape in group}
    readers: dict[Variable, list[Node]] = {}
    for node in order:
        for v in set(node.inputs):
            readers.setdefault(v, []).append(node)

    def is_last(v: Variable) -> bool:
        return bool(results[v]) and counts[v] == results[v]

    for node in tapes:
        v = node.outputs[0]
        *others, last = readers.get(v, [node])
        group = {node, *others, last}
        if not others or results[v] or not group <= tapes.keys() or group & absorbed:
            continue
        if all(is_last(reader.outputs[0]) for reader in readers[v]) and _join(
            last, [node, *others], tapes
        ):
            joined = [m for tape in (node, *others) for m in (*fused.pop(tape, ()), tape)]
            fused[last] = [*joined, *fused.get(last, ())]
            absorbed |= {node, *others}
    return fused


def _join(node: Node, joining: Sequence[Node], tapes: Mapping[Node, _Member]) -> bool:
    """Whether tapes may join the tape of a node; then its size counts them."""
    host, members = tapes[node], [tapes[inner] for inner in joining]
    results = [inner.outputs[0] for inner in joining]
    operands = host.operands.union(*(member.operands for member in members)) - set(results)
    length = host.length + sum(member.length for member in members)
    if len(operands) > MAX_INPUTS or length > MAX_INSTRUCTIONS:
        return False
    dtype, shape = host.tape.dtype, node.outputs[0].type.shape
    if any(v.dtype != dtype or v.type.shape != shape for v in results):
        return False
    if any(member.tape.dtype != dtype for member in members):
        return False
    host.operands, host.length = operands, length
    return True


def _plain_tape(node: Node) -> Tape | None:
    """The tape of a node, or None if it draws random numbers: these are numbered per result."""
    if node.op is not TAPE or len(node.outputs) != 1:
        return None
    tape: Tape = node.params["tape"]
    return None if tape.step_inputs else tape


def _with_fused(
    node: Node,
    fused: Sequence[Node],
    olds: Sequence[Variable],
    fresh: Mapping[Variable, Variable],
) -> Sequence[Variable]:
    """One tape of a tape and those fused into it; its results are those in the place of `olds`."""
    builder = TapeBuilder(node.params["tape"].dtype)
    values: dict[Variable, int] = {}
    for member in (*fused, node):
        loaded = [
            values[v] if v in values else builder.load(fresh.get(v, v)) for v in member.inputs
        ]
        values[member.outputs[0]] = builder.append(member.params["tape"], loaded, member.inputs)
    joined = TAPE.node(
        *builder.operands,
        tape=builder.finish(*(values[v] for v in olds)),
        types=tuple(v.type for v in olds),
    )
    for old, new in zip(olds, joined.outputs, strict=True):
        new.name = old.name
    return joined.outputs
