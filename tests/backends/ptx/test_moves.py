"""Conversions, moves, vectors and memory of each kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.ptx import computed, kernel_text, numpy_of, run

INTEGERS = [0, 1, 127, 128, 255, 256, 32767, 32768, 65535, 2**31 - 1, 2**31, 2**32 - 1]
FLOATS = [0.0, -0.0, 1.0, 0.1, -2.5, 3.5, 1e-40, 1e30, -np.inf, np.nan, 0.49999997]


@pytest.mark.parametrize("source", ["u16", "s16", "u32", "s32", "u64", "s64"])
@pytest.mark.parametrize("target", ["u16", "s16", "u32", "s32", "u64", "s64"])
def test_integers_are_cut_or_extended(source: str, target: str) -> None:
    values = np.array(INTEGERS, np.uint64).astype(numpy_of(source))
    found = computed(f"cvt.{target}.{source}", target, [source], values)
    np.testing.assert_array_equal(found, values.astype(numpy_of(target)))


@pytest.mark.parametrize("source", ["u32", "s32", "s64"])
@pytest.mark.parametrize("target", ["u16", "s16", "s32", "u32"])
def test_integers_are_clamped(source: str, target: str) -> None:
    values = np.array(INTEGERS, np.uint64).astype(numpy_of(source))
    limits = np.iinfo(numpy_of(target))
    found = computed(f"cvt.sat.{target}.{source}", target, [source], values)
    wanted = [min(max(int(v), limits.min), limits.max) for v in values]
    np.testing.assert_array_equal(found, np.array(wanted, numpy_of(target)))


@pytest.mark.parametrize("source", ["u16", "s32", "u32", "s64", "u64"])
@pytest.mark.parametrize("target", ["f32", "f64"])
def test_integers_become_floats(source: str, target: str) -> None:
    values = np.array([*INTEGERS, 2**24 + 1, 2**53 + 1], np.uint64).astype(numpy_of(source))
    found = computed(f"cvt.rn.{target}.{source}", target, [source], values)
    np.testing.assert_array_equal(found, values.astype(numpy_of(target)))


@pytest.mark.parametrize(
    ("opcode", "source", "target", "function"),
    [
        ("cvt.f64.f32", "f32", "f64", lambda x: x.astype("f8")),
        ("cvt.rn.f32.f64", "f64", "f32", lambda x: x.astype("f4")),
        ("cvt.rni.f32.f32", "f32", "f32", np.rint),
        ("cvt.rzi.f64.f64", "f64", "f64", np.trunc),
        ("cvt.rmi.f32.f32", "f32", "f32", np.floor),
        ("cvt.rpi.f64.f64", "f64", "f64", np.ceil),
        ("abs.f32", "f32", "f32", np.abs),
        ("neg.f64", "f64", "f64", np.negative),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_floats(opcode: str, source: str, target: str, function: Any) -> None:
    values = np.array(FLOATS, numpy_of(source))
    found = computed(opcode, target, [source], values)
    wanted = function(values)
    np.testing.assert_array_equal(found, wanted)
    number = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[number]), np.signbit(wanted[number]))


def test_signs_are_copied() -> None:
    """The sign is the first operand's."""
    found = computed("copysign.f32", "f32", ["f32", "f32"], [-1.0, 2.0, -0.0], [3.0, -4.0, np.inf])
    np.testing.assert_array_equal(found, [-3, 4, -np.inf])


@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("finite", np.isfinite),
        ("infinite", np.isinf),
        ("number", lambda x: ~np.isnan(x)),
        ("notanumber", np.isnan),
    ],
)
def test_kinds_of_floats(name: str, test: Any) -> None:
    code = f"testp.{name}.f32 %p1, {{0}}; selp.b32 {{out}}, 1, 0, %p1;"
    values = np.array(FLOATS, np.float32)
    np.testing.assert_array_equal(computed(code, "u32", ["f32"], values), test(values))


@pytest.mark.parametrize(
    ("opcode", "exact"), [("sin.approx.f32", np.sin), ("cos.approx.f32", np.cos)]
)
def test_sines(opcode: str, exact: Any) -> None:
    """Absolute errors, of the manual's section 9.7.3: 2**-20.5."""
    values = np.linspace(-3, 3, 200, dtype=np.float32)
    found = computed(opcode, "f32", ["f32"], values)
    assert np.abs(found - exact(values.astype(np.float64))).max() <= 2**-20.5


def test_rough_division() -> None:
    """Within 2 ulp for divisors up to 2**126, 0 beyond."""
    a, b = np.float32([1, 5, -3, 1, np.inf]), np.float32([3, 7, 11, 2.0**127, 2.0**127])
    found = computed("div.approx.f32", "f32", ["f32", "f32"], a, b)
    np.testing.assert_allclose(found[:3], a[:3] / b[:3], rtol=2**-22)
    assert found[3] == 0
    assert np.isnan(found[4])


@pytest.mark.parametrize("mode", ["rz", "rm", "rp"])
@pytest.mark.parametrize("name", ["sqrt", "rcp"])
def test_directed_roots(name: str, mode: str) -> None:
    values = np.linspace(0.1, 9, 99, dtype=np.float32)
    found = computed(f"{name}.{mode}.f32", "f32", ["f32"], values).astype(np.longdouble)
    wide = values.astype(np.longdouble)
    exact = np.sqrt(wide) if name == "sqrt" else 1 / wide
    near = exact * np.longdouble(2**-23)
    below = (found <= exact) & (exact - found < near)
    above = (found >= exact) & (found - exact < near)
    assert (above if mode == "rp" else below).all()


def test_words_are_taken_apart_and_joined() -> None:
    values = np.array([0x0123456789ABCDEF, 2**64 - 2], np.uint64)
    code = "mov.b64 {{%r50, %r51}}, {0}; mov.b64 {out}, {{%r51, %r50}};"
    found = computed(code, "u64", ["u64"], values)
    np.testing.assert_array_equal(found, values << 32 | values >> 32)
    code = "mov.b32 {{%rs1, %rs2}}, {0}; mov.b32 {out}, {{%rs2, %rs1}};"
    words = np.array([0x01234567, 0xFFFF0000], np.uint32)
    np.testing.assert_array_equal(computed(code, "u32", ["u32"], words), words << 16 | words >> 16)


def test_bits_are_kept_by_moves() -> None:
    values = np.array([0x7FC12345, 0x80000000, 1], np.uint32)
    code = "mov.b32 %f1, {0}; mov.b32 {out}, %f1;"
    np.testing.assert_array_equal(computed(code, "u32", ["u32"], values), values)


KINDS = ("u8", "s8", "u16", "s16", "u32", "f32", "f64", "u64")


@pytest.mark.parametrize(
    ("kind", "n"), [(k, n) for k in KINDS for n in (1, 2, 4) if int(k[1:]) * n <= 128]
)
def test_vectors_of_each_type(kind: str, n: int) -> None:
    size = int(kind[1:]) // 8
    letter = {"f32": "f", "f64": "fd", "u64": "rd", "u32": "r"}.get(kind, "rs")
    names = [f"%{letter}{20 + k}" for k in range(n)]
    there, back = ", ".join(names), ", ".join(reversed(names))
    body = f"""
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd9, %r1, {n * size};
    add.s64 %rd10, %rd0, %rd9;
    add.s64 %rd11, %rd1, %rd9;
    ld.global{f".v{n}" if n > 1 else ""}.{kind} {f"{{{there}}}" if n > 1 else there}, [%rd10];
    st.global{f".v{n}" if n > 1 else ""}.{kind} [%rd11], {f"{{{back}}}" if n > 1 else back};
    """
    values = np.random.default_rng(0).integers(0, 200, (8, n)).astype(numpy_of(kind))
    (_, found), observer = run(kernel_text(body, 2), [values, values.nbytes], 8, inputs=1)
    np.testing.assert_array_equal(found.view(values.dtype).reshape(8, n), values[:, ::-1])
    assert observer.findings == []


def test_narrow_loads_are_extended() -> None:
    body = """
    ld.global.s8 %r1, [%rd0];
    ld.global.u8 %r2, [%rd0];
    st.global.u32 [%rd1], %r1;
    st.global.u32 [%rd1+4], %r2;
    """
    (_, found), _ = run(kernel_text(body, 2), [np.array([-2], np.int8), 8], 1, inputs=1)
    np.testing.assert_array_equal(found.view(np.int32), [-2, 254])


@pytest.mark.parametrize("space", ["shared", "local"])
def test_memory_of_a_kernel(space: str) -> None:
    """A block's threads share shared memory; local memory is each thread's own."""
    body = f"""
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r3, %ntid.x;
    mad.lo.s32 %r4, %r2, %r3, %r1;
    mul.wide.u32 %rd9, %r4, 4;
    add.s64 %rd11, %rd0, %rd9;
    mov.u64 %rd12, own;
    st.{space}.u32 [%rd12+4], %r4;
    ld.{space}.u32 %r5, [%rd12+4];
    st.global.u32 [%rd11], %r5;
    """
    text = kernel_text(body, 1, f".{space} .align 8 .b8 own[16];\n")
    (found,), observer = run(
        text, [4 * 6], 3 if space == "local" else 1, 2 if space == "local" else 6
    )
    np.testing.assert_array_equal(found.view(np.uint32), range(6))
    assert observer.findings == []


def test_tables_of_constants() -> None:
    text = kernel_text(
        """
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd9, %r1, 4;
    add.s64 %rd11, %rd0, %rd9;
    mov.u64 %rd12, table;
    cvta.const.u64 %rd13, %rd12;
    add.s64 %rd14, %rd12, %rd9;
    ld.const.u32 %r2, [%rd14];
    st.global.u32 [%rd11], %r2;
    """,
        1,
    )
    text = text.replace(
        ".visible .entry",
        ".const .align 4 .b8 table[12] = {1,0,0,0,2,1,0,0,255,255,255,255};\n.visible .entry",
    )
    (found,), observer = run(text, [12], 3)
    np.testing.assert_array_equal(found.view(np.uint32), [1, 258, 2**32 - 1])
    assert observer.findings == []


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("tid.x", [0, 1, 0, 1] * 3),
        ("tid.y", [0, 0, 1, 1] * 3),
        ("ctaid.x", [0] * 4 + [1] * 4 + [2] * 4),
        ("ntid.y", [2] * 12),
        ("nctaid.x", [3] * 12),
        ("laneid", [0, 1, 2, 3] * 3),
    ],
)
def test_special_registers(name: str, wanted: list[int]) -> None:
    body = f"""
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %tid.y;
    mov.u32 %r3, %ctaid.x;
    mad.lo.s32 %r4, %r2, 2, %r1;
    mad.lo.s32 %r4, %r3, 4, %r4;
    mul.wide.u32 %rd9, %r4, 4;
    add.s64 %rd11, %rd0, %rd9;
    mov.u32 %r5, %{name};
    membar.cta;
    st.global.u32 [%rd11], %r5;
    """
    (found,), observer = run(kernel_text(body, 1), [48], (2, 2), 3)
    np.testing.assert_array_equal(found.view(np.uint32), wanted)
    assert observer.findings == []
