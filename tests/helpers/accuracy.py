"""Errors of the vectorised functions in units of the last place (ulp), against wider arithmetic.

`PYTHONPATH=tests python -m helpers.accuracy` measures them on far more arguments than the tests do
(for float32 every 61st bit pattern) and prints the table of docs/accuracy.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from helpers.native import TARGETS, run_kernel
from numpy.typing import NDArray

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import OPCODES, Instruction, Tape

AnyArray = NDArray[Any]
LONG = np.longdouble
LONG_IS_WIDER = np.finfo(LONG).eps < np.finfo(np.float64).eps / 8
PI = LONG("3.14159265358979323846264338327950288")


# --- exact values ---------------------------------------------------------------------------------


def sigmoid(x: AnyArray) -> AnyArray:
    power = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, power, np.ones_like(x)) / (1 + power))


def softplus(x: AnyArray) -> AnyArray:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def erf_near_zero(x: AnyArray) -> AnyArray:
    """The series whose terms all have one sign, for |x| <= 2.5."""
    square = x * x
    term = x
    total = x
    for n in range(1, 90):
        term = term * 2 * square / (2 * n + 1)
        total = total + term
    return np.asarray((2 / np.sqrt(PI)).astype(x.dtype) * np.exp(-square) * total)


def erfc_far_from_zero(x: AnyArray) -> AnyArray:
    """The continued fraction, for x >= 1.5; x * x is split so that its first part is exact."""
    head = x.astype(np.float32).astype(x.dtype)
    bell = np.exp(-head * head) * np.exp((head - x) * (head + x))
    fraction = np.zeros_like(x)
    for n in range(150 if x.dtype == LONG else 60, 0, -1):
        fraction = (0.5 * n) / (x + fraction)
    return np.asarray(bell / ((x + fraction) * np.sqrt(PI).astype(x.dtype)))


def erfc(x: AnyArray) -> AnyArray:
    size = np.minimum(np.abs(x), 150)
    near = erf_near_zero(np.minimum(size, 2.5))
    far = erfc_far_from_zero(np.maximum(size, 1.5))
    positive = np.where(size < 1.5, 1 - near, far)
    return np.where(x < 0, 1 + np.where(size < 2, near, 1 - far), positive)


def erf(x: AnyArray) -> AnyArray:
    size = np.minimum(np.abs(x), 150)
    value = np.where(
        size < 2,
        erf_near_zero(np.minimum(size, 2.5)),
        1 - erfc_far_from_zero(np.maximum(size, 1.5)),
    )
    return np.copysign(value, x)


_OF_NUMPY = (
    *(
        "exp",
        "exp2",
        "expm1",
        "log",
        "log1p",
        "log2",
        "log10",
        "tanh",
        "sinh",
        "cosh",
        "sin",
        "cos",
    ),
    *("tan", "arcsin", "arccos", "arctan", "arcsinh", "arccosh", "arctanh", "arctan2"),
)
FUNCTIONS: dict[str, Callable[..., AnyArray]] = {
    **{name: getattr(np, name) for name in _OF_NUMPY},
    "pow": np.power,
    "sigmoid": sigmoid,
    "softplus": softplus,
    "erf": erf,
    "erfc": erfc,
}


def exact(name: str, arrays: Iterable[AnyArray]) -> AnyArray:
    """The function's values in wider arithmetic: float64 for float32, long double for float64."""
    with np.errstate(all="ignore"):
        wide = [x.astype(np.float64 if x.dtype == np.float32 else LONG) for x in arrays]
        return FUNCTIONS[name](*wide)


# --- arguments ------------------------------------------------------------------------------------

# Where a function changes its formula, its sign or its kind, and the largest arguments that count.
EDGES = [0, 0.25, 0.375, 0.5, 0.625, 0.75, 1, 2**0.5 - 1, 0.5**0.5, 2**0.5, 2**0.5 + 1, 3, 10.05]
EDGES += [26.54, 27.3, 28, 88.72, 89.41, 103.97, 104, 128, 149, 709.78, 710.4758, 712, 745.13, 746]
EDGES += [1024, 1075, 1647099, 2.0**-28, 2.0**28, 2.0**60, np.inf, np.nan]
# As near to multiples of pi/2 as doubles and floats come.
EDGES += [6381956970095103 * 2.0**797, 5319372648326541 * 2.0**-46, 16367173 * 2.0**72]


def arguments(dtype: str, n: int, arity: int, seed: int = 0) -> list[AnyArray]:
    """All bit patterns equally often, numbers of many sizes, and what is near the edges; for two
    arguments, pairs of all these."""
    rng = np.random.default_rng(seed)
    info = np.finfo(dtype)
    width = info.bits
    arrays = []
    for number in range(arity):
        parts: list[AnyArray] = []
        parts += [rng.normal(size=n) * size for size in (1e-8, 1e-3, 0.3, 1, 3, 10, 40, 300, 1e5)]
        parts += [1 + rng.normal(size=n) * size for size in (1e-6, 1e-3)]
        parts += [rng.uniform(-1, 1, n), rng.uniform(-30, 30, n), rng.uniform(-750, 750, n)]
        multiples = rng.integers(-(2**20), 2**20, n) * 2.0 ** rng.integers(-20, 30, n)
        parts += [np.rint(multiples) * np.pi / 2]
        lost = np.log(float(info.smallest_subnormal)) + rng.uniform(-2, 40, n)
        parts += [lost, lost / np.log(2)]  # exp and exp2 are denormal
        with np.errstate(over="ignore", invalid="ignore"):
            few = [np.asarray(part).astype(dtype) for part in parts]
            few.append(rng.integers(0, 2**width, n, dtype=f"uint{width}").view(dtype))
            edges = np.array([*EDGES, info.tiny, info.max, info.smallest_subnormal]).astype(dtype)
            for _ in range(4):
                few += [edges, -edges]
                edges = np.unique(
                    np.nextafter(
                        np.concatenate([edges, edges]),
                        np.repeat(np.array([np.inf, -np.inf], dtype), edges.size),
                        dtype=dtype,
                    )
                )
        array = np.concatenate(few)
        arrays.append(array if number == 0 else rng.permutation(array))
    return arrays


# --- errors ---------------------------------------------------------------------------------------


def computed(name: str, arrays: list[AnyArray], target: str) -> AnyArray:
    """The function's values as the kernel for a SIMD target gives them."""
    arity = OPCODES[name].arity
    code = (Instruction(name, tuple(range(arity))),)
    tape = Tape(arrays[0].dtype.name, arity, code, (arity,))
    spec = ArraySpec(tape.dtype, arrays[0].shape)
    return run_kernel("elementwise", arrays, [spec], {"tape": tape}, target)[0]


def errors_in_ulp(result: AnyArray, wanted: AnyArray) -> AnyArray:
    """|result - wanted| in units of the last place; infinite where only one is NaN or infinite, or
    where a zero has the wrong sign."""
    info = np.finfo(result.dtype)
    with np.errstate(all="ignore"):
        rounded = wanted.astype(result.dtype)
        size = np.clip(np.abs(rounded), info.tiny, info.max)
        error = np.abs(result.astype(wanted.dtype) - wanted) / np.spacing(size).astype(wanted.dtype)
        # The largest numbers may round to infinity a little early.
        early = np.isinf(result) & (np.abs(wanted) >= info.max * (1 - 2 * info.eps))
        early &= np.signbit(result) == np.signbit(wanted)
    same = (result == rounded) | (np.isnan(result) & np.isnan(rounded))
    special = ~np.isfinite(result) | ~np.isfinite(rounded)
    error = np.where(special, np.where(same | early, 0, np.inf), error)
    wrong_zero = (result == 0) & (rounded == 0) & (np.signbit(result) != np.signbit(rounded))
    return np.where(wrong_zero, np.inf, error)


# --- the table ------------------------------------------------------------------------------------


def _batches(name: str, dtype: str, batches: int, stride: int) -> Iterator[list[AnyArray]]:
    arity = OPCODES[name].arity
    for seed in range(batches):
        yield arguments(dtype, 50_000, arity, seed)
    if dtype == "float32" and arity == 1 and stride:
        for first in range(0, 2**32, stride * 2**21):
            last = min(first + stride * 2**21, 2**32)
            yield [np.arange(first, last, stride, dtype=np.uint32).view(dtype)]


def worst(name: str, dtype: str, batches: int, stride: int) -> dict[str, float]:
    """The largest error of a function for each target."""
    largest = dict.fromkeys(TARGETS, 0.0)
    for arrays in _batches(name, dtype, batches, stride):
        wanted = exact(name, arrays)
        for target in TARGETS:
            errors = errors_in_ulp(computed(name, arrays, target), wanted)
            largest[target] = max(largest[target], float(np.max(errors)))
    return largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=20, help="of a million random arguments")
    parser.add_argument("--stride", type=int, default=61, help="of float32 patterns; 0: none")
    parser.add_argument("names", nargs="*", default=sorted(FUNCTIONS))
    options = parser.parse_args()
    columns = [(dtype, target) for dtype in ("float32", "float64") for target in TARGETS]
    print("| function |", " | ".join(f"{dtype} {target}" for dtype, target in columns), "|")
    print("|", " | ".join("---" for _ in range(len(columns) + 1)), "|")
    for name in options.names:
        found = {
            dtype: worst(name, dtype, options.batches, options.stride)
            for dtype in ("float32", "float64")
        }
        cells = [f"{found[dtype][target]:.2f}" for dtype, target in columns]
        print(f"| `{name}` |", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
