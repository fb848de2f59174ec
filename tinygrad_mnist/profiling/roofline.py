"""The machine's roofline: its measured peak of arithmetic and memory bandwidth."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tinygrad_mnist.backends import Backend, backend
from tinygrad_mnist.config import config

# Sizes of the working sets whose bandwidth is measured: all levels of cache, and memory.
LADDER = tuple(1 << exponent for exponent in range(14, 27))  # 16 KiB to 64 MiB a thread
MOST = 256 << 20  # bytes of all threads together


@dataclass(frozen=True)
class Roofline:
    """Upper bounds of the speed of `threads` threads with one SIMD target.

    peaks: FLOP/s of fused multiply-adds in registers, by dtype. bandwidths: pairs (bytes, bytes/s),
    ascending: the speed of reading a working set of that size repeatedly.
    """

    target: str
    threads: int
    peaks: Mapping[str, float]
    bandwidths: tuple[tuple[int, float], ...]

    def bandwidth(self, nbytes: int) -> float:
        """Bytes/s for a call whose operands take `nbytes`: that of the smallest measured working
        set that holds them, or of the largest if none does."""
        fitting = (rate for size, rate in self.bandwidths if size >= nbytes)
        return next(fitting, self.bandwidths[-1][1])

    def seconds(self, flops: int, nbytes: int, dtype: str) -> float:
        """The least time for so much arithmetic in `dtype` and so much memory, each once."""
        return max(flops / self.peaks[dtype], nbytes / self.bandwidth(nbytes))


def measure_roofline(
    on: Backend | None = None, dtypes: Iterable[str] = ("float32",)
) -> Roofline | None:
    """Measures the roofline of a backend's processor with as many threads as it uses; takes about a
    second. None for a backend that can't measure it, such as the reference.

    on: the backend, by default that of `config.device`. dtypes: 'float32', 'float64'. Other work on
    the machine can only lower the result.
    """
    chosen = backend(config.device) if on is None else on
    peaks = {dtype: peak for dtype in dtypes if (peak := chosen.peak(dtype)) is not None}
    sizes = [size * chosen.threads for size in LADDER if size * chosen.threads <= MOST]
    rates = [(size, rate) for size in sizes if (rate := chosen.bandwidth(size)) is not None]
    if not peaks or not rates:
        return None
    bandwidths = []
    best = 0.0
    for size, rate in reversed(rates):
        best = max(best, rate)  # a smaller working set is at least as fast
        bandwidths.append((size, best))
    return Roofline(chosen.target, chosen.threads, peaks, tuple(reversed(bandwidths)))
