"""Counts of small kernels that are known."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.ptx import kernel_text, memory_of

from tinygrad_mnist.backends.ptx import machine
from tinygrad_mnist.backends.ptx.classes import CLASSES
from tinygrad_mnist.backends.ptx.count import Counter, Counts, count
from tinygrad_mnist.backends.ptx.machine import Kernel, Shape, launch
from tinygrad_mnist.backends.ptx.memory import Window, operand_window
from tinygrad_mnist.backends.ptx.types import PtxError


def arguments(
    body: str, threads: int, blocks: int
) -> tuple[Kernel, Shape, list[int], list[Window]]:
    memory = memory_of(np.zeros(4096, np.float32))
    window = operand_window(0, "array", memory, 0, (0, memory.nbytes))
    shape = Shape((blocks, 1, 1), (threads, 1, 1))
    return Kernel(kernel_text(body, 1)), shape, [window.base], [window]


def counted(body: str, threads: int = 64, blocks: int = 2) -> Counts:
    return count(*arguments(body, threads, blocks))


def of_classes(counts: Counts) -> dict[str, int]:
    return {name: n for name, n in counts.by_class.items() if n}


def test_instructions_by_class() -> None:
    body = """
      mov.u32 %r1, %tid.x;
      mul.wide.u32 %rd1, %r1, 4;
      add.s64 %rd2, %rd0, %rd1;
      ld.global.f32 %f1, [%rd2];
      fma.rn.f32 %f2, %f1, %f1, %f1;
      add.f32 %f3, %f2, %f1;
      ex2.approx.f32 %f4, %f3;
      cvt.f64.f32 %fd1, %f4;
      mul.f64 %fd2, %fd1, %fd1;
      setp.lt.f64 %p1, %fd2, %fd1;
      selp.f32 %f5, %f1, %f2, %p1;
      bar.sync 0;
      st.global.f32 [%rd2], %f5;
      ret;
    """
    counts = counted(body)
    warps = 2 * 2
    per_warp = {
        **{"fma": 1, "float": 1, "special": 1, "double": 1, "integer": 2, "compare": 1},
        **{"convert": 1, "move": 3, "load global": 1, "store global": 1},
        **{"barrier": 1, "branch": 1},
    }
    assert of_classes(counts) == {name: warps * n for name, n in per_warp.items()}
    assert set(per_warp) <= set(CLASSES)
    assert counts.instructions == warps * sum(per_warp.values())
    assert counts.share("fma", "float") == pytest.approx(2 / sum(per_warp.values()))
    assert counts.active_threads == 32
    assert counts.barriers == 1
    assert counts.divergent == 0


PARTING = """
  mov.u32 %r1, %tid.x;
  setp.lt.u32 %p1, %r1, {few};
  @%p1 bra $FEW;
  add.s32 %r2, %r1, 1;
  add.s32 %r2, %r2, 1;
  bra.uni $BEHIND;
$FEW:
  sub.s32 %r2, %r1, 1;
$BEHIND:
  xor.b32 %r3, %r2, 1;
  ret;
"""


@pytest.mark.parametrize(
    ("few", "parting", "both", "only_many", "only_few"),
    [(8, 1, 1, 1, 0), (40, 1, 1, 0, 1), (32, 0, 0, 1, 1), (0, 0, 0, 2, 0), (64, 0, 0, 0, 2)],
)
def test_branches_at_which_warps_part(
    few: int, parting: int, both: int, only_many: int, only_few: int
) -> None:
    """Two warps; one that parts runs both sides, one after the other."""
    counts = counted(PARTING.format(few=few), 64, 1)
    assert counts.divergent == parting
    many, fewer = both + only_many, both + only_few
    assert counts.by_class["integer"] == 2 * many + fewer + 2
    assert counts.by_class["branch"] == 2 + many + 2
    assert counts.thread_instructions == 64 * 6 + (64 - few) * 3 + few


def test_a_guard_is_no_branch() -> None:
    """All threads meet an instruction with a guard; those for which it is false do nothing."""
    body = """
      mov.u32 %r1, %tid.x;
      setp.lt.u32 %p1, %r1, 8;
      @%p1 st.global.u32 [%rd0], %r1;
      ret;
    """
    counts = counted(body, 64, 1)
    assert counts.divergent == 0
    assert of_classes(counts) == {
        **{"move": 2 * 2, "compare": 2, "store global": 2, "branch": 2},
    }
    assert counts.total("global") == (1, 1, 1)  # the second warp asks for nothing
    assert counts.thread_instructions == 64 * 4 + 8


def test_threads_that_have_ended() -> None:
    body = """
      mov.u32 %r1, %tid.x;
      setp.ge.u32 %p1, %r1, 16;
      @%p1 ret;
      add.s32 %r2, %r1, 1;
      add.s32 %r2, %r2, 1;
      ret;
    """
    counts = counted(body, 64, 1)
    assert counts.by_class["integer"] == 2  # of the first warp alone
    assert counts.by_class["branch"] == 2 + 1
    assert counts.active_threads == pytest.approx((64 * 3 + 48 + 16 * 3) / counts.instructions)


LOOP = """
  mov.u32 %r1, %tid.x;
  shr.u32 %r2, %r1, 5;
  add.s32 %r2, %r2, 1;
  mov.u32 %r3, 0;
$LOOP:
  add.s32 %r3, %r3, 1;
  setp.lt.u32 %p1, %r3, %r2;
  @%p1 bra $LOOP;
  ret;
"""


def test_the_trace_is_that_of_the_longest_warp() -> None:
    """Warp w runs the loop w + 1 times."""
    counts = counted(LOOP, 128, 3)
    assert counts.trace == [0, 1, 1, 1, 1, 2]
    assert counts.by_class["compare"] == 3 * (1 + 2 + 3 + 4)
    assert counts.divergent == 0


@pytest.mark.parametrize("blocks", [2, 3, 4, 5, 50, 1000])
def test_large_launches_are_sampled_evenly(blocks: int) -> None:
    kernel, shape, parameters, windows = arguments(LOOP, 64, blocks)
    counter = Counter(kernel, most_threads=4 * 64)
    chosen = counter.watched(blocks, 64)
    assert len(chosen) == min(blocks, 4)
    assert {0, blocks - 1} <= set(chosen.tolist())
    steps = np.diff(chosen)
    assert steps.min() >= 1
    assert steps.max() - steps.min() <= 1
    launch(kernel, shape, parameters, windows, counter)
    counts = counter.counts(shape)
    assert counts.is_sampled == (blocks > 4)
    assert counts.counted == min(blocks, 4)
    assert counts.by_class["compare"] == blocks * 3  # all blocks do the same
    assert counts.barriers == 0


def test_sampled_launches_run_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks that are not counted run too, each once, and know their numbers."""
    body = """
      mov.u32 %r1, %ctaid.x;
      mov.u32 %r4, %ctaid.y;
      mov.u32 %r5, %nctaid.x;
      mad.lo.s32 %r1, %r4, %r5, %r1;
      mul.wide.u32 %rd1, %r1, 4;
      add.s64 %rd2, %rd0, %rd1;
      ld.global.u32 %r2, [%rd2];
      add.s32 %r3, %r2, %r1;
      st.global.u32 [%rd2], %r3;
      ret;
    """
    monkeypatch.setattr(machine, "THREADS_AT_ONCE", 8)
    kernel, _, parameters, windows = arguments(body, 1, 1)
    launch(kernel, Shape((10, 4, 1), (1, 1, 1)), parameters, windows, Counter(kernel, 7))
    values = windows[0].allocation.data.view(np.uint32)[:41]
    np.testing.assert_array_equal(values, [*range(40), 0])


def test_an_access_outside_of_an_operand_is_an_error() -> None:
    body = "ld.global.f32 %f1, [%rd0+16384];\n st.global.f32 [%rd0], %f1;\n ret;"
    with pytest.raises(PtxError, match="accesses 4 bytes from byte 16384 of array on"):
        counted(body)


def test_what_blocks_fetch() -> None:
    """Two warps of a block read the same sectors; the second time, the cache has them."""
    body = """
      mov.u32 %r1, %tid.x;
      and.b32 %r2, %r1, 31;
      mul.wide.u32 %rd1, %r2, 4;
      add.s64 %rd2, %rd0, %rd1;
      ld.global.f32 %f1, [%rd2];
      ld.global.f32 %f2, [%rd2];
      st.global.f32 [%rd2+4096], %f2;
      st.global.f32 [%rd2+4096], %f1;
      ret;
    """
    counts = counted(body, 64, 3)
    assert counts.total("global", "ld").units == 3 * 2 * 2 * 4
    assert counts.fetched == 3 * 4
