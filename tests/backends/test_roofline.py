"""The measured limits of the processor: plausible, and never below what kernels reach."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from helpers.native import settings

from tinygrad_mnist import _native


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether it holds in one of twenty attempts: other work may spoil any single measurement."""
    return any(holds() for _ in range(20))


def peak(target: str, dtype: str = "float32", threads: int = 1) -> float:
    with settings(target):
        return _native.measure_peak(dtype, threads)


@pytest.mark.parametrize("target", _native.targets())
def test_float64_has_half_the_peak(target: str) -> None:
    assert peak(target) > 1e9
    assert eventually(lambda: 0.45 < peak(target, "float64") / peak(target) < 0.55)


@pytest.mark.skipif("avx2" not in _native.targets(), reason="needs a processor with AVX2")
def test_wider_vectors_have_higher_peaks() -> None:
    """Twice the width, and on some processors twice the operations for the fused ones."""
    assert eventually(lambda: 1.8 < peak("avx2") / peak("baseline") < 4.5)


@pytest.mark.skipif(_native.threads() < 2, reason="needs two processors")
def test_two_threads_together() -> None:
    assert eventually(lambda: peak("baseline", threads=2) > 0.9 * peak("baseline"))
    small = 32 << 10
    one, two = (lambda n=n: _native.measure_bandwidth(n * small, n) for n in (1, 2))
    assert eventually(lambda: two() > 0.9 * one())


def test_bandwidth_falls_with_the_working_set() -> None:
    sizes = (16 << 10, 1 << 20, 64 << 20)
    assert eventually(
        lambda: sorted(rates := [_native.measure_bandwidth(n) for n in sizes]) == rates[::-1]
    )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: _native.measure_peak("int64"), "float32 or float64, not 'int64'"),
        (lambda: _native.measure_peak("half"), "no dtype 'half'"),
        (lambda: _native.measure_peak(threads=0), "threads must be from 1 to 256"),
        (lambda: _native.measure_bandwidth(4095), "at least 4096 for each thread"),
        (lambda: _native.measure_bandwidth(8191, 2), "at least 4096 for each thread"),
        (lambda: _native.measure_bandwidth(1 << 20, 257), "threads must be from 1 to 256"),
    ],
)
def test_what_can_not_be_measured(wrong: object, message: str) -> None:
    assert callable(wrong)
    with pytest.raises(ValueError, match=message):
        wrong()
