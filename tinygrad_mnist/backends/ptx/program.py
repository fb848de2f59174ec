"""What PTX text is read into: instructions, operands and memory that a kernel declares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Union


class Register(NamedTuple):
    """A register. negated: `!%p1`, of predicates alone."""

    name: str
    negated: bool = False


#: The carry of a sum, or the borrow of a difference: a predicate that instructions with `.cc` write
#: beside their result, and that `addc`, `subc` and `madc` read last.
CARRY = Register("carry flag")


class Immediate(NamedTuple):
    """A constant. bits: width of a float that is written by its bits; 0 of an integer."""

    value: int
    bits: int = 0


class Special(NamedTuple):
    """A special register, such as `tid.x`."""

    name: str


class Symbol(NamedTuple):
    """A variable in memory, a parameter, or a label."""

    name: str
    offset: int = 0


class Address(NamedTuple):
    """`[base+offset]`."""

    base: Register | Symbol | Immediate
    offset: int


class Vector(NamedTuple):
    """`{a, b}`, or the pair `p|q`; an element is None where it is `_`."""

    items: tuple[Operand | None, ...]


Operand = Union[Register, Immediate, Special, Symbol, Address, Vector]  # noqa: UP007 (recursive)


class Location(NamedTuple):
    """A line of Python code. within: where the function that has it was called, if inlined."""

    file: str
    line: int
    within: Location | None = None

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}"
        return place if self.within is None else f"{place}, called at {self.within}"


@dataclass(frozen=True)
class Instruction:
    """opcode: its parts, as `('ld', 'global', 'f32')`. guard: executed where it is true. line: in
    the PTX. location: in the Python code; None where it isn't known."""

    opcode: tuple[str, ...]
    operands: tuple[Operand, ...]
    guard: Register | None
    line: int
    location: Location | None

    @property
    def name(self) -> str:
        return self.opcode[0]

    def __str__(self) -> str:
        where = f" ({self.location})" if self.location else ""
        return f"{'.'.join(self.opcode)} in line {self.line} of the PTX{where}"


class Label(NamedTuple):
    """A place that branches lead to."""

    name: str


class Variable(NamedTuple):
    """Memory that a kernel declares. space: shared, local, const or global. nbytes: None for an
    array of dynamic size. initial: its first bytes; None if they are undefined."""

    name: str
    space: str
    nbytes: int | None
    alignment: int
    initial: bytes | None = None


class Parameter(NamedTuple):
    """A parameter of a kernel or function; offset: in bytes."""

    name: str
    offset: int
    nbytes: int


@dataclass
class Entry:
    """A kernel or a function. registers: their types. body: instructions and labels in order.
    results: the parameters that a function returns."""

    name: str
    is_kernel: bool
    parameters: list[Parameter] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    registers: dict[str, str] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)
    body: list[Instruction | Label] = field(default_factory=list)


@dataclass
class Module:
    """A text. variables: those of all kernels."""

    entries: dict[str, Entry] = field(default_factory=dict)
    variables: dict[str, Variable] = field(default_factory=dict)

    @property
    def kernel(self) -> Entry:
        """Its kernel; it has to have one alone."""
        [found] = [entry for entry in self.entries.values() if entry.is_kernel]
        return found
