"""A kernel's instructions as basic blocks. Calls are inlined first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import NamedTuple

from tinygrad_mnist.backends.ptx.program import (
    Address,
    Entry,
    Instruction,
    Label,
    Module,
    Operand,
    Register,
    Symbol,
    Variable,
    Vector,
)
from tinygrad_mnist.backends.ptx.types import PtxError

BRANCHES = ("bra", "ret", "exit")
BARRIERS = ("bar", "barrier")
SKIP = ("bra", "skip")  # around one instruction; on a GPU it has a guard and there is no branch


@dataclass
class Block:
    """Instructions that run one after another. end: the branch or barrier at its end, if any.
    target: the block that a branch leads to; the block behind this one is its number plus 1."""

    number: int
    body: list[Instruction] = field(default_factory=list)
    end: Instruction | None = None
    target: int | None = None


class Code(NamedTuple):
    """The blocks of a kernel, the types of its registers, and the memory that it and the functions
    that it calls declare."""

    entry: Entry
    blocks: tuple[Block, ...]
    registers: dict[str, str]
    variables: dict[str, Variable]


def code_of(module: Module) -> Code:
    """The code of a module's kernel; PtxError for calls of functions that the module lacks."""
    entry = module.kernel
    whole = _Whole(module, dict(entry.registers), module.variables | entry.variables, count(1))
    body = list(_inlined(whole, entry))
    return Code(entry, tuple(_blocks(_unguarded(body))), whole.registers, whole.variables)


# --- calls --------------------------------------------------------------------------------------


class _Whole(NamedTuple):
    """A kernel with all that it calls. numbers: of calls."""

    module: Module
    registers: dict[str, str]
    variables: dict[str, Variable]
    numbers: Iterator[int]


def _inlined(whole: _Whole, entry: Entry) -> Iterator[Instruction | Label]:
    """The body with those of called functions in place of calls. Parameters of calls, which each
    thread has for itself, become registers."""
    names = {p.name for p in entry.parameters} if entry.is_kernel else frozenset()
    for item in entry.body:
        if isinstance(item, Label):
            yield item
        elif item.name == "call":
            yield from _called(whole, item)
        elif item.opcode[:2] in (("ld", "param"), ("st", "param")):
            address = item.operands[item.name == "ld"]
            assert isinstance(address, Address)
            if isinstance(address.base, Symbol) and address.base.name in names:
                yield item
            else:
                yield from _moves(item, address, whole.registers)
        else:
            yield item


def _moves(item: Instruction, address: Address, registers: dict[str, str]) -> Iterator[Instruction]:
    """An access of a call's parameter, as moves of registers."""
    assert isinstance(address.base, Symbol)
    kind = item.opcode[-1]
    other = item.operands[item.name == "st"]
    parts = other.items if isinstance(other, Vector) else (other,)
    for k, part in enumerate(parts):
        slot = Register(f"{address.base.name}+{address.offset}.{k}")
        registers.setdefault(slot.name, kind)
        if part is not None:
            operands = (part, slot) if item.name == "ld" else (slot, part)
            yield replace(item, opcode=("mov", kind), operands=operands)


def _called(whole: _Whole, call: Instruction) -> Iterator[Instruction | Label]:
    """The body of a called function. Its registers, labels and local memory have names of their
    own, for each call."""
    words = [operand.name for operand in call.operands if isinstance(operand, Symbol)]
    results, rest = _list(words)
    name, rest = rest[0], rest[1:]
    arguments, _ = _list(rest)
    if name not in whole.module.entries:
        raise PtxError(f"{call}: the module has no function {name}")
    function = whole.module.entries[name]
    number = next(whole.numbers)
    places = dict(zip([p.name for p in function.parameters], arguments, strict=True))
    places |= dict(zip(function.results, results, strict=True))
    prefix = f"{name}:{number}:"
    whole.registers.update({prefix + r: kind for r, kind in function.registers.items()})
    for variable in function.variables.values():
        if variable.space == "local":
            places[variable.name] = prefix + variable.name
            variable = variable._replace(name=places[variable.name])
        whole.variables[variable.name] = variable
    end = f"{prefix}end"

    def renamed(operand: Operand | None) -> Operand | None:
        if isinstance(operand, Register):
            return operand._replace(name=prefix + operand.name)
        if isinstance(operand, Vector):
            return Vector(tuple(renamed(item) for item in operand.items))
        if isinstance(operand, Address):
            base = renamed(operand.base)
            assert isinstance(base, Register | Symbol)
            return Address(base, operand.offset)
        if isinstance(operand, Symbol):
            return operand._replace(
                name=places.get(operand.name, labels.get(operand.name, operand.name))
            )
        return operand

    labels = {item.name: prefix + item.name for item in function.body if isinstance(item, Label)}
    body: list[Instruction | Label] = []
    for item in function.body:
        if isinstance(item, Label):
            body.append(Label(labels[item.name]))
            continue
        guard = renamed(item.guard)
        assert guard is None or isinstance(guard, Register)
        operands = tuple(o for o in map(renamed, item.operands) if o is not None)
        if item.name == "ret":
            item = replace(item, opcode=("bra",))
            operands = (Symbol(end),)
        body.append(replace(item, operands=operands, guard=guard))
    inner = replace(function, body=body, is_kernel=False)
    yield from _inlined(whole, inner)
    yield Label(end)


def _list(words: Sequence[str]) -> tuple[list[str], Sequence[str]]:
    """The words in the parentheses that come first, and those behind; none without them."""
    if not words or words[0] != "(":
        return [], words
    end = words.index(")")
    return list(words[1:end]), words[end + 1 :]


# --- blocks -------------------------------------------------------------------------------------


def _unguarded(body: Sequence[Instruction | Label]) -> Iterator[Instruction | Label]:
    """Guarded instructions other than branches as plain ones with a branch around them."""
    for number, item in enumerate(body):
        if isinstance(item, Label) or item.guard is None or item.name == "bra":
            yield item
            continue
        skip, guard = Label(f"behind:{number}"), item.guard
        opposite = guard._replace(negated=not guard.negated)
        yield replace(item, opcode=SKIP, operands=(Symbol(skip.name),), guard=opposite)
        yield replace(item, guard=None)
        yield skip


def _blocks(body: Iterator[Instruction | Label]) -> list[Block]:
    blocks = [Block(0)]
    begins: dict[str, int] = {}
    for item in body:
        block = blocks[-1]
        if isinstance(item, Label):
            if block.body or block.end is not None:
                blocks.append(Block(len(blocks)))
            begins[item.name] = blocks[-1].number
        else:
            if block.end is not None:
                block = Block(len(blocks))
                blocks.append(block)
            if item.name in BRANCHES or item.name in BARRIERS:
                block.end = item
            else:
                block.body.append(item)
    for block in blocks:
        if block.end is not None and block.end.name == "bra":
            label = block.end.operands[0]
            if not isinstance(label, Symbol) or label.name not in begins:
                raise PtxError(f"{block.end}: there is no such label")
            block.target = begins[label.name]
    last = blocks[-1]
    if last.end is None:
        last.end = Instruction(("ret",), (), None, 0, None)
    return blocks
