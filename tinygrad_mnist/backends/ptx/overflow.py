"""Follows 32-bit indices to the addresses that are made of them, and finds those that wrap around.

Beside a 32-bit register that is part of an address, the code keeps the value that it would have
without wrapping around, as a float64. Sums, differences, products and shifts to the left are
computed there too. Results of all other instructions are what they are, as signed numbers.

Beside a 64-bit register it keeps the *excess*: by how much the register is more than the value that
it would have, an int64. It comes from 32-bit registers that are extended, and vanishes again where
the compiler computes modulo 2**32 with 64 bits and cuts the sum at the end. An address with an
excess is a finding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_mnist.backends.ptx.blocks import Code
from tinygrad_mnist.backends.ptx.program import (
    Address,
    Immediate,
    Instruction,
    Operand,
    Register,
)
from tinygrad_mnist.backends.ptx.types import bits
from tinygrad_mnist.backends.ptx.writer import Writer, written

_ZERO = "no_excess"
_ADDRESS_PARTS = ("add", "sub", "mul", "mad", "shl", "mov", "cvta", "selp", "or", "and")


def unwrapped(value: Any) -> Any:
    """The value of a register where it is what it is."""
    return value.astype(np.float64)


def excess(value: Any, exact: Any) -> Any:
    """The excess of an extended register."""
    difference = value.astype(np.float64) - exact
    return difference.astype(np.int64) if np.any(difference) else _NONE


def excess_of_sum(a: Any, b: Any) -> Any:
    """Of a + b, by the excess of both."""
    return a if _is_none(b) else b if _is_none(a) else a + b


def excess_of_product(x: Any, a: Any, y: Any, b: Any) -> Any:
    """Of x * y, where x has the excess a, y the excess b."""
    if _is_none(a) and _is_none(b):
        return _NONE
    x, y = x.astype(np.int64), y.astype(np.int64)
    return x * b + y * a - a * b


def excess_of_bits(x: Any, a: Any, y: Any, b: Any) -> Any:
    """Of x & y. A mask y that keeps bits up to 2**31, but perhaps the lowest, cuts a sum. Without
    wrapping around, there would be nothing to cut."""
    if _is_none(a) and _is_none(b):
        return _NONE
    exact_x, exact_y = x - a, y - b
    lowest = exact_y & -exact_y
    is_mask = (exact_y + lowest) & (exact_y + lowest - 1) == 0
    cuts = is_mask & (lowest <= 16) & (exact_y >= 2**31)
    return (x & y) - np.where(cuts, exact_x & -lowest, exact_x & exact_y)


_NONE = np.int64(0)


def _is_none(value: Any) -> bool:
    return value.ndim == 0 and not value


FUNCTIONS = {
    "unwrapped": unwrapped,
    "excess": excess,
    "excess_of_sum": excess_of_sum,
    "excess_of_product": excess_of_product,
    "excess_of_bits": excess_of_bits,
    "no_excess": _NONE,
}


class Overflow:
    """What is written beside a kernel's own code.

    exact: the 32-bit registers that are followed. exceeding: the 64-bit ones.
    """

    def __init__(self, code: Code) -> None:
        self._registers = code.registers
        self._makers: dict[str, list[Instruction]] = {}
        for block in code.blocks:
            for i in block.body:
                for name in written(i):
                    self._makers.setdefault(name, []).append(i)
        self.exact: set[str] = set()
        self.exceeding: set[str] = set()
        waiting = [name for block in code.blocks for i in block.body for name in _bases(i)]
        while waiting:
            name = waiting.pop()
            chosen = self.exceeding if self._bits(name) == 64 else self.exact
            if name not in chosen and self._bits(name) in (32, 64):
                chosen.add(name)
                for maker in self._makers.get(name, ()):
                    waiting += self._sources(maker)

    def _bits(self, register: str) -> int:
        return bits(self._registers[register])

    def _sources(self, i: Instruction) -> list[str]:
        """The registers that the result is linear in."""
        if _is_linear(i) or _is_wide(i) or (i.name in _ADDRESS_PARTS and bits(i.opcode[-1]) == 64):
            operands = i.operands[1:3] if i.name == "selp" else i.operands[1:]
            return [o.name for o in operands if isinstance(o, Register)]
        return []

    # --- code ---------------------------------------------------------------------------------

    def before(self, w: Writer, i: Instruction) -> str | None:
        """What goes with the result of an instruction, or with the address that it uses."""
        for name in _bases(i):
            if name in self.exceeding:
                w.line(f"m.overflowed({w.beside(name)}, {len(w.sites)}, lanes)")
        target = i.operands[0] if i.operands else None
        if not isinstance(target, Register) or i.name in ("st", "red"):
            return None
        if target.name in self.exact:
            return self._exact(w, i)
        if target.name in self.exceeding:
            return self._excess(w, i)
        return None

    def after(self, w: Writer, i: Instruction, expression: str | None) -> None:
        """Behind the instruction's own code."""
        for name in written(i):
            if name in self.exact:
                plain = f"unwrapped({w.use(Register(name), 's32')})"
                w.set_beside(name, expression or plain)
            elif name in self.exceeding:
                w.set_beside(name, expression or "no_excess")

    def _value(self, w: Writer, operand: Operand) -> str:
        """An operand as it would be without wrapping around."""
        if isinstance(operand, Register) and operand.name in self.exact:
            return w.beside(operand.name)
        if isinstance(operand, Immediate):
            signed = (operand.value + 2**31) % 2**32 - 2**31
            return repr(float(signed))
        if isinstance(operand, Register) and self._bits(operand.name) == 64:
            return f"unwrapped({w.use(operand, 's64')} - {self._own(w, operand)})"
        return f"unwrapped({w.use(operand, 's32')})"

    def _exact(self, w: Writer, i: Instruction) -> str | None:
        if not _is_linear(i):
            return None
        if i.name == "selp":
            a, b = (
                f"np.float64({v})" if v[-1].isdigit() and "." in v else v
                for v in (self._value(w, o) for o in i.operands[1:3])
            )
            return f"chosen({w.use(i.operands[3], 'pred')}, {a}, {b})"
        values = [self._value(w, o) for o in i.operands[1:]]
        forms = {
            "add": "{} + {}",
            "sub": "{} - {}",
            "mul": "{} * {}",
            "mad": "{} * {} + {}",
            "neg": "-{}",
            "mov": "np.float64({})" if isinstance(i.operands[1], Immediate) else "{}",
            "cvt": "{}",
        }
        if i.name == "shl":
            assert isinstance(i.operands[2], Immediate)
            return f"{values[0]} * {float(1 << min(i.operands[2].value, 32))!r}"
        return forms[i.name].format(*values)

    def _excess(self, w: Writer, i: Instruction) -> str | None:
        """That of a 64-bit result; None if there is none."""
        if _is_wide(i):
            return self._extended(w, i)
        if i.name not in _ADDRESS_PARTS or "hi" in i.opcode:
            return None
        operands = i.operands[1:]
        own = [self._own(w, o) for o in operands]
        if own == [_ZERO] * len(own):
            return None
        if i.name == "selp":
            return f"chosen({w.use(operands[2], 'pred')}, {own[0]}, {own[1]})"
        if i.name in ("mul", "mad", "and"):
            x, y = (w.use(o, "s64") for o in operands[:2])
            name = "excess_of_bits" if i.name == "and" else "excess_of_product"
            result = f"{name}({x}, {own[0]}, {y}, {own[1]})"
            return f"excess_of_sum({result}, {own[2]})" if i.name == "mad" else result
        if i.name == "shl":
            return f"{own[0]} << {w.use(operands[1], 'u32')}.astype({w.dtype('s64')})"
        if i.name in ("mov", "cvta"):
            return own[0]
        return f"excess_of_sum({own[0]}, {'-' if i.name == 'sub' else ''}{own[1]})"

    def _extended(self, w: Writer, i: Instruction) -> str | None:
        """That of 32-bit registers that are extended, and of their products."""
        kind, operands = i.opcode[-1], i.operands[1:]
        parts = []
        for operand in operands[:2]:
            value, own = w.use(operand, kind), _ZERO
            if isinstance(operand, Register) and operand.name in self.exact:
                own = f"excess({value}, {w.beside(operand.name)})"
            parts += [value, own]
        added = self._own(w, operands[2]) if i.name == "mad" else _ZERO
        if {*parts[1::2], added} == {_ZERO}:
            return None
        result = parts[1] if i.name == "cvt" else f"excess_of_product({', '.join(parts)})"
        return f"excess_of_sum({result}, {added})" if i.name == "mad" else result

    def _own(self, w: Writer, operand: Operand) -> str:
        """The excess of a 64-bit operand."""
        is_followed = isinstance(operand, Register) and operand.name in self.exceeding
        return w.beside(operand.name) if is_followed else _ZERO  # type: ignore[union-attr]


def _bases(i: Instruction) -> Iterator[str]:
    """The registers of addresses that an instruction accesses."""
    if i.name in ("ld", "ldu", "st") and "param" not in i.opcode:
        for operand in i.operands:
            if isinstance(operand, Address) and isinstance(operand.base, Register):
                yield operand.base.name


def _is_linear(i: Instruction) -> bool:
    """Whether a 32-bit result is followed through this instruction."""
    kind = i.opcode[-1]
    if kind not in ("u32", "s32", "b32") and i.opcode[:2] not in (("cvt", "u32"), ("cvt", "s32")):
        return False
    if i.name in ("add", "sub", "neg", "selp"):
        return True
    if i.name in ("mul", "mad"):
        return "lo" in i.opcode
    if i.name == "mov":
        return isinstance(i.operands[1], Register | Immediate) and isinstance(
            i.operands[0], Register
        )
    if i.name == "shl":
        return isinstance(i.operands[2], Immediate)
    return i.name == "cvt" and i.opcode[1:] in (("u32", "u64"), ("u32", "s64"))


def _is_wide(i: Instruction) -> bool:
    """Whether it extends 32-bit values to 64 bits."""
    if i.name in ("mul", "mad"):
        return "wide" in i.opcode and i.opcode[-1] in ("u32", "s32")
    return i.name == "cvt" and i.opcode[1:] in (
        ("u64", "u32"),
        ("s64", "s32"),
        ("s64", "u32"),
        ("u64", "s32"),
    )
