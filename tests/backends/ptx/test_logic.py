"""Comparisons, choices, shifts, bits and what is left of integer arithmetic, against Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.ptx import computed, pairs

WORDS = [0, 1, 2, 5, 31, 32, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xDEADBEEF]
LONG = [0, 1, 63, 64, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 0x123456789ABCDEF0]


def signed(x: int, bits: int = 32) -> int:
    return (x + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def check(found: Any, wanted: list[int]) -> None:
    bits = 8 * found.dtype.itemsize
    np.testing.assert_array_equal(
        found.view(f"u{bits // 8}"), np.array([w % 2**bits for w in wanted], f"u{bits // 8}")
    )


ONE: list[tuple[str, str, Callable[[int], int]]] = [
    ("not.b32", "u32", lambda a: ~a),
    ("not.b64", "u64", lambda a: ~a),
    ("cnot.b32", "u32", lambda a: a == 0),
    ("popc.b32", "u32", lambda a: a.bit_count()),
    ("clz.b32", "u32", lambda a: 32 - a.bit_length()),
    ("brev.b32", "u32", lambda a: int(f"{a:032b}"[::-1], 2)),
    ("brev.b64", "u64", lambda a: int(f"{a:064b}"[::-1], 2)),
    ("neg.s32", "u32", lambda a: -a),
    ("abs.s32", "u32", lambda a: abs(signed(a))),
    ("abs.s64", "u64", lambda a: abs(signed(a, 64))),
]


@pytest.mark.parametrize(("opcode", "kind", "expected"), ONE, ids=lambda v: str(v)[:9])
def test_of_one(opcode: str, kind: str, expected: Callable[[int], int]) -> None:
    values = WORDS if kind == "u32" else LONG
    check(computed(opcode, kind, [kind], values), [expected(v) for v in values])


@pytest.mark.parametrize(("opcode", "width"), [("popc.b64", 0), ("clz.b64", 64)])
def test_counts_of_long_words_are_short(opcode: str, width: int) -> None:
    wanted = [width - v.bit_length() if width else v.bit_count() for v in LONG]
    check(computed(opcode, "u32", ["u64"], LONG), wanted)


@pytest.mark.parametrize("kind", ["s32", "s64", "u64"])
@pytest.mark.parametrize("name", ["div", "rem"])
def test_quotients_are_rounded_to_zero(name: str, kind: str) -> None:
    """Of a division by zero all bits are set; the least number divided by -1 wraps around."""
    bits = int(kind[1:])
    a, b = pairs(WORDS if bits == 32 else LONG)
    number = (lambda x: signed(x, bits)) if kind[0] == "s" else int

    def divided(x: int, y: int) -> int:
        if y == 0:
            return -1 if name == "div" else x
        size = abs(x) // abs(y)
        quotient = size if (x < 0) == (y < 0) else -size
        return quotient if name == "div" else x - quotient * y

    found = computed(f"{name}.{kind}", f"u{bits}", [f"u{bits}"] * 2, a, b)
    check(found, [divided(number(x), number(y)) for x, y in zip(a, b, strict=True)])


@pytest.mark.parametrize("opcode", ["shl.b64", "shr.b64", "shr.u64", "shr.s64"])
def test_long_shifts(opcode: str) -> None:
    name, kind = opcode.split(".")
    amounts = [0, 1, 31, 32, 63, 64, 65, 2**32 - 1]
    a, n = [x for x in LONG for _ in amounts], amounts * len(LONG)
    value = (lambda x: signed(x, 64)) if kind == "s64" else int

    def shifted(x: int, by: int) -> int:
        by = min(by, 64)
        return value(x) << by if name == "shl" else value(x) >> by

    found = computed(opcode, "u64", ["u64", "u32"], a, n)
    check(found, [shifted(x, by) for x, by in zip(a, n, strict=True)])


@pytest.mark.parametrize("by", [0, 5, 31, 32, 33])
@pytest.mark.parametrize("opcode", ["shl.b32", "shr.u32", "shr.s32"])
def test_shifts_by_constants(opcode: str, by: int) -> None:
    found = computed(f"{opcode} {{out}}, {{0}}, {by};", "u32", ["u32"], WORDS)
    value = signed if opcode == "shr.s32" else int
    wanted = [value(x) << by if opcode == "shl.b32" else value(x) >> by for x in WORDS]
    check(found, wanted)


@pytest.mark.parametrize("direction", ["l", "r"])
@pytest.mark.parametrize("mode", ["wrap", "clamp"])
def test_funnel_shifts(direction: str, mode: str) -> None:
    a, b = pairs(WORDS[:4] + WORDS[-2:])
    for by in (0, 7, 32, 40):
        n = by % 32 if mode == "wrap" else min(by, 32)
        whole = [x | y << 32 for x, y in zip(a, b, strict=True)]
        wanted = [w << n >> 32 if direction == "l" else w >> n for w in whole]
        found = computed(f"shf.{direction}.{mode}.b32", "u32", ["u32"] * 3, a, b, [by] * len(a))
        check(found, wanted)


@pytest.mark.parametrize("table", [0x80, 0x96, 0xE8, 0xCA, 0x01])
def test_three_way_logic(table: int) -> None:
    a, b, c = [0xF0F0F0F0, 0xFFFF0000], [0xCCCCCCCC, 0x12345678], [0xAAAAAAAA, 0x0F0F0F0F]
    found = computed(
        f"lop3.b32 {{out}}, {{0}}, {{1}}, {{2}}, {table};", "u32", ["u32"] * 3, a, b, c
    )
    wanted = [
        sum(
            (table >> ((x >> k & 1) * 4 + (y >> k & 1) * 2 + (z >> k & 1)) & 1) << k
            for k in range(32)
        )
        for x, y, z in zip(a, b, c, strict=True)
    ]
    check(found, wanted)


def test_long_bit_fields() -> None:
    values, positions, lengths = [2**64 - 2] * 4, [0, 1, 60, 64], [8, 63, 8, 4]
    found = computed("bfe.u64", "u64", ["u64", "u32", "u32"], values, positions, lengths)
    check(found, [0xFE, 2**63 - 1, 15, 0])
    found = computed("bfe.s64", "u64", ["u64", "u32", "u32"], values, positions, lengths)
    check(found, [-2, -1, -1, -1])


@pytest.mark.parametrize(
    ("opcode", "kind", "wanted"),
    [
        ("mad.lo.s32", "u32", lambda a, b, c: a * b + c),
        ("mad.hi.u32", "u32", lambda a, b, c: (a * b >> 32) + c),
        ("mad.hi.s32", "u32", lambda a, b, c: (signed(a) * signed(b) >> 32) + c),
        ("mad.wide.u32", "u64", lambda a, b, c: a * b + c),
        ("mad.wide.s32", "u64", lambda a, b, c: signed(a) * signed(b) + c),
        ("mad.lo.s64", "u64", lambda a, b, c: a * b + c),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_integer_multiply_adds(opcode: str, kind: str, wanted: Callable[..., int]) -> None:
    factor = "u64" if opcode.endswith("64") else "u32"
    values = LONG if factor == "u64" else WORDS
    a, b = pairs(values)
    c = [values[k % len(values)] for k in range(len(a))]
    found = computed(opcode, kind, [factor, factor, kind], a, b, c)
    check(found, [wanted(*row) for row in zip(a, b, c, strict=True)])


COMPARISONS: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}
UNSIGNED = {"lo": "lt", "ls": "le", "hi": "gt", "hs": "ge"}


@pytest.mark.parametrize(
    ("name", "kind"),
    [(name, kind) for name in COMPARISONS for kind in ("u32", "s32", "u64", "s64")]
    + [(name, kind) for name in UNSIGNED for kind in ("u32", "u64")],
)
def test_predicates_choose(name: str, kind: str) -> None:
    """setp and selp, negated, and a guarded sum."""
    bits = int(kind[1:])
    a, b = pairs(WORDS if bits == 32 else LONG)
    code = (
        f"setp.{name}.{kind} %p1, {{0}}, {{1}};"
        " selp.b32 {out}, 1, 2, %p1; @!%p1 add.s32 {out}, {out}, 10;"
    )
    found = computed(code, "u32", [f"u{bits}"] * 2, a, b)
    number = (lambda x: signed(x, bits)) if kind[0] == "s" else int
    test = COMPARISONS[UNSIGNED.get(name, name)]
    check(found, [1 if test(number(x), number(y)) else 12 for x, y in zip(a, b, strict=True)])


@pytest.mark.parametrize("combine", ["and", "or", "xor"])
def test_predicates_are_combined(combine: str) -> None:
    """Of a pair, the second is that of the opposite comparison."""
    a, b = pairs([0, 1, 2, 3])
    code = (
        "setp.gt.u32 %p1, {0}, 1;"
        f" setp.lt.{combine}.u32 %p2|%p3, {{0}}, {{1}}, %p1;"
        " selp.b32 %r50, 1, 0, %p2; selp.b32 {out}, 2, 0, %p3; or.b32 {out}, {out}, %r50;"
    )
    found = computed(code, "u32", ["u32", "u32"], a, b)
    join = {"and": lambda x, y: x and y, "or": lambda x, y: x or y, "xor": lambda x, y: x != y}
    test = join[combine]
    wanted = [
        int(test(x < y, x > 1)) + 2 * int(test(x >= y, x > 1)) for x, y in zip(a, b, strict=True)
    ]
    check(found, wanted)


def test_predicates_are_computed_with() -> None:
    a, b = pairs([0, 1])
    code = (
        "setp.ne.u32 %p1, {0}, 0; setp.ne.u32 %p2, {1}, 0; not.pred %p3, %p1;"
        " and.pred %p4, %p3, %p2; xor.pred %p5, %p1, %p2; or.pred %p6, %p4, %p5;"
        " selp.b32 {out}, 1, 0, %p4; @%p5 add.s32 {out}, {out}, 2; @%p6 add.s32 {out}, {out}, 4;"
    )
    check(computed(code, "u32", ["u32", "u32"], a, b), [0, 7, 6, 0])


def test_a_sign_chooses() -> None:
    found = computed(
        "slct.u32.s32", "u32", ["u32", "u32", "u32"], [1, 1, 1], [2, 2, 2], [0, 5, -1 % 2**32]
    )
    check(found, [1, 1, 2])
    found = computed("slct.u32.f32", "u32", ["u32", "u32", "f32"], [1, 1], [2, 2], [-0.0, -0.5])
    check(found, [1, 2])


def test_comparisons_set_numbers() -> None:
    found = computed("set.gt.f32.s32", "f32", ["u32", "u32"], [1, 2, -3 % 2**32], [2, 1, 0])
    np.testing.assert_array_equal(found, [0, 1, 0])
    check(computed("set.gt.u32.u32", "u32", ["u32", "u32"], [1, 2], [2, 1]), [0, -1])
