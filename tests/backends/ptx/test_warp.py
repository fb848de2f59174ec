"""What the threads of a warp do together: shuffles, votes, products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.ptx import kernel_text, kinds, run

from tinygrad_mnist.backends.ptx.types import PtxError

ALL = 0xFFFFFFFF
# %rd10: this thread's word of array 0; %rd11 and %rd12: of arrays 1 and 2. %r2: the value there.
PLACES = """
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd9, %r1, 4;
  add.s64 %rd10, %rd0, %rd9;
  add.s64 %rd11, %rd1, %rd9;
  add.s64 %rd12, %rd2, %rd9;
  ld.global.u32 %r2, [%rd10];
"""


def source(how: str, lane: int, by: int, limits: int) -> tuple[int, bool]:
    """The lane that is read, and the predicate: section 9.7.9.6 of the manual, line by line."""
    clamp, segment = limits & 31, limits >> 8 & 31
    last = (lane & segment) | (clamp & ~segment & 31)
    first = lane & segment
    if how == "up":
        j = lane - by
        inside = j >= last
    elif how == "down":
        j = lane + by
        inside = j <= last
    elif how == "bfly":
        j = lane ^ by
        inside = j <= last
    else:
        j = first | (by & ~segment & 31)
        inside = j <= last
    return (j, True) if inside else (lane, False)


@pytest.mark.parametrize("limits", [0x1F, 0x0, 0x181F, 0x1800, 0x1C1F, 0x100F])
@pytest.mark.parametrize("by", [0, 1, 5, 16, 31])
@pytest.mark.parametrize("how", ["up", "down", "bfly", "idx"])
def test_shuffles(how: str, by: int, limits: int) -> None:
    """Two warps, whose values don't mix."""
    body = (
        PLACES
        + f"""
    shfl.sync.{how}.b32 %r3|%p1, %r2, {by}, {limits}, {ALL};
    selp.b32 %r4, 1, 0, %p1;
    st.global.u32 [%rd11], %r3;
    st.global.u32 [%rd12], %r4;
    """
    )
    values = np.arange(64, dtype=np.uint32) * 7
    (_, found, inside), observer = run(kernel_text(body, 3), [values, 256, 256], 64, inputs=1)
    wanted = [source(how, t % 32, by, limits) for t in range(64)]
    lanes = [32 * (t // 32) + lane for t, (lane, _) in enumerate(wanted)]
    np.testing.assert_array_equal(found.view(np.uint32), values[lanes])
    np.testing.assert_array_equal(inside.view(np.uint32), [is_inside for _, is_inside in wanted])
    assert observer.findings == []


def test_each_thread_may_read_another_lane() -> None:
    body = (
        PLACES
        + f"""
    xor.b32 %r5, %r1, 3;
    shfl.sync.idx.b32 %r3, %r2, %r5, 31, {ALL};
    st.global.u32 [%rd11], %r3;
    """
    )
    values = np.arange(32, dtype=np.uint32) + 100
    (_, found, _), observer = run(kernel_text(body, 3), [values, 128, 128], 32, inputs=1)
    np.testing.assert_array_equal(found.view(np.uint32), values[np.arange(32) ^ 3])
    assert observer.findings == []


def test_a_sum_over_a_warp() -> None:
    body = PLACES + "mov.b32 %f1, %r2;\n"
    for by in (16, 8, 4, 2, 1):
        body += f"mov.b32 %r3, %f1;\n shfl.sync.bfly.b32 %r4, %r3, {by}, 31, {ALL};\n"
        body += "mov.b32 %f2, %r4;\n add.f32 %f1, %f1, %f2;\n"
    body += "st.global.f32 [%rd11], %f1;"
    values = np.random.default_rng(0).random(64, np.float32)
    (_, found, _), observer = run(kernel_text(body, 3), [values, 256, 256], 64, inputs=1)
    lanes = values.reshape(2, 32)
    for by in (16, 8, 4, 2, 1):
        lanes = lanes + lanes[:, np.arange(32) ^ by]
    np.testing.assert_array_equal(found.view(np.float32), lanes.reshape(-1))
    assert observer.findings == []


@pytest.mark.parametrize("mask", [ALL, 0xFFFF])
def test_a_shuffle_of_some_threads(mask: int) -> None:
    """The upper half has left: a mask that names it waits for it in vain, and to read there is
    wrong under any mask."""
    body = (
        PLACES
        + f"""
    setp.ge.u32 %p1, %r1, 16;
    @%p1 bra $END;
    shfl.sync.{{how}}.b32 %r3, %r2, {{by}}, 31, {mask};
    st.global.u32 [%rd11], %r3;
  $END:
    """
    )
    values = np.arange(32, dtype=np.uint32)
    for how, by, is_right in (("bfly", 8, True), ("bfly", 16, False), ("down", 1, False)):
        text = kernel_text(body.format(how=how, by=by), 3)
        (_, found, _), observer = run(text, [values, 128, 128], 32, inputs=1)
        assert kinds(observer) == ([] if is_right and mask == 0xFFFF else ["warp"])
        if is_right:
            np.testing.assert_array_equal(found[:64].view(np.uint32), np.arange(16) ^ 8)


VOTES = {
    "all": lambda votes: all(votes),
    "any": lambda votes: any(votes),
    "uni": lambda votes: len(set(votes)) == 1,
}


@pytest.mark.parametrize("least", [0, 1, 20, 40, 1000])
@pytest.mark.parametrize("how", VOTES)
def test_votes(how: str, least: int) -> None:
    """Of 48 threads: the second warp is half as large."""
    body = (
        PLACES
        + f"""
    setp.ge.u32 %p1, %r2, {least};
    vote.sync.{how}.pred %p3, %p1, {ALL};
    selp.b32 %r4, 1, 0, %p3;
    st.global.u32 [%rd11], %r4;
    """
    )
    values = np.arange(48, dtype=np.uint32)
    (_, found, _), observer = run(kernel_text(body, 3), [values, 192, 192], 48, inputs=1)
    votes = [list(values[:32] >= least), list(values[32:] >= least)]
    wanted = [VOTES[how](votes[t // 32]) for t in range(48)]
    np.testing.assert_array_equal(found.view(np.uint32), wanted)
    assert observer.findings == []


def test_ballots() -> None:
    body = (
        PLACES
        + f"""
    and.b32 %r3, %r2, 1;
    setp.ne.u32 %p1, %r3, 0;
    vote.sync.ballot.b32 %r4, %p1, {ALL};
    st.global.u32 [%rd11], %r4;
    """
    )
    values = np.random.default_rng(1).integers(0, 100, 64).astype(np.uint32)
    (_, found, _), observer = run(kernel_text(body, 3), [values, 256, 256], 64, inputs=1)
    ballots = [sum(int(v & 1) << k for k, v in enumerate(part)) for part in values.reshape(2, 32)]
    np.testing.assert_array_equal(found.view(np.uint32), np.repeat(np.uint32(ballots), 32))
    assert observer.findings == []


def test_which_threads_are_active() -> None:
    body = (
        PLACES
        + """
    setp.lt.u32 %p1, %r1, 5;
    mov.u32 %r4, 0;
    @!%p1 bra $END;
    activemask.b32 %r4;
  $END:
    st.global.u32 [%rd11], %r4;
    """
    )
    (_, found, _), observer = run(
        kernel_text(body, 3), [np.zeros(32, np.uint32), 128, 128], 32, inputs=1
    )
    np.testing.assert_array_equal(found.view(np.uint32), [31] * 5 + [0] * 27)
    assert observer.findings == []


# --- products of matrices -------------------------------------------------------------------------


def multiplied(k: int, a: Any, b: Any, c: Any, guard: str = "") -> tuple[Any, Any]:
    """a (16, k) times b (k, 8) plus c (16, 8) by one warp, whose lanes have the elements as
    section 9.7.14.5 of the manual says; and the findings."""
    lanes = np.arange(32)
    group, member = lanes // 4, lanes % 4
    parts_a = [a[group + 8 * (n % 2), member + 4 * (n // 2)] for n in range(k // 2)]
    parts_b = [b[member + 4 * n, group] for n in range(k // 4)]
    parts_c = [c[group + 8 * (n // 2), 2 * member + n % 2] for n in range(4)]
    arrays = [np.stack(p, 1).astype(np.float32) for p in (parts_a, parts_b, parts_c)]
    body = "mov.u32 %r1, %tid.x;\n"
    names = []
    for number, (array, letter) in enumerate(zip(arrays, ("r2", "r3", "f"), strict=True)):
        n = array.shape[1]
        body += f"mul.wide.u32 %rd9, %r1, {4 * n};\n add.s64 %rd10, %rd{number}, %rd9;\n"
        names.append([f"%{letter}{m}" for m in range(n)])
        for m, name in enumerate(names[-1]):
            body += f"ld.global.{'f32' if letter == 'f' else 'b32'} {name}, [%rd10+{4 * m}];\n"
    form = f"mma.sync.aligned.m16n8k{k}.row.col.f32.tf32.tf32.f32"
    listed = ", ".join("{" + ", ".join(n) + "}" for n in names)
    body += f"{guard}\n {form} {{%f10, %f11, %f12, %f13}}, {listed};\n"
    body += "mul.wide.u32 %rd9, %r1, 16;\n add.s64 %rd10, %rd3, %rd9;\n"
    body += "st.global.v4.f32 [%rd10], {%f10, %f11, %f12, %f13};\n$END:\n"
    (*_, found), observer = run(kernel_text(body, 4), [*arrays, 512], 32, inputs=3)
    result = np.empty((16, 8), np.float32)
    for n in range(4):
        result[group + 8 * (n // 2), 2 * member + n % 2] = found.view(np.float32).reshape(32, 4)[
            :, n
        ]
    return result, observer


@pytest.mark.parametrize("k", [4, 8])
def test_products_of_matrices(k: int) -> None:
    rng = np.random.default_rng(k)
    a, b = (rng.integers(-9, 10, s).astype(np.float32) for s in ((16, k), (k, 8)))
    c = rng.integers(-99, 100, (16, 8)).astype(np.float32)
    result, observer = multiplied(k, a, b, c)
    np.testing.assert_array_equal(result, a @ b + c)
    assert observer.findings == []


def test_factors_have_ten_bits() -> None:
    """The low 13 bits of a factor don't count; the product of the rest is exact."""
    rng = np.random.default_rng(3)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((16, 8), (8, 8)))
    cut = [(x.view(np.uint32) & 0xFFFFE000).view(np.float32).astype(np.float64) for x in (a, b)]
    result, _ = multiplied(8, a, b, np.zeros((16, 8)))
    np.testing.assert_array_equal(result, (cut[0] @ cut[1]).astype(np.float32))
    assert (result != a @ b).any()


def test_products_of_what_is_not_finite() -> None:
    a, b = np.ones((16, 8)), np.ones((8, 8))
    a[3, 2], b[5, 6] = np.inf, np.nan
    result, observer = multiplied(8, a, b, np.zeros((16, 8)))
    wanted = np.full((16, 8), 8.0)
    wanted[3], wanted[:, 6] = np.inf, np.nan
    np.testing.assert_array_equal(result, wanted)
    assert observer.findings == []


def test_a_product_without_a_part_of_the_warp() -> None:
    guard = "setp.eq.u32 %p1, %r1, 9;\n @%p1 bra $END;"
    _, observer = multiplied(8, np.ones((16, 8)), np.ones((8, 8)), np.zeros((16, 8)), guard)
    assert kinds(observer) == ["warp"]


@pytest.mark.parametrize(
    "line",
    [
        "shfl.up.b32 %r3, %r1, 1, 0;",
        "vote.all.pred %p1, %p2;",
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1}, {%r1}, {%r2}, {%f2};",
    ],
)
def test_forms_that_are_lacking(line: str) -> None:
    with pytest.raises(PtxError, match="this machine has no"):
        run(kernel_text(line, 1), [4], 32)
