"""Sectors, wavefronts and bank conflicts of accesses whose counts are known, as PTX."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.ptx import kernel_text, memory_of
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist.backends.ptx import requests
from tinygrad_mnist.backends.ptx.count import Counts, count
from tinygrad_mnist.backends.ptx.machine import Kernel, Shape
from tinygrad_mnist.backends.ptx.memory import operand_window

TILE = "  .shared .align 16 .b8 tile[16384];\n"
TYPES = {1: "u8", 4: "f32", 8: "v2.f32", 16: "v4.f32"}
VALUES = {1: "%r9", 4: "%f1", 8: "{%f1, %f2}", 16: "{%f1, %f2, %f3, %f4}"}


TWO_ON = "mad.lo.s32 %r2, %r4, 2, %r3;\n shl.b32 %r2, %r2, 3;"  # the address two threads on


def counted(body: str, variables: str = "", threads: int = 32, blocks: int = 1) -> Counts:
    memory = memory_of(np.zeros(1 << 16, np.uint8))
    window = operand_window(0, "array", memory, 0, (0, memory.nbytes))
    shape = Shape((blocks, 1, 1), (threads, 1, 1))
    return count(Kernel(kernel_text(body, 1, variables)), shape, [window.base], [window])


def access(space: str, width: int, index: str, loads: bool = True) -> str:
    """A request at byte `index` (code for %r2 that has %r1, the thread's number)."""
    base = "mov.u64 %rd2, tile;" if space == "shared" else "mov.u64 %rd2, %rd0;"
    place, values = "[%rd4]", VALUES[width]
    operands = f"{values}, {place}" if loads else f"{place}, {values}"
    name = "ld" if loads else "st"
    return f"""
      mov.u32 %r1, %tid.x;
      mov.u32 %r9, 0;
      mov.f32 %f1, 0f00000000; mov.f32 %f2, %f1; mov.f32 %f3, %f1; mov.f32 %f4, %f1;
      {index}
      cvt.u64.u32 %rd3, %r2;
      {base}
      add.s64 %rd4, %rd2, %rd3;
      {name}.{space}.{TYPES[width]} {operands};
      ret;
    """


def times(n: int, plus: int = 0) -> str:
    return f"mad.lo.s32 %r2, %r1, {n}, {plus};"


@pytest.mark.parametrize("loads", [True, False])
@pytest.mark.parametrize(
    ("width", "index", "sectors", "least"),
    [
        (4, times(4), 4, 4),  # adjacent
        (4, times(8), 8, 4),  # every second one
        (4, times(128), 32, 4),  # every 32nd one
        (4, times(0), 1, 1),  # one for all
        (4, times(4, 16), 5, 4),  # begins within a sector
        (4, times(4, 32), 4, 4),
        (4, "xor.b32 %r3, %r1, 31;\n shl.b32 %r2, %r3, 2;", 4, 4),  # in reverse
        (4, "shr.u32 %r3, %r1, 3;\n shl.b32 %r2, %r3, 2;", 1, 1),  # eight threads an element
        (1, times(1), 1, 1),
        (1, times(1, 1), 2, 1),
        (8, times(8), 8, 8),
        (8, times(8, 8), 9, 8),
        (16, times(16), 16, 16),
        (16, times(16, 16), 17, 16),
        (16, times(64), 32, 16),
        (16, times(0), 1, 1),
    ],
)
def test_sectors(width: int, index: str, sectors: int, least: int, loads: bool) -> None:
    counts = counted(access("global", width, index, loads), threads=64, blocks=2)
    total = counts.total("global", "ld" if loads else "st")
    # The second warp begins 32 elements further on, at the same place in a sector.
    assert total == (4, 4 * sectors, 4 * least)
    assert counts.total("shared") == (0, 0, 0)
    assert total.per_request == sectors


@pytest.mark.parametrize(
    ("width", "index", "loads", "stores"),
    [
        # wavefronts and conflicts
        (4, times(4), (1, 0), (1, 0)),
        (4, times(0), (1, 0), (1, 0)),  # one word for all
        (4, times(8), (2, 1), (2, 1)),
        (4, times(12), (1, 0), (1, 0)),  # odd strides meet all banks
        (4, times(16), (4, 3), (4, 3)),
        (4, times(128), (32, 31), (32, 31)),
        (4, times(132), (1, 0), (1, 0)),  # a row of padding
        (1, times(1), (1, 0), (1, 0)),
        (1, times(128), (32, 31), (32, 31)),
        (8, times(8), (2, 0), (2, 0)),
        (8, times(16), (4, 2), (4, 2)),
        (8, times(0), (1, 0), (2, 0)),
        (8, "shr.u32 %r3, %r1, 1;\n shl.b32 %r2, %r3, 3;", (1, 0), (2, 0)),  # pairs of threads
        (16, times(16), (4, 0), (4, 0)),
        (16, times(32), (8, 4), (8, 4)),
        (16, times(128), (32, 28), (32, 28)),
        (16, times(0), (2, 0), (4, 0)),
        (8, f"and.b32 %r3, %r1, 1;\n shr.u32 %r4, %r1, 2;\n {TWO_ON}", (1, 0), (2, 0)),
        # Merged phases would have conflicts.
        (16, "and.b32 %r3, %r1, 29;\n shl.b32 %r2, %r3, 4;", (4, 0), (4, 0)),
    ],
)
def test_wavefronts(
    width: int, index: str, loads: tuple[int, int], stores: tuple[int, int]
) -> None:
    for name, expected in (("ld", loads), ("st", stores)):
        total = counted(access("shared", width, index, name == "ld"), TILE).total("shared", name)
        assert (total.units, total.excess) == expected, name


@pytest.mark.parametrize("threads", [1, 7, 32, 33, 48])
def test_warps_that_are_not_full(threads: int) -> None:
    wide = counted(access("global", 4, times(4)), threads=threads, blocks=3).total("global")
    assert wide == (3 * -(-threads // 32), 3 * -(-threads // 8), 3 * -(-threads // 8))
    body = access("shared", 4, times(4, 64))
    shared = counted(body, TILE, threads=threads, blocks=3).total("shared")
    assert shared == (3 * -(-threads // 32),) * 3


def test_threads_that_take_no_part_cost_nothing() -> None:
    """The first half of the warp: one phase of two, and of four."""
    half = "setp.ge.u32 %p1, %r1, 16;\n @%p1 ret;\n"
    for width, phases in ((4, 1), (8, 1), (16, 2)):
        body = access("shared", width, times(width)).replace("cvt.u64", half + "cvt.u64")
        assert counted(body, TILE).total("shared") == (1, phases, phases)


def slow_wavefronts(addresses: list[int], width: int) -> int:
    """Phase by phase, bank by bank: without loads' pairs of neighbours."""
    n = max(1, width // 4)
    found = 0
    for phase in range(n):
        banks: dict[int, set[int]] = {}
        for address in addresses[phase * 32 // n : (phase + 1) * 32 // n]:
            for word in range(address // 4, address // 4 + n):
                banks.setdefault(word % 32, set()).add(word)
        found += max(map(len, banks.values()))
    return found


@given(st.lists(st.integers(0, 255), min_size=32, max_size=32), st.sampled_from([1, 4, 8, 16]))
def test_against_one_address_after_the_other(places: list[int], width: int) -> None:
    addresses = [place * width for place in places]
    table, active = np.array([addresses]), np.ones((1, 32), bool)
    waves, _ = requests.wavefronts(table, active, width, loads=False)
    assert waves[0] == slow_wavefronts(addresses, width)
    sectors, least, _ = requests.sectors(table, width)
    assert sectors[0] == len({address // 32 for address in addresses})
    assert least[0] == -(-len(set(addresses)) * width // 32)
