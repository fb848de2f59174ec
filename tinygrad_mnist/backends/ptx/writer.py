"""Basic blocks as NumPy code.

A register is an array with an element per thread, or a NumPy scalar where all threads have the
same value. A block becomes a Python function `block(m, lanes)`: `m` is the `Run`; `lanes` are the
numbers of the threads that run it, or None for all. A register that only one block uses is a local
variable there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from tinygrad_mnist.backends.ptx.blocks import Block, Code
from tinygrad_mnist.backends.ptx.program import (
    Address,
    Immediate,
    Instruction,
    Operand,
    Register,
    Special,
    Symbol,
    Vector,
)
from tinygrad_mnist.backends.ptx.types import DTYPES, PtxError, storage

Emit = Callable[["Writer", Instruction], None]
OPCODES: dict[str, Emit] = {}


def opcode(*names: str) -> Callable[[Emit], Emit]:
    """A decorator: the function writes the code of these opcodes."""

    def register(emit: Emit) -> Emit:
        OPCODES.update(dict.fromkeys(names, emit))
        return emit

    return register


def lacking(i: Instruction) -> PtxError:
    """The error for an instruction that can't be run."""
    return PtxError(f"this machine has no {i}")


def registers_of(operand: Operand | None) -> Iterator[str]:
    """The registers that an operand names."""
    if isinstance(operand, Register):
        yield operand.name
    elif isinstance(operand, Address):
        yield from registers_of(operand.base)
    elif isinstance(operand, Vector):
        for item in operand.items:
            yield from registers_of(item)


def written(i: Instruction) -> set[str]:
    """The registers that an instruction writes: its first operand, but for stores."""
    if i.name in ("st", "red") or not i.operands:
        return set()
    return set(registers_of(i.operands[0]))


def read(i: Instruction) -> set[str]:
    """The registers that it reads."""
    first = 0 if i.name in ("st", "red") else 1
    return {name for operand in i.operands[first:] for name in registers_of(operand)}


def shared_registers(code: Code) -> dict[str, int]:
    """Numbers of the registers that a block reads before it writes them."""
    exposed: dict[str, int] = {}
    for block in code.blocks:
        done: set[str] = set()
        guard = {block.end.guard.name} if block.end is not None and block.end.guard else set()
        for i in block.body:
            for name in sorted(read(i) - done):
                exposed.setdefault(name, len(exposed))
            done |= written(i)
        for name in sorted(guard - done):
            exposed.setdefault(name, len(exposed))
    return exposed


class Follower(Protocol):
    """Writes code beside that of the instructions; see `overflow.Overflow`."""

    exact: set[str]
    exceeding: set[str]

    def before(self, w: Writer, i: Instruction) -> str | None: ...

    def after(self, w: Writer, i: Instruction, expression: str | None) -> None: ...


def _beside(register: str) -> str:
    return f"beside {register}"


class Writer:
    """The code of one kernel as it is written.

    constants: what the code names beside its variables. sites: the instructions that access memory
    or other threads, which the code names by their numbers.
    """

    def __init__(
        self, code: Code, addresses: dict[str, int], follower: Follower | None = None
    ) -> None:
        self._follower = follower
        self._code = code
        self._addresses = addresses
        self.numbers = shared_registers(code)
        if follower is not None:
            for name in [n for n in self.numbers if n in follower.exact | follower.exceeding]:
                self.numbers[_beside(name)] = len(self.numbers)
        self.constants: dict[str, Any] = {}
        self.sites: list[Instruction] = []
        self._lines: list[str] = []
        self._local: dict[str, str] = {}  # variables by the registers whose values they have
        self._views: dict[str, dict[str, str]] = {}  # of these, as other dtypes
        self._count = 0
        self.read_anywhere = {
            name for block in code.blocks for i in block.body for name in read(i)
        } | {b.end.guard.name for b in code.blocks if b.end is not None and b.end.guard}

    def text(self) -> str:
        """The functions of all blocks, as a module."""
        for block in self._code.blocks:
            self._block(block)
        return "\n".join(self._lines)

    def _block(self, block: Block) -> None:
        self._lines.append(f"def block_{block.number}(m, lanes):")
        self._local, self._views = {}, {}
        touched: list[str] = []
        for i in block.body:
            emit = OPCODES.get(i.name)
            if emit is None:
                raise lacking(i)
            follower = self._follower
            more = follower.before(self, i) if follower else None
            emit(self, i)
            if follower:
                follower.after(self, i, more)
            touched += [r for r in sorted(written(i)) if r in self.numbers and r not in touched]
        for register in touched:
            for name in (register, _beside(register)):
                if name in self.numbers:
                    self.line(f"m.put({self.numbers[name]}, {self._local[name]}, lanes)")
        end = block.end
        if end is not None and end.name == "bra" and end.guard is not None:
            self.line(f"return {self.use(end.guard, 'pred')}")
        else:
            self.line("return None")

    # --- for emitters -------------------------------------------------------------------------

    def line(self, text: str) -> None:
        self._lines.append(f"    {text}")

    def site(self, i: Instruction) -> int:
        """The number of an instruction that may fail."""
        self.sites.append(i)
        return len(self.sites) - 1

    def temporary(self, expression: str) -> str:
        """A new variable with this value."""
        name = self._variable()
        self.line(f"{name} = {expression}")
        return name

    def _variable(self) -> str:
        self._count += 1
        return f"v{self._count}"

    def constant(self, value: int | float, kind: str) -> str:
        """The name of a constant of a type."""
        dtype = DTYPES[kind]
        return self._named(_wrapped(value, dtype))

    def _named(self, value: Any) -> str:
        name = f"c_{value.dtype.char}{value.tobytes().hex()}"
        name = name.replace("?", "b")
        self.constants[name] = value
        return name

    def kind_of(self, register: Register) -> str:
        """The declared type of a register."""
        return self._code.registers[register.name]

    def use(self, operand: Operand, kind: str) -> str:
        """The value of an operand as one of this type: an expression, a name as a rule."""
        if isinstance(operand, Register):
            name = self._value(operand.name, DTYPES[kind])
            return f"(~{name})" if operand.negated else name
        if isinstance(operand, Immediate):
            return self._named(_immediate(operand, DTYPES[kind]))
        if isinstance(operand, Symbol):
            if operand.name not in self._addresses:
                raise PtxError(f"there is no variable {operand.name}")
            return self.constant(self._addresses[operand.name] + operand.offset, kind)
        if isinstance(operand, Special):
            name = operand.name.replace(".", "_")
            value = f"m.special({name!r}, lanes)"
            return value if bits_of(kind) == 4 else f"{value}.astype({self.dtype(kind)})"
        raise PtxError(f"an operand of type {kind} can't be {operand}")

    def define(self, target: Operand | None, kind: str, expression: str) -> None:
        """Gives a register the value of an expression of this type."""
        if target is None:
            return
        assert isinstance(target, Register), target
        own, dtype = storage(self.kind_of(target)), DTYPES[kind]
        if own.itemsize > dtype.itemsize:
            # Integers are extended with their sign.
            expression = f"({expression}).astype({self._dtype(own)})"
        elif own.itemsize < dtype.itemsize:
            expression = f"narrowed({expression}, {self._dtype(own)})"
        elif own != dtype:
            expression = f"({expression}).view({self._dtype(own)})"
        self._local[target.name] = self.temporary(expression)
        self._views.pop(target.name, None)

    def beside(self, register: str) -> str:
        """The variable of what a follower keeps beside a register."""
        name = _beside(register)
        if name not in self._local:
            self._local[name] = self.temporary(f"m.get({self.numbers[name]}, lanes)")
        return self._local[name]

    def set_beside(self, register: str, expression: str) -> None:
        self._local[_beside(register)] = self.temporary(expression)

    def dtype(self, kind: str) -> str:
        """The name of a type's dtype."""
        return self._dtype(DTYPES[kind])

    def _dtype(self, dtype: np.dtype[Any]) -> str:
        name = f"d_{dtype.str[1:]}"
        self.constants[name] = dtype
        return name

    def _value(self, register: str, dtype: np.dtype[Any]) -> str:
        if register not in self._local:
            self._local[register] = self.temporary(f"m.get({self.numbers[register]}, lanes)")
        own = storage(self._code.registers[register])
        variable = self._local[register]
        if own == dtype:
            return variable
        views = self._views.setdefault(register, {})
        if dtype.str not in views:
            same = own.itemsize == dtype.itemsize
            if own.kind == "f" and not same:
                raise PtxError(f"the bits of {register}, a float, can't be {dtype}")
            how = "view" if same else "astype"
            views[dtype.str] = self.temporary(f"{variable}.{how}({self._dtype(dtype)})")
        return views[dtype.str]


def bits_of(kind: str) -> int:
    """Bytes of a type."""
    return DTYPES[kind].itemsize


def _wrapped(value: int | float, dtype: np.dtype[Any]) -> Any:
    if dtype.kind == "f":
        return dtype.type(value)
    if dtype.kind == "b":
        return np.bool_(value)
    bits = 8 * dtype.itemsize
    unsigned = int(value) % (1 << bits)
    return np.dtype(f"u{dtype.itemsize}").type(unsigned).view(dtype)


def _immediate(operand: Immediate, dtype: np.dtype[Any]) -> Any:
    if operand.bits == 0:
        return _wrapped(operand.value, dtype)
    value = np.dtype(f"u{operand.bits // 8}").type(operand.value)
    if dtype.kind == "f":
        return dtype.type(value.view(f"f{operand.bits // 8}"))
    return value.view(dtype)
