"""Arithmetic instructions (sections 9.7.1 and 9.7.3 of "PTX ISA")."""

from __future__ import annotations

from tinygrad_mnist.backends.ptx.program import Instruction, Vector
from tinygrad_mnist.backends.ptx.types import bits, is_float, is_signed
from tinygrad_mnist.backends.ptx.writer import Writer, lacking, opcode

_ROUNDINGS = {"rn": 0, "rz": 1, "rm": 2, "rp": 3}
_MODIFIERS = {*_ROUNDINGS, "ftz", "sat", "approx", "full", "NaN", "lo", "hi", "wide", "cc"}


def unsigned(kind: str) -> str:
    """The unsigned type of the same width, in which integers wrap around."""
    return kind if is_float(kind) else f"u{bits(kind)}"


def _parts(i: Instruction) -> tuple[str, set[str]]:
    """Type and modifiers; an error for modifiers that nothing here knows."""
    *modifiers, kind = i.opcode[1:]
    if set(modifiers) - _MODIFIERS:
        raise lacking(i)
    return kind, set(modifiers)


def _define(w: Writer, i: Instruction, kind: str, expression: str, modifiers: set[str]) -> None:
    """Stores a float, flushed or clamped where the modifiers ask for it."""
    if "ftz" in modifiers and kind == "f32":
        expression = f"flushed({expression})"
    if "sat" in modifiers:
        if not is_float(kind):
            raise lacking(i)
        expression = f"saturated({expression})"
    w.define(i.operands[0], kind, expression)


def _float_operands(w: Writer, i: Instruction, kind: str, modifiers: set[str]) -> list[str]:
    values = [w.use(o, kind) for o in i.operands[1:]]
    return [f"flushed({v})" for v in values] if "ftz" in modifiers and kind == "f32" else values


def rounding(i: Instruction, modifiers: set[str]) -> int:
    """The number of the rounding mode, for the functions of `exact`."""
    [mode] = {_ROUNDINGS[m] for m in modifiers & set(_ROUNDINGS)} or {0}
    return mode


_SYMBOLS = {"add": "+", "sub": "-", "mul": "*"}


@opcode("add", "sub", "mul")
def _add(w: Writer, i: Instruction) -> None:
    kind, modifiers = _parts(i)
    if "cc" in modifiers:
        _with_carry(w, i)
    elif is_float(kind):
        a, b = _float_operands(w, i, kind, modifiers)
        mode = rounding(i, modifiers)
        value = f"{a} {_SYMBOLS[i.name]} {b}"
        if mode:
            value = f"directed({i.name!r}, {mode}, {a}, {b})"
        _define(w, i, kind, value, modifiers)
    elif i.name == "mul" and "lo" not in modifiers:
        _wide(w, i, kind, modifiers, "")
    elif "sat" in modifiers:
        raise lacking(i)
    else:
        wrapped = unsigned(kind)
        a, b = (w.use(o, wrapped) for o in i.operands[1:])
        w.define(i.operands[0], wrapped, f"{a} {_SYMBOLS[i.name]} {b}")


def _wide(w: Writer, i: Instruction, kind: str, modifiers: set[str], addend: str) -> None:
    """The whole product, or its high half."""
    a, b = (w.use(o, kind) for o in i.operands[1:3])
    if "wide" not in modifiers:
        w.define(i.operands[0], kind, _high_half(w, kind, a, b) + addend)
    elif bits(kind) == 64:
        raise lacking(i)
    else:
        double = f"{kind[0]}{2 * bits(kind)}"
        product = f"np.multiply({a}, {b}, dtype={w.dtype(double)})"
        w.define(i.operands[0], double, product + addend)


def _high_half(w: Writer, kind: str, a: str, b: str) -> str:
    """The high half of a product."""
    if bits(kind) == 64:
        return f"high_{'signed' if is_signed(kind) else 'unsigned'}({a}, {b})"
    double = f"{kind[0]}{2 * bits(kind)}"
    product = f"np.multiply({a}, {b}, dtype={w.dtype(double)})"
    return f"({product} >> {w.constant(bits(kind), double)}).astype({w.dtype(kind)})"


@opcode("addc", "subc", "madc")
def _with_carry(w: Writer, i: Instruction) -> None:
    """Sums and differences of several words (section 9.7.2). The carry is an operand, see
    `program.CARRY`; also `add`, `sub` and `mad` with `.cc`, which write it."""
    kind = unsigned(i.opcode[-1])
    target, *sources = i.operands
    carry = w.constant(0, "pred")
    if i.name[-1] == "c":
        carry = w.use(sources.pop(), "pred")
    if i.name.startswith("mad"):
        *factors, addend = sources
        if "hi" in i.opcode:
            product = _high_half(w, i.opcode[-1], *(w.use(o, i.opcode[-1]) for o in factors))
            first = w.temporary(f"{product}.view({w.dtype(kind)})")
        else:
            first = w.temporary(" * ".join(w.use(o, kind) for o in factors))
        second = w.use(addend, kind)
    else:
        first, second = (w.use(o, kind) for o in sources)
    name = "difference_and_borrow" if i.name.startswith("sub") else "sum_and_carry"
    results = w.temporary(f"{name}({first}, {second}, {carry})")
    targets = target.items if isinstance(target, Vector) else (target,)
    for k, (one, how) in enumerate(zip(targets, (kind, "pred"), strict=False)):
        w.define(one, how, f"{results}[{k}]")


@opcode("mad")
def _mad(w: Writer, i: Instruction) -> None:
    kind, modifiers = _parts(i)
    if "cc" in modifiers:
        _with_carry(w, i)
    elif is_float(kind):
        _fma(w, i)
    elif "lo" in modifiers:
        wrapped = unsigned(kind)
        a, b, c = (w.use(o, wrapped) for o in i.operands[1:])
        w.define(i.operands[0], wrapped, f"{a} * {b} + {c}")
    else:
        double = f"{kind[0]}{2 * bits(kind)}" if "wide" in modifiers else kind
        _wide(w, i, kind, modifiers, f" + {w.use(i.operands[3], double)}")


@opcode("fma")
def _fma(w: Writer, i: Instruction) -> None:
    kind, modifiers = _parts(i)
    a, b, c = _float_operands(w, i, kind, modifiers)
    _define(w, i, kind, f"fma({a}, {b}, {c}, {rounding(i, modifiers)})", modifiers)


@opcode("div", "rem")
def _div(w: Writer, i: Instruction) -> None:
    kind, modifiers = _parts(i)
    a, b = _float_operands(w, i, kind, modifiers)
    if not is_float(kind):
        w.define(i.operands[0], kind, f"{'quotient' if i.name == 'div' else 'remainder'}({a}, {b})")
    elif rounding(i, modifiers):
        _define(w, i, kind, f"directed('div', {rounding(i, modifiers)}, {a}, {b})", modifiers)
    elif "approx" in modifiers:
        _define(w, i, kind, f"divided_roughly({a}, {b})", modifiers)
    else:
        _define(w, i, kind, f"{a} / {b}", modifiers)


@opcode("abs", "neg")
def _abs(w: Writer, i: Instruction) -> None:
    kind, modifiers = _parts(i)
    [a] = _float_operands(w, i, kind, modifiers)
    value = f"np.abs({a})" if i.name == "abs" else f"np.negative({a})"
    w.define(i.operands[0], kind, value)


@opcode("min", "max")
def _min(w: Writer, i: Instruction) -> None:
    kind, modifiers = _parts(i)
    a, b = _float_operands(w, i, kind, modifiers)
    if not is_float(kind):
        value = f"np.{i.name}imum({a}, {b})"
    else:
        value = f"{'lesser' if i.name == 'min' else 'greater'}({a}, {b}, {'NaN' in modifiers})"
    w.define(i.operands[0], kind, value)


# Approximate results are the exact ones, rounded: within the bounds of section 9.7.3.
_UNARY = {
    "sqrt": "np.sqrt({})",
    "rcp": "{one} / {}",
    "rsqrt": "reciprocal_root({})",
    "ex2": "power_of_two({})",
    "lg2": "binary_logarithm({})",
    "sin": "sine({})",
    "cos": "cosine({})",
    "tanh": "tangent({})",
}


@opcode(*_UNARY)
def _unary(w: Writer, i: Instruction) -> None:
    kind, modifiers = _parts(i)
    mode = rounding(i, modifiers)
    [a] = _float_operands(w, i, kind, modifiers)
    if mode and i.name not in ("sqrt", "rcp"):
        raise lacking(i)
    if mode:
        value = f"directed({i.name!r}, {mode}, {a})"
    elif kind == "f64" and "approx" in modifiers:
        value = f"rough_{i.name}({a})"
        if i.name not in ("rcp", "rsqrt"):
            raise lacking(i)
    else:
        value = _UNARY[i.name].format(a, one=w.constant(1, kind))
    _define(w, i, kind, value, modifiers)


@opcode("copysign")
def _copysign(w: Writer, i: Instruction) -> None:
    kind, _ = _parts(i)
    sign, value = (w.use(o, kind) for o in i.operands[1:])
    w.define(i.operands[0], kind, f"np.copysign({value}, {sign})")


@opcode("testp")
def _testp(w: Writer, i: Instruction) -> None:
    _, test, kind = i.opcode
    tests = {
        "finite": "np.isfinite({})",
        "infinite": "np.isinf({})",
        "number": "~np.isnan({})",
        "notanumber": "np.isnan({})",
    }
    if test not in tests:
        raise lacking(i)
    w.define(i.operands[0], "pred", tests[test].format(w.use(i.operands[1], kind)))


@opcode("dp2a")
def _dp2a(w: Writer, i: Instruction) -> None:
    _, half, first, second = i.opcode
    a, b, c = (w.use(o, "u32") for o in i.operands[1:])
    signed = f"{is_signed(first)}, {is_signed(second)}"
    w.define(i.operands[0], "u32", f"dot_of_two({a}, {b}, {c}, {half == 'hi'}, {signed})")
