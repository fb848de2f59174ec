"""The model of time: latencies of one warp, and the parts of an estimate."""

from __future__ import annotations

import pytest
from helpers.ptx import kernel_text

from tinygrad_mnist.backends.ptx.classes import CLASSES
from tinygrad_mnist.backends.ptx.count import Access, Counts
from tinygrad_mnist.backends.ptx.estimate import estimate
from tinygrad_mnist.backends.ptx.kernel import Kernel, Shape
from tinygrad_mnist.backends.ptx.latency import warp_cycles
from tinygrad_mnist.backends.ptx.occupancy import occupancy
from tinygrad_mnist.backends.ptx.processors import (
    BARRIER,
    BRANCH,
    LAUNCH_SECONDS,
    PROCESSORS,
    Processor,
)
from tinygrad_mnist.backends.ptx.program import Instruction

CYCLES = {"float": 4, "special": 20, "load global": 200, "load shared": 30, "move": 0}
H100 = PROCESSORS[9, 0]


def cycles(body: str, trace: list[int] | None = None) -> int:
    return warp_cycles(Kernel(kernel_text(body, 1)), trace or [0], CYCLES)


LOAD = "ld.global.f32 %f{}, [%rd0+{}];"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("add.f32 %f1, %f9, %f9;", 4),
        ("add.f32 %f1, %f9, %f9;\n add.f32 %f2, %f1, %f1;\n add.f32 %f3, %f2, %f2;", 12),
        # What doesn't wait starts a cycle later.
        ("\n".join(f"add.f32 %f{k}, %f9, %f9;" for k in range(8)), 8),
        ("ex2.approx.f32 %f1, %f9;\n add.f32 %f2, %f1, %f1;", 24),
        # Loads that don't wait for each other take no longer.
        (LOAD.format(1, 0) + "add.f32 %f2, %f1, %f1;", 204),
        ("".join(LOAD.format(k, 4 * k) for k in (1, 2)) + "add.f32 %f3, %f1, %f2;", 204),
        # Nor where the second is behind the use of the first.
        (
            LOAD.format(1, 0) + "add.f32 %f2, %f1, %f1;" + LOAD.format(3, 4)
            + "add.f32 %f4, %f3, %f3;",
            204,
        ),
        # But it waits for a store that waits for the first.
        (
            LOAD.format(1, 0) + "st.global.f32 [%rd0+8], %f1;" + LOAD.format(3, 4)
            + "add.f32 %f4, %f3, %f3;",
            200 + 204,
        ),
        # Not so if it says that nothing writes there.
        (
            LOAD.format(1, 0) + "st.global.f32 [%rd0+8], %f1;"
            + LOAD.format(3, 4).replace("global", "global.nc") + "add.f32 %f4, %f3, %f3;",
            204,
        ),
    ],
)  # fmt: skip
def test_one_block_of_code(body: str, expected: int) -> None:
    assert cycles(body) == expected


LOOP = """
  mov.u32 %r3, 0;
  mov.f32 %f1, 0f00000000;
$LOOP:
  add.f32 %f1, %f1, %f1;
  add.s32 %r3, %r3, 1;
  setp.lt.u32 %p1, %r3, 4;
  @%p1 bra $LOOP;
"""


def test_a_loop_takes_the_time_of_its_longest_chain() -> None:
    """Index, comparison, branch: they wait for each other."""
    once, twice = cycles(LOOP, [0, 1]), cycles(LOOP, [0, 1, 1])
    assert twice - once == 4 + 4 + 1 + BRANCH


def test_a_guard_takes_no_time_of_its_own() -> None:
    """Ten instructions that don't wait, one of them with a guard."""
    free = [f"add.f32 %f{k}, %f9, %f9;" for k in range(9)]
    body = "\n".join([*free[:5], "@%p1 add.f32 %f10, %f9, %f9;", *free[5:]])
    assert cycles(body, [0, 1, 2]) == 5 + 1 + 4


def test_a_barrier_takes_time() -> None:
    body = "bar.sync 0;\n add.f32 %f1, %f9, %f9;"
    assert cycles(body, [0, 1]) == 4 + BARRIER


# --- estimates ----------------------------------------------------------------------------------


def counts(
    blocks: int = 132, threads: int = 128, fetched: int = 0, waves: int = 0, **by_class: int
) -> Counts:
    """Of a kernel without code."""
    named = {name.replace("_", " "): n for name, n in by_class.items()}
    load = Instruction(("ld", "shared", "f32"), (), None, 0, None)
    return Counts(
        *(Kernel(kernel_text("ret;", 0)), Shape((blocks, 1, 1), (threads, 1, 1)), blocks),
        *({**dict.fromkeys(CLASSES, 0), **named}, 0, 0, fetched),
        *([Access(load, "shared", waves, waves, waves)], []),
    )


@pytest.mark.parametrize(
    ("of", "bound", "cycles"),
    [
        # Each of 132 multiprocessors has 1000 instructions, and 128 lanes for them.
        (counts(fma=132_000), "issue", 1000 / 4),
        (counts(fma=132_000, threads=32), "issue", 1000),  # one warp, one scheduler
        (counts(integer=132_000), "integer", 1000 * 32 / 64),
        (counts(special=132_000), "special", 1000 * 32 / 16),
        (counts(double=132_000), "double", 1000 * 32 / 64),
        (counts(waves=132_000), "shared", 1000),
        (counts(fetched=132_000), "L2", 132_000 * 32 / 5.5e12 * 1.98e9),
        (counts(fetched=2_000, blocks=1), "L2", 2_000 * 32 / 64),  # of one multiprocessor
        # 133 blocks: one multiprocessor has two.
        (counts(special=133_000, blocks=133), "special", 2000 * 32 / 16),
        (counts(tensor=132_000), "tensor", 1000),
    ],
)
def test_the_slowest_part_decides(of: Counts, bound: str, cycles: float) -> None:
    held = occupancy((9, 0), of.n_threads, 32, 0)
    found = estimate(of, held, H100)
    assert found.bound == bound
    assert found.seconds == pytest.approx(LAUNCH_SECONDS + cycles / H100.hertz)
    assert found.parts[bound] == max(found.parts.values())


def test_blocks_that_dont_fit_take_turns() -> None:
    of = Counts(
        *(Kernel(kernel_text("add.f32 %f1, %f9, %f9;", 0)), Shape((528, 1, 1), (512, 1, 1)), 528),
        *(dict.fromkeys(CLASSES, 0), 0, 0, 0, [], [0]),
    )
    for registers, turns in ((32, 1), (64, 2), (128, 4)):
        found = estimate(of, occupancy((9, 0), 512, registers, 0), H100)
        assert found.parts["latency"] == pytest.approx(turns * 4 / H100.hertz)


@pytest.mark.parametrize("on", PROCESSORS.values(), ids=lambda p: p.name)
def test_rooflines(on: Processor) -> None:
    peak, large = on.peak("float32"), 1 << 30
    assert on.roofline_seconds(10**12, 0, "float32") == 10**12 / peak
    assert on.roofline_seconds(0, large, "float32") == large / on.bandwidth
    assert on.roofline_seconds(0, 1 << 20, "float32") == (1 << 20) / on.l2_bandwidth
    assert on.peak("float64") < peak
    assert on.bandwidth < on.l2_bandwidth
    published = {"T4": 8.1e12, "A100": 19.5e12, "H100": 66.9e12}
    assert peak == pytest.approx(published[on.name], rel=0.02)
