"""The measured limits of the processor: plausible, and never below what kernels reach."""

from __future__ import annotations

import pytest
from helpers.native import settings

from tinygrad_mnist import _native


@pytest.fixture(scope="module")
def peaks() -> dict[str, float]:
    """FLOP/s of one thread by target."""
    found = {}
    for target in _native.targets():
        with settings(target):
            found[target] = _native.measure_peak()
    return found


def test_wider_vectors_have_higher_peaks(peaks: dict[str, float]) -> None:
    assert min(peaks.values()) > 1e9
    if "avx2" in peaks:
        assert peaks["avx2"] > 1.5 * peaks["baseline"]


def test_float64_has_half_the_peak(peaks: dict[str, float]) -> None:
    for target, peak in peaks.items():
        with settings(target):
            assert 0.3 < _native.measure_peak("float64") / peak < 0.7


def test_threads_share_nothing() -> None:
    """All threads together are not slower than one, whatever else runs."""
    one = _native.measure_peak("float32", 1)
    assert _native.measure_peak("float32", 2) > 0.7 * one


def test_bandwidth_falls_with_the_working_set() -> None:
    small, large = _native.measure_bandwidth(16 << 10), _native.measure_bandwidth(64 << 20)
    assert small > large > 1e8
    assert _native.measure_bandwidth(32 << 10, 2) > 0.5 * small


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
