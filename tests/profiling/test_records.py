"""Profiles: medians, shares, rates and the roofline, from chosen times."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from helpers.profiles import ROOFLINE, small_profile

from tinygrad_mnist.backends.base import Timings
from tinygrad_mnist.profiling import Roofline
from tinygrad_mnist.profiling.records import show_profile


def test_calls_have_medians_and_rates() -> None:
    gemm, *sums = small_profile().calls
    assert (gemm.number, gemm.kernel, gemm.seconds) == (0, "gemm", 2e-6)
    assert gemm.flops == 2000
    assert gemm.flops_per_second == pytest.approx(1e9)
    assert gemm.nbytes == 3 * 800
    assert gemm.bytes_per_second == pytest.approx(1.2e9)
    assert [c.seconds for c in sums] == [4e-6, 1e-6]


def test_shares_of_the_roofline() -> None:
    gemm, first, _ = small_profile().calls
    # 2400 bytes don't fit in 1000: 2400 / 1e8 s are more than 2000 / 1e9.
    assert gemm.roofline_seconds == pytest.approx(24e-6)
    assert gemm.roofline_share == pytest.approx(12.0)
    assert first.nbytes == 880  # fits; 100 additions take less than moving them
    assert first.roofline_seconds == pytest.approx(0.88e-6)
    assert first.roofline_share == pytest.approx(0.22)
    assert small_profile(None).calls[0].roofline_share is None
    assert small_profile(None).total.roofline_share is None


def test_the_peak_is_that_of_the_dtype() -> None:
    wide = Roofline("test", 1, ROOFLINE.peaks, ((1 << 40, 1e15),))
    assert small_profile(wide).calls[0].roofline_seconds == pytest.approx(2e-6)
    assert small_profile(wide, "float32").calls[0].roofline_seconds == pytest.approx(1e-6)


def test_kernels_are_sums_of_their_calls() -> None:
    profile = small_profile()
    reduce, gemm = profile.kernels
    assert (reduce.kernel, reduce.calls, reduce.flops) == ("reduce", 2, 200)
    assert reduce.seconds == pytest.approx(5e-6)
    assert reduce.roofline_seconds == pytest.approx(2 * 0.88e-6)
    assert (gemm.kernel, gemm.calls) == ("gemm", 1)
    assert profile.total.calls == 3
    assert profile.total.seconds == pytest.approx(7e-6)
    assert profile.total.flops == profile.plan.flops
    assert profile.share(reduce) == pytest.approx(5 / 7)
    assert profile.steps == 3


@pytest.mark.parametrize(
    ("nbytes", "rate"), [(1, 1e9), (1000, 1e9), (1001, 1e8), (10_000, 1e8), (10**9, 1e8)]
)
def test_the_smallest_working_set_that_holds_the_operands_counts(nbytes: int, rate: float) -> None:
    assert ROOFLINE.bandwidth(nbytes) == rate


def test_a_gpu_has_no_threads() -> None:
    profile = dataclasses.replace(small_profile(), backend="cuda", target="NVIDIA H100")
    assert str(profile).splitlines()[0] == "small on cuda (NVIDIA H100): medians of 3 steps"


def test_a_profile_as_text() -> None:
    lines = str(small_profile()).splitlines()
    assert lines[0] == "small on fused (test, 1 thread): medians of 3 steps"
    costs = ["us", "share", "GFLOP/s", "GB/s", "roofline"]
    assert lines[2].split() == ["#", "kernel", "shapes", *costs]
    assert lines[3].split() == [
        *("0", "gemm", "10x10", "<-", "10x10,", "10x10"),
        *("2.00", "28.6%", "1.0", "1.2", "1200%"),
    ]
    assert lines[7].split() == ["kernel", "calls", *costs]
    assert lines[8].split()[:4] == ["reduce", "2", "5.00", "71.4%"]
    assert lines[10].split()[:4] == ["all", "3", "7.00", "100.0%"]
    assert lines[12:15] == [
        "a step, timed call by call: 7.1 us, of which the calls take 99%",
        "a step, not timed call by call: 8.0 us",
        "this machine: 1.0 GFLOP/s in float64, 2.0 GFLOP/s in float32",
    ]
    first = small_profile.__code__.co_firstlineno + 3
    assert lines[17:] == [
        "the lines of the program that the calls come from:",
        f"call 0, gemm: profiles.py:{first}",
        f"call 1, reduce: profiles.py:{first + 1}",
        f"call 2, reduce: profiles.py:{first + 1}",
    ]


@pytest.mark.parametrize("width", [120, 80, 60, 40])
def test_time_and_share_stay_in_narrow_tables(width: int) -> None:
    lines = show_profile(small_profile(), width).splitlines()
    heads = [line.split() for line in lines if "share" in line]
    assert len(heads) == 2
    assert all({"kernel", "us", "share"} <= set(head) for head in heads)
    assert ("GB/s" in heads[0]) == (width >= 60)
    assert ("shapes" in heads[0]) == (width >= 80)
    tables = lines[lines.index("") + 1 : 11]
    assert max(map(len, tables)) <= width


def test_calls_never_take_more_than_the_total() -> None:
    """Medians of parts can exceed the median of sums: here they are 9 and 9 of steps of 10."""
    profile = small_profile()
    calls = np.array([[1.0, 9, 0], [9, 1, 0], [9, 9, 0]]) * 1e-6
    begins = np.zeros(3)
    timings = Timings(begins, calls, begins + calls.sum(axis=1) + 5e-7)
    profile = dataclasses.replace(profile, timings=timings)
    assert profile.total.seconds == pytest.approx(18e-6)
    assert profile.timed_seconds == pytest.approx(18.5e-6)
    assert profile.kernel_share == pytest.approx(18 / 18.5)
    early = timings._replace(ends=begins)
    assert dataclasses.replace(profile, timings=early).kernel_share == 1
    assert str(small_profile(None)).splitlines()[3].endswith(" -")
