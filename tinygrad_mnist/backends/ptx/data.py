"""Moves, conversions and accesses of memory (section 9.7.9 of "PTX ISA")."""

from __future__ import annotations

from tinygrad_mnist.backends.ptx.program import (
    Address,
    Immediate,
    Instruction,
    Operand,
    Symbol,
    Vector,
)
from tinygrad_mnist.backends.ptx.types import DTYPES, bits, is_float
from tinygrad_mnist.backends.ptx.writer import Writer, lacking, opcode

_SPACES = ("global", "shared", "const", "local", "param")
# Hints for caches, and orders that one thread's accesses have in any case.
_HINTS = {
    "nc", "ca", "cg", "cs", "lu", "cv", "wb", "wt", "volatile", "relaxed", "weak", "gpu", "cta",
    "sys", "L1_evict_last", "L1_evict_first", "L1_no_allocate", "L2_128B", "L2_64B", "L2_256B",
}  # fmt: skip


@opcode("mov")
def _mov(w: Writer, i: Instruction) -> None:
    kind = i.opcode[-1]
    target, source = i.operands
    if isinstance(target, Vector):
        part = f"b{bits(kind) // len(target.items)}"
        whole = w.use(source, kind)
        for k, item in enumerate(target.items):
            shift = w.constant(k * bits(part), kind)
            w.define(item, part, f"({whole} >> {shift}).astype({w.dtype(part)})")
    elif isinstance(source, Vector):
        part = f"b{bits(kind) // len(source.items)}"
        terms = []
        for k, item in enumerate(source.items):
            assert item is not None
            shift = w.constant(k * bits(part), kind)
            terms.append(f"({w.use(item, part)}.astype({w.dtype(kind)}) << {shift})")
        w.define(target, kind, " | ".join(terms))
    else:
        w.define(target, kind, w.use(source, kind))


@opcode("cvta")
def _cvta(w: Writer, i: Instruction) -> None:
    """All spaces are parts of one range of addresses here."""
    target, source = i.operands
    w.define(target, i.opcode[-1], w.use(source, i.opcode[-1]))


@opcode("cvt")
def _cvt(w: Writer, i: Instruction) -> None:
    *modifiers, target, source = i.opcode[1:]
    flags = set(modifiers)
    if target not in DTYPES or source not in DTYPES:
        raise lacking(i)
    value = w.use(i.operands[1], source)
    if "ftz" in flags and source == "f32":
        value = f"flushed({value})"
    if target == "tf32" and flags <= {"rna"}:
        expression = f"rounded_to_tf32({value})"
    elif is_float(source) and is_float(target):
        expression = _between_floats(w, i, value, flags)
    elif is_float(source):
        mode = next((m for m in flags if m in ("rni", "rzi", "rmi", "rpi")), None)
        if mode is None or flags - {mode, "ftz", "sat"}:
            raise lacking(i)
        expression = f"to_integer({value}, {w.dtype(target)}, {mode!r})"
    elif is_float(target):
        if flags - {"rn"}:
            raise lacking(i)
        expression = f"{value}.astype({w.dtype(target)})"
    elif flags == {"sat"}:
        expression = f"clamped({value}, {w.dtype(target)})"
    elif flags:
        raise lacking(i)
    else:
        expression = f"{value}.astype({w.dtype(target)})"
    w.define(i.operands[0], target, expression)


def _between_floats(w: Writer, i: Instruction, value: str, flags: set[str]) -> str:
    target, source = i.opcode[-2:]
    if flags - {"rn", "ftz", "sat", "rni", "rzi", "rmi", "rpi"}:
        raise lacking(i)
    whole = {"rni": "rint", "rzi": "trunc", "rmi": "floor", "rpi": "ceil"}
    for mode in flags & set(whole):
        value = f"np.{whole[mode]}({value})"
    if target != source:
        value = f"{value}.astype({w.dtype(target)})"
    if "ftz" in flags and target == "f32":
        value = f"flushed({value})"
    return f"saturated({value})" if "sat" in flags else value


# --- memory -------------------------------------------------------------------------------------


def _access(i: Instruction) -> tuple[str, str, int]:
    """Space ('' for any), type, and number of elements of a load or store."""
    kind, parts = i.opcode[-1], list(i.opcode[1:-1])
    space = next((p for p in parts if p in _SPACES), "")
    n = next((int(p[1:]) for p in parts if p in ("v2", "v4")), 1)
    if {p for p in parts if p not in (*_SPACES, "v2", "v4")} - _HINTS:
        raise lacking(i)
    return space, kind, n


def _address(w: Writer, operand: Operand) -> tuple[str, int]:
    """The address without the constant that is added to it, and this constant."""
    assert isinstance(operand, Address)
    base = operand.base
    if isinstance(base, Immediate):
        return w.constant(base.value, "u64"), operand.offset
    if isinstance(base, Symbol):
        return w.use(base, "u64"), operand.offset
    narrow = bits(w.kind_of(base)) == 32
    return w.use(base, "u32" if narrow else "u64"), operand.offset


def _items(operand: Operand) -> tuple[Operand | None, ...]:
    return operand.items if isinstance(operand, Vector) else (operand,)


@opcode("ld", "ldu")
def _ld(w: Writer, i: Instruction) -> None:
    space, kind, n = _access(i)
    targets = _items(i.operands[0])
    address = i.operands[1]
    assert isinstance(address, Address)
    if space == "param":
        assert isinstance(address.base, Symbol)
        values = f"m.parameter({address.base.name!r}, {address.offset}, {w.dtype(kind)}, {n})"
    else:
        start, offset = _address(w, address)
        used = tuple(isinstance(t, tuple) and t[0] in w.read_anywhere for t in targets)
        site = w.site(i)
        values = f"m.load({start}, {offset}, {w.dtype(kind)}, {n}, {used}, {site}, lanes)"
    if n == 1:
        w.define(targets[0], kind, values)
        return
    loaded = w.temporary(values)
    for k, target in enumerate(targets):
        w.define(target, kind, f"{loaded}[{k}]")


@opcode("st")
def _st(w: Writer, i: Instruction) -> None:
    _, kind, n = _access(i)
    start, offset = _address(w, i.operands[0])
    items = [w.use(item, kind) for item in _items(i.operands[1]) if item is not None]
    assert len(items) == n
    w.line(
        f"m.store({start}, {offset}, {w.dtype(kind)}, ({', '.join(items)},), {w.site(i)}, lanes)"
    )


@opcode("membar", "fence")
def _fence(w: Writer, i: Instruction) -> None:
    """Nothing to do: threads' accesses have effect at once."""


@opcode("trap", "brkpt")
def _trap(w: Writer, i: Instruction) -> None:
    raise lacking(i)
