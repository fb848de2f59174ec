"""Single instructions against NumPy, Python's integers and fractions."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from helpers.ptx import computed, kernel_text, numpy_of, pairs, run

from tinygrad_mnist.backends.ptx.types import PtxError

INTEGERS = [0, 1, 2, 3, 7, 8, 31, 32, 33, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1]
FLOATS = [0.0, -0.0, 1.0, -1.0, 0.1, 1e-40, -1e-40, 3.4e38, np.inf, -np.inf, np.nan, 1.5, 2.5, -2.5]
FLOATS += [2.0**31, -(2.0**31), 2.0**32, 2.0**63, 1e10, -1e10, 0.49999997, 255.5]


def signed(x: int, bits: int = 32) -> int:
    return (x + 2 ** (bits - 1)) % 2**bits - 2 ** (bits - 1)


def rounded_quotient(a: int, b: int) -> int:
    size = abs(a) // abs(b)
    return size if (a < 0) == (b < 0) else -size


INTEGER_CASES: list[tuple[str, str, Callable[[int, int], int]]] = [
    ("add.s32", "u32", lambda a, b: a + b),
    ("sub.s32", "u32", lambda a, b: a - b),
    ("mul.lo.s32", "u32", lambda a, b: a * b),
    ("mul.hi.u32", "u32", lambda a, b: a * b >> 32),
    ("mul.hi.s32", "s32", lambda a, b: signed(a) * signed(b) >> 32),
    ("mul.wide.u32", "u64", lambda a, b: a * b),
    ("mul.wide.s32", "s64", lambda a, b: signed(a) * signed(b)),
    ("and.b32", "u32", lambda a, b: a & b),
    ("or.b32", "u32", lambda a, b: a | b),
    ("xor.b32", "u32", lambda a, b: a ^ b),
    ("min.u32", "u32", min),
    ("max.s32", "s32", lambda a, b: max(signed(a), signed(b))),
    ("shl.b32", "u32", lambda a, b: a << b if b < 32 else 0),
    ("shr.u32", "u32", lambda a, b: a >> b if b < 32 else 0),
    ("shr.s32", "s32", lambda a, b: signed(a) >> min(b, 31)),
    ("div.u32", "u32", lambda a, b: a // b if b else 2**32 - 1),
    ("rem.u32", "u32", lambda a, b: a % b if b else a),
    ("div.s32", "s32", lambda a, b: rounded_quotient(signed(a), signed(b)) if b else -1),
]


@pytest.mark.parametrize(("opcode", "result", "expected"), INTEGER_CASES, ids=lambda v: str(v)[:12])
def test_integers(opcode: str, result: str, expected: Callable[[int, int], int]) -> None:
    a, b = pairs(INTEGERS)
    found = computed(opcode, result, ["u32", "u32"], a, b)
    bits = 8 * found.dtype.itemsize
    wanted = [expected(x, y) % 2**bits for x, y in zip(a, b, strict=True)]
    np.testing.assert_array_equal(found.view(f"u{found.dtype.itemsize}"), wanted)


@pytest.mark.parametrize("kind", ["u64", "s64"])
def test_high_halves_of_products(kind: str) -> None:
    values = [0, 1, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 0x123456789ABCDEF0]
    a, b = pairs(values)
    found = computed(f"mul.hi.{kind}", "u64", ["u64", "u64"], a, b)
    number = (lambda x: signed(x, 64)) if kind == "s64" else int
    wanted = [(number(x) * number(y) >> 64) % 2**64 for x, y in zip(a, b, strict=True)]
    np.testing.assert_array_equal(found, np.array(wanted, np.uint64))


def test_bit_fields() -> None:
    values, positions, lengths = [0xDEADBEEF] * 6, [0, 4, 8, 31, 32, 255], [8, 8, 0, 5, 4, 40]
    kinds = ["u32", "u32", "u32", "u32"]
    found = computed("bfi.b32", "u32", kinds, [0xFF] * 6, values, positions, lengths)
    np.testing.assert_array_equal(found, [0xDEADBEFF, 0xDEADBFFF, *[0xDEADBEEF] * 4])
    found = computed("bfe.u32", "u32", kinds[:3], values, positions, lengths)
    np.testing.assert_array_equal(found, [0xEF, 0xEE, 0, 1, 0, 0])
    found = computed("bfe.s32", "s32", kinds[:3], values, positions, lengths)
    np.testing.assert_array_equal(found, [-17, -18, 0, -1, -1, -1])


def test_bytes_are_permuted() -> None:
    selectors = [0x3210, 0x7654, 0x0123, 0x5140, 0x8888, 0xFEDC]
    found = computed("prmt.b32", "u32", ["u32"] * 3, [0x83828180] * 6, [0x07060504] * 6, selectors)
    wanted = [0x83828180, 0x07060504, 0x80818283, 0x05810480, 0xFFFFFFFF, 0]
    np.testing.assert_array_equal(found, wanted)


def test_dot_product_of_two() -> None:
    found = computed("dp2a.lo.u32.u32", "u32", ["u32"] * 3, [0x00030002], [0x0B0A0504], [7])
    np.testing.assert_array_equal(found, [7 + 2 * 4 + 3 * 5])
    found = computed("dp2a.hi.u32.u32", "u32", ["u32"] * 3, [0x00030002], [0x0B0A0504], [7])
    np.testing.assert_array_equal(found, [7 + 2 * 10 + 3 * 11])


@pytest.mark.parametrize("first", ["s32", "u32"])
@pytest.mark.parametrize("second", ["s32", "u32"])
def test_signs_of_a_dot_product_of_two(first: str, second: str) -> None:
    a, b = 0xFFFE0003, 0x0000FC05  # -2 or 65534, and 3; -4 or 252, and 5
    found = computed(f"dp2a.lo.{first}.{second}", "u32", ["u32"] * 3, [a], [b], [7])
    wanted = 7 + 3 * 5 + (-2 if first == "s32" else 65534) * (-4 if second == "s32" else 252)
    np.testing.assert_array_equal(found, [wanted % 2**32])


# --- floats -------------------------------------------------------------------------------------


def rounded(exact: Fraction, dtype: Any, mode: str) -> Any:
    """A rational number in the precision of a dtype."""
    near = dtype(float(exact)) if dtype == np.float64 else _nearest_float32(exact)
    if mode == "rn" or Fraction(float(near)) == exact:
        return near
    above = Fraction(float(near)) > exact
    up = {"rp": True, "rm": False, "rz": exact < 0}[mode]
    if above == up:
        return near
    return np.nextafter(near, dtype(np.inf if up else -np.inf))


def _nearest_float32(exact: Fraction) -> Any:
    guess = np.float32(float(exact))
    candidates = [
        guess,
        np.nextafter(guess, np.float32(np.inf)),
        np.nextafter(guess, np.float32(-np.inf)),
    ]
    best = min(abs(Fraction(float(c)) - exact) for c in candidates)
    ties = [c for c in candidates if abs(Fraction(float(c)) - exact) == best]
    return min(ties, key=lambda c: int(c.view(np.uint32)) & 1)


@pytest.mark.parametrize("mode", ["rn", "rz", "rm", "rp"])
@pytest.mark.parametrize("kind", ["f32", "f64"])
def test_multiply_adds_are_rounded_once(kind: str, mode: str) -> None:
    dtype = numpy_of(kind).type
    rng = np.random.default_rng(1)
    a, b = (rng.standard_normal(200).astype(dtype) for _ in range(2))
    # Terms that nearly cancel the product, and halfway cases.
    c = np.where(np.arange(200) % 2, -(a * b), rng.standard_normal(200) * 1e-8).astype(dtype)
    found = computed(f"fma.{mode}.{kind}", kind, [kind] * 3, a, b, c)
    for x, y, z, result in zip(a, b, c, found, strict=True):
        exact = Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z))
        assert result == rounded(exact, dtype, mode)


@pytest.mark.parametrize("mode", ["rz", "rm", "rp"])
@pytest.mark.parametrize("name", ["add", "sub", "mul", "div"])
def test_directed_rounding(name: str, mode: str) -> None:
    rng = np.random.default_rng(2)
    a, b = (rng.standard_normal(100).astype(np.float32) for _ in range(2))
    found = computed(f"{name}.{mode}.f32", "f32", ["f32", "f32"], a, b)
    for x, y, result in zip(a, b, found, strict=True):
        p, q = Fraction(float(x)), Fraction(float(y))
        exact = {"add": p + q, "sub": p - q, "mul": p * q, "div": p / q}[name]
        assert result == rounded(exact, np.float32, mode)


def test_subnormal_numbers_are_flushed() -> None:
    tiny = [1e-40, -1e-40, 1.2e-38]
    np.testing.assert_array_equal(
        computed("add.ftz.f32", "u32", ["f32", "f32"], tiny, [0.0] * 3).view(np.float32),
        np.array([0.0, 0.0, 1.2e-38], np.float32),
    )
    products = computed("mul.ftz.f32", "f32", ["f32", "f32"], [1e-20, -1e-20], [1e-20, 1e-20])
    np.testing.assert_array_equal(np.signbit(products), [False, True])
    np.testing.assert_array_equal(products, [0, 0])


def test_saturation() -> None:
    found = computed("cvt.sat.f32.f32", "f32", ["f32"], [-1.0, -0.0, 0.25, 7.0, np.nan, np.inf])
    np.testing.assert_array_equal(found, [0, 0, 0.25, 1, 0, 1])
    assert not np.signbit(found).any()


@pytest.mark.parametrize(("name", "sign"), [("min", 1), ("max", -1)])
def test_minima_and_maxima(name: str, sign: int) -> None:
    """NaN gives way to numbers, and -0 is less than 0."""
    a, b = pairs(FLOATS)
    found = computed(f"{name}.f32", "f32", ["f32", "f32"], a, b)
    for x, y, result in zip(np.float32(a), np.float32(b), found, strict=True):
        numbers = [v for v in (x, y) if not np.isnan(v)]
        if not numbers:
            assert np.isnan(result)
            continue
        wanted = min(numbers, key=lambda v: (sign * v, sign * (0 if np.signbit(v) else 1)))
        assert result == wanted
        assert np.signbit(result) == np.signbit(wanted)


COMPARISONS = [
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "equ",
    "neu",
    "ltu",
    "leu",
    "gtu",
    "geu",
    "num",
    "nan",
]


@pytest.mark.parametrize("name", COMPARISONS)
def test_comparisons_of_floats(name: str) -> None:
    a, b = pairs(FLOATS)
    x, y = np.float32(a), np.float32(b)
    nan = np.isnan(x) | np.isnan(y)
    plain = {"eq": x == y, "ne": x != y, "lt": x < y, "le": x <= y, "gt": x > y, "ge": x >= y}
    if name in ("num", "nan"):
        wanted = nan if name == "nan" else ~nan
    else:
        wanted = plain[name[:2]] & ~nan if name in plain else plain[name[:2]] | nan
    found = computed(f"set.{name}.u32.f32", "u32", ["f32", "f32"], a, b)
    np.testing.assert_array_equal(found != 0, wanted)


@pytest.mark.parametrize("target", ["s32", "u32", "s64", "u64", "s16", "u16"])
@pytest.mark.parametrize("source", ["f32", "f64"])
@pytest.mark.parametrize("mode", ["rzi", "rni", "rmi", "rpi"])
def test_floats_to_integers(source: str, target: str, mode: str) -> None:
    """Clamped; NaN is 0, or the highest bit where 64 bits are involved."""
    found = computed(f"cvt.{mode}.{target}.{source}", target, [source], FLOATS)
    limits = np.iinfo(numpy_of(target))
    turn = {"rzi": np.trunc, "rni": np.rint, "rmi": np.floor, "rpi": np.ceil}[mode]
    for value, result in zip(np.array(FLOATS, numpy_of(source)), found, strict=True):
        if np.isnan(value):
            top = 1 << (limits.bits - 1)
            wanted = 0 if source == "f32" and limits.bits < 64 else top
            assert int(result) % 2**limits.bits == wanted
        else:
            whole = float(turn(value))
            wanted = (
                limits.max if whole == np.inf else limits.min if whole == -np.inf else int(whole)
            )
            assert int(result) == min(max(wanted, limits.min), limits.max)


def test_numbers_for_tensor_cores() -> None:
    values = np.array([1.0, 1.0 + 2**-11, 1.0 + 2**-12, 1.0 + 3 * 2**-11, np.inf], np.float32)
    found = computed("cvt.rna.tf32.f32", "b32", ["f32"], values).view(np.float32)
    np.testing.assert_array_equal(found, np.float32([1, 1 + 2**-10, 1, 1 + 2**-9, np.inf]))


@pytest.mark.parametrize(
    ("opcode", "function", "bound"),
    [
        ("ex2.approx.ftz.f32", np.exp2, 2**-22),
        ("lg2.approx.f32", np.log2, 2**-22),
        ("rsqrt.approx.f32", lambda x: 1 / np.sqrt(x), 2**-22),
        ("rcp.approx.f32", lambda x: 1 / x, 2**-23),
        ("sqrt.rn.f32", np.sqrt, 2**-24),
        ("tanh.approx.f32", np.tanh, 2**-11),
    ],
)
def test_approximations_are_within_the_bounds_of_the_manual(
    opcode: str, function: Any, bound: float
) -> None:
    values = np.linspace(0.3, 7, 500, dtype=np.float32)
    exact = function(values.astype(np.float64))
    found = computed(opcode, "f32", ["f32"], values)
    assert (np.abs(found - exact) <= bound * np.maximum(np.abs(exact), 1)).all()


def test_the_rough_reciprocal_has_the_high_bits_alone() -> None:
    values = np.array([3.0, 7.0, -0.1, np.inf])
    found = computed("rcp.approx.ftz.f64", "f64", ["f64"], values)
    assert (found.view(np.uint64) & np.uint64(0xFFFFFFFF) == 0).all()
    np.testing.assert_allclose(found, 1 / values, rtol=2**-20)


@pytest.mark.parametrize(
    "line",
    [
        "wgmma.fence.sync.aligned;",
        "min.xorsign.abs.f32 %f1, %f2, %f3;",
        "add.sat.s32 %r1, %r2, %r3;",
        "cvt.rn.f16.f32 %rs1, %f1;",
        "bar.arrive 0, 32;",
        "mov.u32 %r1, %smid;",
    ],
)
def test_what_is_lacking_is_an_error_with_its_line(line: str) -> None:
    with pytest.raises(PtxError, match=r"line \d+"):
        run(kernel_text(line, 1), [4], 1)
