"""The GPUs that estimates are made for, one for each architecture, and where the figures come from.

* multiprocessors, clock, bytes and bandwidths: NVIDIA's white papers of the T4 (Turing), the A100
  (SXM, 40 GB) and the H100 (SXM); L2 bandwidths: the A100's white paper, and measurements of the
  T4 (Jia et al., arXiv 1903.07486) and of an H100 (chipsandcheese.com, 2 July 2023)
* lanes: "Arithmetic Instructions" of the "CUDA C++ Programming Guide", results per cycle of a
  multiprocessor
* cycles: measurements of Jia et al. (T4) and of Luo et al., arXiv 2402.13499 (A100, H100)
* assumed, without a source: cycles of a barrier and of a branch, and a launch's microsecond
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

BARRIER, BRANCH = 30, 8  # cycles from one until the next instruction, assumed
LAUNCH_SECONDS = 1e-6  # from the end of a kernel in a graph to the start of the next one, assumed
SCHEDULERS = 4  # of a multiprocessor; each issues an instruction of a warp in a cycle
L1_SECTORS = 4  # that a multiprocessor's L1 cache gives in a cycle
L2_BYTES = 64  # that a multiprocessor gets from the L2 cache in a cycle


@dataclass(frozen=True)
class Processor:
    """A GPU.

    lanes: results in a cycle of a multiprocessor, by class of instructions. tensor: multiply-adds
    of tf32 in a cycle of a multiprocessor; 0 without. l2: bytes of the L2 cache. l2_bandwidth,
    bandwidth: bytes/s of the L2 cache and of memory. cycles: from an instruction to the first that
    uses its result, by class; of the classes that are missing, `cycles['float']`.
    """

    name: str
    capability: tuple[int, int]
    multiprocessors: int
    hertz: float
    lanes: Mapping[str, int]
    tensor: int
    l2: int
    l2_bandwidth: float
    bandwidth: float
    cycles: Mapping[str, int]

    def peak(self, dtype: str) -> float:
        """FLOP/s of multiply-adds in 'float32' or 'float64'."""
        lanes = self.lanes["double" if dtype == "float64" else "fma"]
        return 2 * lanes * self.multiprocessors * self.hertz

    def roofline_seconds(self, flops: int, nbytes: int, dtype: str) -> float:
        """The least time for so much arithmetic and so much memory, each once. Memory that fits the
        L2 cache has its bandwidth."""
        rate = self.l2_bandwidth if nbytes <= self.l2 else self.bandwidth
        return max(flops / self.peak(dtype), nbytes / rate)


def _lanes(fma: int, double: int) -> Mapping[str, int]:
    """Of the classes that differ among these GPUs, and of the others."""
    lanes = {"fma": fma, "float": fma, "double": double}
    lanes |= {"integer": 64, "compare": 64, "convert": 16, "special": 16, "warp": 32}
    return MappingProxyType(lanes)


def _cycles(double: int, shared: int, l2: int) -> Mapping[str, int]:
    return MappingProxyType(
        {
            **{"float": 4, "double": double, "special": 20, "tensor": 18, "warp": 24, "move": 0},
            **{"load shared": shared, "load global": l2, "constant": shared, "local": l2},
        }
    )


PROCESSORS = {
    p.capability: p
    for p in (
        Processor(
            name="T4",
            capability=(7, 5),
            multiprocessors=40,
            hertz=1.59e9,
            lanes=_lanes(64, 2),
            tensor=0,
            l2=4 << 20,
            l2_bandwidth=1.27e12,
            bandwidth=320e9,
            cycles=_cycles(40, 19, 188),
        ),
        Processor(
            name="A100",
            capability=(8, 0),
            multiprocessors=108,
            hertz=1.41e9,
            lanes=_lanes(64, 32),
            tensor=512,
            l2=40 << 20,
            l2_bandwidth=7.2e12,
            bandwidth=1555e9,
            cycles=_cycles(8, 29, 262),
        ),
        Processor(
            name="H100",
            capability=(9, 0),
            multiprocessors=132,
            hertz=1.98e9,
            lanes=_lanes(128, 64),
            tensor=1024,
            l2=50 << 20,
            l2_bandwidth=5.5e12,
            bandwidth=3350e9,
            cycles=_cycles(8, 29, 263),
        ),
    )
}
