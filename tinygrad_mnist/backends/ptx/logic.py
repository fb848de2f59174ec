"""Comparisons, choices, shifts and bits (sections 9.7.1, 9.7.6 and 9.7.8 of "PTX ISA")."""

from __future__ import annotations

from tinygrad_mnist.backends.ptx.program import Immediate, Instruction, Vector
from tinygrad_mnist.backends.ptx.types import bits, is_float, is_signed
from tinygrad_mnist.backends.ptx.writer import Writer, lacking, opcode

_BITWISE = {"and": "{} & {}", "or": "{} | {}", "xor": "{} ^ {}", "not": "~{}"}


@opcode(*_BITWISE)
def _bitwise(w: Writer, i: Instruction) -> None:
    kind = i.opcode[1]
    values = [w.use(o, kind) for o in i.operands[1:]]
    w.define(i.operands[0], kind, _BITWISE[i.name].format(*values))


@opcode("cnot")
def _cnot(w: Writer, i: Instruction) -> None:
    kind = i.opcode[1]
    value = w.use(i.operands[1], kind)
    w.define(i.operands[0], kind, f"({value} == {w.constant(0, kind)}).astype({w.dtype(kind)})")


@opcode("shl", "shr")
def _shift(w: Writer, i: Instruction) -> None:
    """Amounts beyond the width count as the width."""
    kind = i.opcode[1]
    value, amount, width = w.use(i.operands[1], kind), i.operands[2], bits(kind)
    sign, symbol = is_signed(kind), "<<" if i.name == "shl" else ">>"
    if not isinstance(amount, Immediate):
        n = w.use(amount, "u32")
        w.define(
            i.operands[0], kind, f"shifted_{'left' if i.name == 'shl' else 'right'}({value}, {n})"
        )
        return
    by = amount.value % (1 << 32)
    if by >= width and not (sign and i.name == "shr"):
        w.define(i.operands[0], kind, f"{value} & {w.constant(0, kind)}")
    else:
        w.define(i.operands[0], kind, f"{value} {symbol} {w.constant(min(by, width - 1), kind)}")


_COMPARISONS = {
    "eq": "{} == {}",
    "ne": "{} != {}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "lo": "{} < {}",
    "ls": "{} <= {}",
    "hi": "{} > {}",
    "hs": "{} >= {}",
}
# Of floats: with 'u' a NaN makes them true, without it false.
_FLOAT_COMPARISONS = {
    "eq": "{0} == {1}",
    "ne": "({0} < {1}) | ({0} > {1})",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "equ": "~(({0} < {1}) | ({0} > {1}))",
    "neu": "{0} != {1}",
    "ltu": "~({0} >= {1})",
    "leu": "~({0} > {1})",
    "gtu": "~({0} <= {1})",
    "geu": "~({0} < {1})",
    "num": "~(np.isnan({0}) | np.isnan({1}))",
    "nan": "np.isnan({0}) | np.isnan({1})",
}


def _compared(w: Writer, i: Instruction, kind: str) -> tuple[str, str | None]:
    """The comparison of setp and set, and what it is combined with."""
    parts = [p for p in i.opcode[1:] if p != "ftz"]
    known = _FLOAT_COMPARISONS if is_float(kind) else _COMPARISONS
    if parts[0] not in known or ("ftz" in i.opcode and kind != "f32"):
        raise lacking(i)
    values = [w.use(o, kind) for o in i.operands[1:3]]
    if "ftz" in i.opcode:
        values = [f"flushed({v})" for v in values]
    value = known[parts[0]].format(*values)
    combine = parts[1] if parts[1] in ("and", "or", "xor") else None
    return value, combine


@opcode("setp")
def _setp(w: Writer, i: Instruction) -> None:
    value, combine = _compared(w, i, i.opcode[-1])
    targets = i.operands[0].items if isinstance(i.operands[0], Vector) else (i.operands[0],)
    if len(targets) > 1 or combine:
        value = w.temporary(value)
    opposite = f"~({value})"
    if combine:
        other = w.use(i.operands[3], "pred")
        value = _BITWISE[combine].format(f"({value})", other)
        opposite = _BITWISE[combine].format(f"({opposite})", other)
    if len(targets) > 1:
        value, opposite = w.temporary(value), w.temporary(opposite)
    w.define(targets[0], "pred", value)
    if len(targets) > 1:
        w.define(targets[1], "pred", opposite)


@opcode("set")
def _set(w: Writer, i: Instruction) -> None:
    value, combine = _compared(w, i, i.opcode[-1])
    target = i.opcode[-2]
    if combine:
        value = _BITWISE[combine].format(f"({value})", w.use(i.operands[3], "pred"))
    true = 1.0 if is_float(target) else -1
    yes, no = w.constant(true, target), w.constant(0, target)
    w.define(i.operands[0], target, f"chosen({value}, {yes}, {no})")


@opcode("selp")
def _selp(w: Writer, i: Instruction) -> None:
    kind = i.opcode[1]
    a, b = (w.use(o, kind) for o in i.operands[1:3])
    w.define(i.operands[0], kind, f"chosen({w.use(i.operands[3], 'pred')}, {a}, {b})")


@opcode("slct")
def _slct(w: Writer, i: Instruction) -> None:
    kind, test = i.opcode[-2:]
    a, b = (w.use(o, kind) for o in i.operands[1:3])
    w.define(
        i.operands[0],
        kind,
        f"chosen({w.use(i.operands[3], test)} >= {w.constant(0, test)}, {a}, {b})",
    )


@opcode("bfi")
def _bfi(w: Writer, i: Instruction) -> None:
    kind = i.opcode[1]
    a, b = (w.use(o, kind) for o in i.operands[1:3])
    position, length = (w.use(o, "u32") for o in i.operands[3:])
    w.define(i.operands[0], kind, f"inserted({a}, {b}, {position}, {length})")


@opcode("bfe")
def _bfe(w: Writer, i: Instruction) -> None:
    kind = i.opcode[1]
    a = w.use(i.operands[1], kind)
    position, length = (w.use(o, "u32") for o in i.operands[2:])
    w.define(i.operands[0], kind, f"extracted({a}, {position}, {length})")


@opcode("prmt")
def _prmt(w: Writer, i: Instruction) -> None:
    if i.opcode != ("prmt", "b32"):
        raise lacking(i)
    a, b, selector = (w.use(o, "u32") for o in i.operands[1:])
    w.define(i.operands[0], "u32", f"permuted({a}, {b}, {selector})")


@opcode("lop3")
def _lop3(w: Writer, i: Instruction) -> None:
    if i.opcode != ("lop3", "b32"):
        raise lacking(i)
    a, b, c = (w.use(o, "u32") for o in i.operands[1:4])
    table = i.operands[4]
    assert isinstance(table, Immediate)
    w.define(i.operands[0], "u32", f"three_way({a}, {b}, {c}, {table.value})")


@opcode("shf")
def _shf(w: Writer, i: Instruction) -> None:
    _, direction, mode, _ = i.opcode
    a, b, n = (w.use(o, "u32") for o in i.operands[1:])
    w.define(
        i.operands[0], "u32", f"funnelled({a}, {b}, {n}, {direction == 'l'}, {mode == 'wrap'})"
    )


@opcode("popc", "clz", "brev")
def _count(w: Writer, i: Instruction) -> None:
    kind = i.opcode[1]
    value = w.use(i.operands[1], kind)
    name = {"popc": "population", "clz": "leading_zeros", "brev": "reversed_bits"}[i.name]
    w.define(i.operands[0], kind if i.name == "brev" else "u32", f"{name}({value})")
