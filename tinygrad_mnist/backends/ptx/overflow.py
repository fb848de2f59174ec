"""Follows 32-bit indices to the addresses that are made of them, and finds those that wrap around.

Beside a 32-bit register that is part of an address, the code keeps the value that it would have
without wrapping around, as a float64. Sums, differences, products and shifts to the left are
computed there too. Results of all other instructions are what they are, as signed numbers. Where
such a register is extended to 64 bits, threads whose value doesn't fit get a flag, which goes with
the address.
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

_ADDRESS_PARTS = ("add", "sub", "mul", "mad", "shl", "mov", "cvta", "selp", "or", "and")


def unwrapped(value: Any) -> Any:
    """The value of a register where it is what it is."""
    return value.astype(np.float64)


def beyond(value: Any, signed: bool) -> Any:
    """Which threads' values don't fit in 32 bits; one False if all do."""
    low = -(2.0**31) if signed else 0.0
    outside = (value < low) | (value >= 2.0**32)
    return outside if np.any(outside) else np.False_


def either(*flags: Any) -> Any:
    """Which threads have one of the flags."""
    result = flags[0]
    for flag in flags[1:]:
        if flag.ndim or flag:
            result = result | flag
    return result


FUNCTIONS = {"unwrapped": unwrapped, "beyond": beyond, "either": either}


class Overflow:
    """What is written beside a kernel's own code.

    exact: the 32-bit registers that are followed. flagged: the 64-bit ones.
    """

    def __init__(self, code: Code) -> None:
        self._registers = code.registers
        self._makers: dict[str, list[Instruction]] = {}
        for block in code.blocks:
            for i in block.body:
                for name in written(i):
                    self._makers.setdefault(name, []).append(i)
        self.exact: set[str] = set()
        self.flagged: set[str] = set()
        waiting = [name for block in code.blocks for i in block.body for name in _bases(i)]
        while waiting:
            name = waiting.pop()
            chosen = self.flagged if self._bits(name) == 64 else self.exact
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
            if name in self.flagged:
                w.line(f"m.overflowed({w.beside(name)}, {len(w.sites)}, lanes)")
        target = i.operands[0] if i.operands else None
        if not isinstance(target, Register) or i.name in ("st", "red"):
            return None
        if target.name in self.exact:
            return self._exact(w, i)
        if target.name in self.flagged:
            return self._chosen(w, i) if i.name == "selp" else self._flags(w, i)
        return None

    def after(self, w: Writer, i: Instruction, expression: str | None) -> None:
        """Behind the instruction's own code."""
        for name in written(i):
            if name in self.exact:
                plain = f"unwrapped({w.use(Register(name), 's32')})"
                w.set_beside(name, expression or plain)
            elif name in self.flagged:
                w.set_beside(name, expression or "np.False_")

    def _value(self, w: Writer, operand: Operand) -> str:
        """An operand as it would be without wrapping around."""
        if isinstance(operand, Register) and operand.name in self.exact:
            return w.beside(operand.name)
        if isinstance(operand, Immediate):
            signed = (operand.value + 2**31) % 2**32 - 2**31
            return repr(float(signed))
        if isinstance(operand, Register) and self._bits(operand.name) == 64:
            return f"unwrapped({w.use(operand, 's64')})"
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

    def _chosen(self, w: Writer, i: Instruction) -> str:
        """The flags of the values that are chosen."""
        values = [
            w.beside(o.name) if isinstance(o, Register) and o.name in self.flagged else "np.False_"
            for o in i.operands[1:3]
        ]
        return f"chosen({w.use(i.operands[3], 'pred')}, {values[0]}, {values[1]})"

    def _flags(self, w: Writer, i: Instruction) -> str | None:
        flags = []
        for operand in i.operands[1:]:
            if isinstance(operand, Register):
                if operand.name in self.flagged:
                    flags.append(w.beside(operand.name))
                elif operand.name in self.exact and _is_wide(i):
                    signed = _wide_source(i)[0] == "s"
                    flags.append(f"beyond({w.beside(operand.name)}, {signed})")
        return f"either({', '.join(flags)})" if flags else None


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


def _wide_source(i: Instruction) -> str:
    return i.opcode[-1]
