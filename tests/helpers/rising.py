"""Whether functions of the CPU kernels ever fall: a larger argument gives a smaller result.

`PYTHONPATH=tests python -m helpers.rising` compares the results of all pairs of neighbouring
float32, and of samples of float64, which takes about a minute per function and instruction set, and
prints how many fall. The functions for which none does are in `CpuBackend.rising`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from helpers.accuracy import EDGES, computed
from helpers.native import TARGETS
from numpy.typing import NDArray

from tinygrad_mnist.backends import BACKENDS

AnyArray = NDArray[Any]
RUN = 32  # neighbours that are compared at each sampled point
BLOCK = 1 << 22


def floats(keys: AnyArray) -> AnyArray:
    """Floats by their number in ascending order, int32 or int64: 0 is 0.0 and -1 is -0.0."""
    width = 8 * keys.itemsize
    bits = keys ^ ((keys >> (width - 1)) & np.iinfo(keys.dtype).max)
    return np.asarray(bits.view(f"float{width}"))


def keys_of(x: AnyArray) -> AnyArray:
    """The numbers of floats; see `floats`."""
    bits = np.ascontiguousarray(x).view(f"int{8 * x.itemsize}")
    return np.asarray(floats(bits).view(bits.dtype))


def points(dtype: str, n: int, seed: int = 0) -> AnyArray:
    """Arguments: of many sizes, all bit patterns, and where a formula changes, such as where
    exp(x) or exp(2 x) reduces its argument by another multiple of ln 2."""
    rng = np.random.default_rng(seed)
    halves = np.arange(-1100, 1100) + 0.5
    steps = [halves, halves * np.log(2), halves[1000:-1000] * np.log(2) / 2]
    parts: list[Any] = [rng.normal(size=n) * size for size in (1e-3, 0.3, 1, 3, 10, 300)]
    parts += [rng.uniform(-1, 1, n), EDGES, np.negative(EDGES), *steps]
    with np.errstate(over="ignore", invalid="ignore"):
        found = [np.asarray(part).astype(dtype) for part in parts]
        width = found[0].itemsize * 8
        found.append(rng.integers(0, 2**width, n, dtype=f"uint{width}").view(dtype))
    every = np.concatenate(found)
    return np.asarray(every[np.isfinite(every)])


def runs(starts: AnyArray) -> AnyArray:
    """Neighbours in ascending order around each point: (points, RUN)."""
    keys = keys_of(starts)
    return floats(keys[:, None] + np.arange(-RUN // 2, RUN // 2, dtype=keys.dtype))


def falls(name: str, x: AnyArray, target: str) -> AnyArray:
    """The arguments before which a function falls; x ascends along its last axis."""
    y = computed(name, [x], target)
    return np.asarray(x[..., 1:][y[..., 1:] < y[..., :-1]])


def all_floats() -> Iterator[AnyArray]:
    """All float32 but NaN, in ascending blocks that share their ends."""
    last = int(keys_of(np.array([np.inf], "float32"))[0])
    for first in range(-last - 1, last, BLOCK):
        yield floats(np.arange(first, min(first + BLOCK, last) + 1, dtype=np.int32))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--targets", nargs="*", default=TARGETS)
    parser.add_argument("--points", type=int, default=100_000, help="of float64, of each kind")
    rising = sorted({name for name, _ in BACKENDS["cpu"].rising})
    parser.add_argument("names", nargs="*", default=[*rising, "sigmoid", "softplus"])
    options = parser.parse_args()
    print("| function | instruction set | float32 that fall, of all | float64, of a sample |")
    print("| --- | --- | --- | --- |")
    sample = runs(points("float64", options.points))
    for name in options.names:
        for target in options.targets:
            single = sum(falls(name, x, target).size for x in all_floats())
            double = falls(name, sample, target).size
            print(f"| `{name}` | {target} | {single} | {double} of {sample.size} |", flush=True)


if __name__ == "__main__":
    main()
