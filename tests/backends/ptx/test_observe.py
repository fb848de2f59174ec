"""What the machine finds wrong in small kernels, and in these alone."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.ptx import kernel_text, kinds, memory_of, run

FLOATS = np.arange(64, dtype=np.float32)
# %rd10: the address of this thread's element of array 0; %rd11: of array 1.
PLACES = """
  mov.u32 %r1, %tid.x;
  mov.u32 %r2, %ctaid.x;
  mov.u32 %r3, %ntid.x;
  mad.lo.s32 %r4, %r2, %r3, %r1;
  mul.wide.u32 %rd9, %r4, 4;
  add.s64 %rd10, %rd0, %rd9;
  add.s64 %rd11, %rd1, %rd9;
"""
COPY = PLACES + "ld.global.f32 %f1, [%rd10{shift}];\n st.global.f32 [%rd11], %f1;\n ret;"


def test_a_copy_has_nothing_wrong() -> None:
    (_, result), observer = run(kernel_text(COPY.format(shift=""), 2), [FLOATS, 256], 32, 2, 1)
    np.testing.assert_array_equal(result.view(np.float32), FLOATS)
    assert observer.findings == []


@pytest.mark.parametrize(
    ("shift", "block", "thread"), [("+4", 1, 31), ("-4", 0, 0), ("+400", 0, 0)]
)
def test_accesses_outside_of_an_operand(shift: str, block: int, thread: int) -> None:
    text = kernel_text(COPY.format(shift=shift), 2)
    _, observer = run(text, [FLOATS, 256], 32, 2, 1)
    [finding] = observer.findings
    assert finding.kind == "outside"
    assert finding.block == (block, 0, 0)
    assert finding.thread == (thread, 0, 0)
    assert finding.instruction.opcode == ("ld", "global", "f32")
    assert "of array 0 on, which has 256" in finding.text


def test_an_operand_ends_before_its_memory_does() -> None:
    """Also where another operand follows in the same block of memory."""
    text = kernel_text(COPY.format(shift=""), 2)
    _, observer = run(text, [FLOATS[:63].copy(), 256], 32, 2, 1)
    assert kinds(observer) == ["outside"]


def test_misaligned_vectors() -> None:
    body = PLACES + "ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd0+8];\n st.global.f32 [%rd11], %f1;"
    _, observer = run(kernel_text(body, 2), [FLOATS, 256], 32, 2, 1)
    assert kinds(observer) == ["misaligned"]


def test_writes_to_an_input() -> None:
    body = PLACES + "mov.f32 %f1, 0f00000000;\n st.global.f32 [%rd10], %f1;"
    (values, _), observer = run(kernel_text(body, 2), [FLOATS, 256], 32, 2, 1)
    assert kinds(observer) == ["write"]
    np.testing.assert_array_equal(values, FLOATS)


def test_memory_that_nothing_has_written() -> None:
    _, observer = run(kernel_text(COPY.format(shift=""), 2), [256, 256], 32, 2, 1)
    [finding] = observer.findings
    assert finding.kind == "unwritten"
    assert finding.times == 64


@pytest.mark.parametrize(("used", "found"), [("%f1", []), ("%f2", ["unwritten"])])
def test_elements_of_a_vector_that_nothing_uses_may_be_unwritten(
    used: str, found: list[str]
) -> None:
    body = f"ld.global.v2.f32 {{%f1, %f2}}, [%rd0];\n st.global.f32 [%rd1], {used};"
    memory = memory_of(np.array([1, 2], np.float32))
    assert memory.written is not None
    memory.written[4:8] = False
    _, observer = run(kernel_text(body, 2), [memory, 4], 1, 1, 1)
    assert kinds(observer) == found


SHARED = """
  .shared .align 16 .b8 tile[256];
"""
REVERSED = """
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd9, %r1, 4;
  add.s64 %rd10, %rd0, %rd9;
  add.s64 %rd11, %rd1, %rd9;
  mov.u64 %rd12, tile;
  add.s64 %rd13, %rd12, %rd9;
  ld.global.f32 %f1, [%rd10];
  st.shared.f32 [%rd13], %f1;
  {barrier}
  mov.u32 %r2, %ntid.x;
  sub.s32 %r3, %r2, %r1;
  mul.wide.u32 %rd14, %r3, 4;
  add.s64 %rd15, %rd12, %rd14;
  ld.shared.f32 %f2, [%rd15+-4];
  st.global.f32 [%rd11], %f2;
"""


def test_a_barrier_orders_accesses_of_shared_memory() -> None:
    text = kernel_text(REVERSED.format(barrier="bar.sync 0;"), 2, SHARED)
    (_, result), observer = run(text, [FLOATS, 256], 64, inputs=1)
    np.testing.assert_array_equal(result.view(np.float32), FLOATS[::-1])
    assert observer.findings == []


def test_a_barrier_that_is_missing() -> None:
    """The values are right all the same."""
    text = kernel_text(REVERSED.format(barrier=""), 2, SHARED)
    (_, result), observer = run(text, [FLOATS, 256], 64, inputs=1)
    np.testing.assert_array_equal(result.view(np.float32), FLOATS[::-1])
    [finding] = observer.findings
    assert finding.kind == "race"
    assert finding.instruction.opcode == ("ld", "shared", "f32")
    assert "thread (63, 0, 0) of block (0, 0, 0)" in finding.text


def test_a_write_over_what_another_thread_has_read() -> None:
    again = "bar.sync 0;\n ld.shared.f32 %f3, [%rd12];\n {barrier}\n st.shared.f32 [%rd13], %f2;"
    for barrier, found in (("", ["race"]), ("bar.sync 0;", [])):
        body = REVERSED.format(barrier="bar.sync 0;") + again.format(barrier=barrier)
        body += "\n add.f32 %f3, %f3, %f3;"
        body += "\n add.f32 %f4, %f3, %f3;\n st.global.f32 [%rd11], %f4;"
        _, observer = run(kernel_text(body, 2, SHARED), [FLOATS, 256], 64, inputs=1)
        assert kinds(observer) == found


@pytest.mark.parametrize(
    ("value", "found"), [("%r1", ["race"]), ("7", ["same value"])], ids=["different", "same"]
)
def test_threads_that_write_one_word(value: str, found: list[str]) -> None:
    body = f"mov.u32 %r1, %tid.x;\n mov.u32 %r2, {value};\n st.global.u32 [%rd0], %r2;"
    _, observer = run(kernel_text(body, 1), [np.zeros(1, np.uint32)], 32)
    assert kinds(observer) == found
    assert (observer.faults == []) == (found == ["same value"])


def test_the_same_value_over_another_one_is_a_race() -> None:
    body = """
    mov.u32 %r1, %tid.x;
    setp.ne.u32 %p1, %r1, 0;
    mov.u32 %r2, 1;
    @!%p1 st.global.u32 [%rd0], %r1;
    {barrier}
    st.global.u32 [%rd0], %r2;
    """
    for barrier, found in (("", ["race", "same value"]), ("bar.sync 0;", ["same value"])):
        text = kernel_text(body.format(barrier=barrier), 1)
        _, observer = run(text, [np.full(1, 7, np.uint32)], 32)
        assert set(kinds(observer)) <= set(found)
        assert "race" in kinds(observer) or barrier


def test_blocks_that_write_one_word() -> None:
    body = """
    mov.u32 %r1, %tid.x;
    mov.u32 %r2, %ctaid.x;
    mul.wide.u32 %rd9, %r1, 4;
    add.s64 %rd10, %rd0, %rd9;
    {barrier}
    st.global.u32 [%rd10], %r2;
    """
    for barrier in ("", "bar.sync 0;"):
        text = kernel_text(body.format(barrier=barrier), 1)
        for blocks, found in ((1, []), (2, ["race"])):
            _, observer = run(text, [np.zeros(32, np.uint32)], 32, blocks)
            assert kinds(observer) == found


@pytest.mark.parametrize(("used", "found"), [("0", ["idle read"]), ("%f2", ["race"])])
def test_reads_of_what_another_thread_updates(used: str, found: list[str]) -> None:
    """The last thread reads what the first one writes; and uses it, or not."""
    body = f"""
    mov.u32 %r1, %tid.x;
    rem.u32 %r2, %r1, 31;
    mul.wide.u32 %rd9, %r2, 4;
    add.s64 %rd10, %rd0, %rd9;
    ld.global.f32 %f1, [%rd10];
    mov.f32 %f2, 0f3F800000;
    setp.lt.u32 %p1, %r1, 31;
    selp.f32 %f2, %f2, %f1, %p1;
    @!%p1 mul.f32 %f2, %f2, {"%f2" if used == "%f2" else "0f3F800000"};
    mul.wide.u32 %rd11, %r1, 4;
    add.s64 %rd12, %rd0, %rd11;
    selp.f32 %f3, %f2, 0f40000000, %p1;
    {"mov.f32 %f3, %f2;" if used == "%f2" else ""}
    st.global.f32 [%rd12], %f3;
    """
    (_,), observer = run(kernel_text(body, 1), [np.ones(32, np.float32)], 32)
    assert kinds(observer) == found


IDLE = {  # what becomes of a read of shared memory: whether the result can depend on it
    "nothing": ("mov.f32 %f2, 0f3F800000;", True),
    "a selection of another": ("selp.f32 %f2, 0f3F800000, %f1, %p1;", True),
    "a sum": ("add.f32 %f2, %f1, 0f3F800000;", False),
    "a product with zero": ("mul.f32 %f2, %f1, 0f00000000;", False),
    "a maximum": ("max.f32 %f2, %f1, 0f3F800000;", False),
    "a minimum": ("min.f32 %f2, %f1, 0f3F800000;", False),
    "a comparison": ("setp.gt.f32 %p2, %f1, 0f3F800000; selp.f32 %f2, %f4, %f5, %p2;", False),
    "a test for zero": (
        "setp.eq.f32 %p2, %f1, 0f00000000; selp.f32 %f2, %f4, %f5, %p2;",
        False,
    ),
    "a flag": (
        "mov.b32 %r5, %f1; setp.ne.s32 %p2, %r5, 0; selp.f32 %f2, %f4, %f5, %p2;",
        False,
    ),
    "a flag of 1": (
        "mov.b32 %r5, %f1; setp.eq.s32 %p2, %r5, 1; selp.f32 %f2, %f4, %f5, %p2;",
        False,
    ),
    "its lowest bit": (
        "mov.b32 %r5, %f1; and.b32 %r5, %r5, 1; setp.eq.s32 %p2, %r5, 1;"
        " selp.f32 %f2, %f4, %f5, %p2;",
        False,
    ),
}


@pytest.mark.parametrize("use", IDLE)
@pytest.mark.parametrize("n_written", [0, 16, 32])
def test_reads_of_unwritten_shared_memory_matter_if_the_result_depends_on_them(
    use: str, n_written: int
) -> None:
    """Of some threads, or all; other threads' reads at the same place find what they should."""
    code, is_idle = IDLE[use]
    body = f"""
    mov.u32 %r1, %tid.x;
    mul.wide.u32 %rd9, %r1, 4;
    add.s64 %rd10, %rd0, %rd9;
    mov.u64 %rd12, tile;
    add.s64 %rd13, %rd12, %rd9;
    mov.f32 %f4, 0f40400000;
    mov.f32 %f5, 0f40000000;
    setp.lt.u32 %p3, %r1, {n_written};
    setp.lt.u32 %p1, %r1, 32;
    @%p3 st.shared.f32 [%rd13], %f4;
    bar.sync 0;
    ld.shared.f32 %f1, [%rd13];
    {code}
    st.global.f32 [%rd10], %f2;
    """
    _, observer = run(kernel_text(body, 1, SHARED), [4 * 32], 32)
    if n_written == 32 or "%f1" not in code:
        assert observer.findings == []
    else:
        [finding] = observer.findings
        assert finding.kind == ("idle read" if is_idle else "unwritten")
        assert finding.times == 32 - n_written


def test_unwritten_shared_memory_as_the_end_of_a_loop() -> None:
    """-1 ends it at once; the launch with a large number is stopped."""
    body = """
    mov.u64 %rd12, tile;
    ld.shared.u32 %r5, [%rd12];
    mov.u32 %r6, 0;
  $NEXT:
    add.s32 %r6, %r6, 1;
    setp.lt.s32 %p1, %r6, %r5;
    @%p1 bra $NEXT;
    mov.u32 %r7, 7;
    st.global.u32 [%rd0], %r7;
    """
    (result,), observer = run(kernel_text(body, 1, SHARED), [np.zeros(1, np.uint32)], 1)
    assert kinds(observer) == ["unwritten"]
    assert result.tolist() == [7]


def test_bytes_beside_each_other_are_no_race() -> None:
    body = """
    mov.u32 %r1, %tid.x;
    cvt.u64.u32 %rd9, %r1;
    add.s64 %rd10, %rd0, %rd9;
    st.global.u8 [%rd10], %r1;
    """
    (result,), observer = run(kernel_text(body, 1), [np.zeros(32, np.uint8)], 32)
    np.testing.assert_array_equal(result, np.arange(32))
    assert observer.findings == []


@pytest.mark.parametrize("early", ["ret;", "bra $BEHIND;", "bar.sync 0;\n bra $BEHIND;"])
def test_a_barrier_that_some_threads_do_not_reach(early: str) -> None:
    body = f"""
    mov.u32 %r1, %tid.x;
    setp.lt.u32 %p1, %r1, 8;
    @%p1 bra $FEW;
    bar.sync 0;
    bra $BEHIND;
  $FEW:
    {early}
  $BEHIND:
    mul.wide.u32 %rd9, %r1, 4;
    add.s64 %rd10, %rd0, %rd9;
    st.global.u32 [%rd10], %r1;
    """
    (result,), observer = run(kernel_text(body, 1), [np.zeros(32, np.uint32)], 32)
    assert kinds(observer) == ["divergent"]
    assert result[31] == 31


WRAPPING = """
  mov.u32 %r1, %tid.x;
  mul.lo.s32 %r2, %r1, {factor};
  add.s32 %r3, %r2, {term};
  {more}
  mul.wide.u32 %rd9, %r3, 4;
  add.s64 %rd10, %rd0, %rd9;
  mov.f32 %f1, 0f3F800000;
  st.global.f32 [%rd10], %f1;
"""


@pytest.mark.parametrize(
    ("factor", "term", "more", "found"),
    [
        (1, 0, "", []),
        (1, -1, "add.s32 %r3, %r3, 1;", []),  # the way back
        (134217728, 0, "shr.u32 %r3, %r3, 27;", []),  # fits
        (268435456, 0, "mul.lo.s32 %r3, %r3, 0;", []),
        (1, -1, "", ["outside", "overflow"]),
        (134217729, 0, "sub.s32 %r3, %r3, %r3;", []),
        (536870912, 0, "", ["outside", "overflow"]),
    ],
)
def test_indices_that_wrap_around(factor: int, term: int, more: str, found: list[str]) -> None:
    body = WRAPPING.format(factor=factor, term=term, more=more)
    _, observer = run(kernel_text(body, 1), [np.zeros(32, np.float32)], 32)
    assert [kind for kind in kinds(observer) if kind != "same value"] == found


IN_64_BITS = """
  mov.u32 %r1, %tid.x;
  add.s32 %r2, %r1, {first};
  add.s32 %r3, %r1, {second};
  cvt.u64.u32 %rd9, %r2;
  cvt.u64.u32 %rd10, %r3;
  mul.lo.s64 %rd10, %rd10, {factor};
  add.s64 %rd11, %rd9, %rd10;
  shl.b64 %rd12, %rd11, 2;
  {cut}
  add.s64 %rd13, %rd0, %rd12;
  mov.f32 %f1, 0f3F800000;
  st.global.f32 [%rd13], %f1;
"""
CUT = "and.b64 %rd12, %rd12, 17179869180;"


@pytest.mark.parametrize(
    ("first", "second", "factor", "cut", "found"),
    [
        (0, 0, 1, "", []),
        (0, 0, 1, CUT, []),
        (-1, 1, 1, CUT, []),  # tid - 1 + tid + 1
        (-4, 2, 2, CUT, []),
        (1, -1, 1, CUT, []),
        (-1, 1, 1, "", ["outside", "overflow"]),
        (-1, 0, 1, CUT, ["outside", "overflow"]),  # the sum is -1 in thread 0
        (-1, -1, 3, CUT, ["outside", "overflow"]),
        (0, -2147483648, 2, CUT, ["overflow"]),  # the sum is 3 * tid - 2**32
    ],
)
def test_sums_modulo_2_to_the_32_in_64_bits(
    first: int, second: int, factor: int, cut: str, found: list[str]
) -> None:
    body = IN_64_BITS.format(first=first, second=second, factor=factor, cut=cut)
    _, observer = run(kernel_text(body, 1), [np.zeros(160, np.float32)], 32)
    assert kinds(observer) == found


def test_an_index_that_wraps_around_within_its_operand() -> None:
    """The values are right, the bounds too: 2**31 * 2 + tid."""
    body = WRAPPING.format(factor=2147483649, term=0, more="mad.lo.s32 %r3, %r1, 2147483648, %r3;")
    (result,), observer = run(kernel_text(body, 1), [np.zeros(32, np.float32)], 32)
    np.testing.assert_array_equal(result, np.ones(32))
    assert kinds(observer) == ["overflow"]


def test_a_finding_names_lines_of_python() -> None:
    body = COPY.format(shift="+4").replace("ld.global", ".loc 1 7 0\nld.global")
    text = kernel_text(body, 2) + '.file 1 "/somewhere/kernel.py"\n'
    _, observer = run(text, [FLOATS, 256], 32, 2, 1)
    assert "ld.global.f32 in line" in str(observer.findings[0])
    assert "/somewhere/kernel.py:7" in str(observer.findings[0])
