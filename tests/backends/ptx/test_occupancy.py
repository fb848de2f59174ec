"""Occupancy: worked examples, and NVIDIA's own calculator where it is installed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from itertools import product
from pathlib import Path

import pytest

from tinygrad_mnist.backends.ptx.occupancy import LIMITS, Occupancy, occupancy

KIB = 1 << 10


@pytest.mark.parametrize(
    ("capability", "threads", "registers", "shared", "expected"),
    [
        # "CUDA C++ Best Practices Guide", "Calculating Occupancy": 12 blocks of 128 threads with 37
        # registers, 75 %; 4 blocks of 320 threads, 63 %.
        ((8, 0), 128, 37, 0, Occupancy(12, 0.75, "registers")),
        ((8, 0), 320, 37, 0, Occupancy(4, 0.625, "registers")),
        ((9, 0), 1024, 32, 0, Occupancy(2, 1.0, "warps")),
        ((9, 0), 1024, 64, 0, Occupancy(1, 0.5, "registers")),
        ((9, 0), 1024, 65, 0, Occupancy(0, 0.0, "registers")),
        ((9, 0), 1025, 32, 0, Occupancy(0, 0.0, "warps")),
        ((9, 0), 32, 32, 0, Occupancy(32, 0.5, "blocks")),
        ((7, 5), 32, 32, 0, Occupancy(16, 0.5, "blocks")),
        ((7, 5), 1024, 64, 0, Occupancy(1, 1.0, "warps")),
        # 1 KiB of each block belongs to the system: 4 x 49 KiB of 228, 3 x 49 KiB of 164.
        ((9, 0), 128, 32, 48 * KIB, Occupancy(4, 0.25, "shared")),
        ((8, 0), 128, 32, 48 * KIB, Occupancy(3, 0.1875, "shared")),
        ((7, 5), 128, 32, 32 * KIB, Occupancy(2, 0.25, "shared")),
        ((9, 0), 128, 32, 227 * KIB, Occupancy(1, 0.0625, "shared")),
        ((9, 0), 128, 32, 227 * KIB + 1, Occupancy(0, 0.0, "shared")),
    ],
)
def test_examples(
    capability: tuple[int, int], threads: int, registers: int, shared: int, expected: Occupancy
) -> None:
    assert occupancy(capability, threads, registers, shared) == expected


def test_an_unknown_architecture() -> None:
    with pytest.raises(ValueError, match=r"compute capability 6\.1 aren't known: 7\.5, 8\.0, 9\.0"):
        occupancy((6, 1), 32, 32, 0)


PROGRAM = r"""
#include <climits>
#include <cstdio>
#include "cuda_occupancy.h"
int main() {
  int major, minor, warps, threads, registers;
  long shared_of_all, reserved, shared;
  while (std::scanf("%d %d %d %ld %ld %d %d %ld", &major, &minor, &warps, &shared_of_all, &reserved,
                    &threads, &registers, &shared) == 8) {
    cudaOccDeviceProp p;
    p.computeMajor = major; p.computeMinor = minor;
    p.maxThreadsPerBlock = 1024; p.maxThreadsPerMultiprocessor = warps * 32;
    p.regsPerBlock = p.regsPerMultiprocessor = 65536; p.warpSize = 32;
    p.sharedMemPerBlock = 48 << 10; p.sharedMemPerMultiprocessor = shared_of_all;
    p.numSms = 1; p.sharedMemPerBlockOptin = shared_of_all - reserved;
    p.reservedSharedMemPerBlock = reserved;
    cudaOccFuncAttributes a;
    a.maxThreadsPerBlock = INT_MAX; a.numRegs = registers; a.sharedSizeBytes = 0;
    a.shmemLimitConfig = FUNC_SHMEM_LIMIT_OPTIN; a.maxDynamicSharedSizeBytes = shared;
    a.numBlockBarriers = 1;
    cudaOccDeviceState s; s.carveoutConfig = SHAREDMEM_CARVEOUT_MAX_SHARED;
    cudaOccResult r;
    int failed = cudaOccMaxActiveBlocksPerMultiprocessor(&r, &p, &a, &s, threads, shared);
    std::printf("%d\n", failed ? -failed : r.activeBlocksPerMultiprocessor);
  }
}
"""


def nvidias_header() -> Path | None:
    """The folder of `cuda_occupancy.h`."""
    try:
        found = importlib.util.find_spec("nvidia.cu13")
    except ModuleNotFoundError:
        return None
    places = (
        [Path(p) / "include" for p in (found.submodule_search_locations or ())] if found else []
    )
    return next((p for p in places if (p / "cuda_occupancy.h").exists()), None)


def test_the_blocks_are_those_of_nvidias_calculator(tmp_path: Path) -> None:
    folder, compiler = nvidias_header(), shutil.which("c++")
    if folder is None or compiler is None:
        pytest.skip("needs cuda_occupancy.h of the extra cuda-test, and a C++ compiler")
    source, program = tmp_path / "calculator.cpp", tmp_path / "calculator"
    source.write_text(PROGRAM)
    subprocess.run([compiler, "-w", f"-I{folder}", str(source), "-o", str(program)], check=True)
    cases = list(
        product(
            LIMITS,
            (1, 31, 32, 33, 96, 160, 240, 256, 300, 512, 1000, 1024),
            (8, 32, 37, 40, 55, 64, 96, 128, 168, 255),
            (0, 1, 2016, 7000, 28004, 30132, 48 * KIB, 63 * KIB, 64 * KIB, 100 * KIB, 227 * KIB),
        )
    )
    lines = [
        f"{a} {b} {LIMITS[a, b].warps} {LIMITS[a, b].shared} {LIMITS[a, b].reserved} {t} {r} {s}"
        for (a, b), t, r, s in cases
    ]
    answer = subprocess.run(
        [program], input="\n".join(lines), check=True, capture_output=True, text=True
    ).stdout
    for case, blocks in zip(cases, map(int, answer.split()), strict=True):
        assert occupancy(*case).blocks == blocks, case
