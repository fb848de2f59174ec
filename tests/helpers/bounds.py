"""How much of its bound each output of each kernel uses, on plain and on nasty numbers.

`PYTHONPATH=tests python -m helpers.bounds` prints the table of docs/accuracy.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from helpers.accuracy import FUNCTIONS
from helpers.native import TARGETS, run_kernel
from numpy.typing import NDArray

from tinygrad_mnist.checking.bounds import (
    BOUNDS,
    EXACT,
    ULP,
    ExactCall,
    exact_call,
    largest_errors,
)
from tinygrad_mnist.checking.measure import error_of
from tinygrad_mnist.checking.problems import REDUCTIONS, Problem, Request, build
from tinygrad_mnist.contracts.pool2d.average_pool2d import SUM

AnyArray = NDArray[Any]
Options = dict[str, Any]

DTYPES = ("float32", "float64")
KERNELS = [k for k in BOUNDS if k not in ("integer_gemm", "check_range")]
LONG_SUM = 256  # terms, from which on a sum is long


# --- numbers --------------------------------------------------------------------------------------


def _normal(rng: np.random.Generator, n: int, dtype: str) -> AnyArray:
    return rng.standard_normal(n)


def _constant(rng: np.random.Generator, n: int, dtype: str) -> AnyArray:
    """All roundings of a running sum go in one direction."""
    return np.full(n, rng.choice([0.1, 1 / 3, 0.7]))


def _opposite(rng: np.random.Generator, n: int, dtype: str) -> AnyArray:
    """Of one magnitude and a mean of 0: all roundings of a sum of squares go in one direction."""
    return np.asarray(rng.choice([0.1, 1 / 3, 0.7]) * (-1.0) ** np.arange(n))


def _mixed(rng: np.random.Generator, n: int, dtype: str) -> AnyArray:
    """Magnitudes of 2**-25 to 2**25, of 2**-54 to 2**54 in float64: small terms are lost beside
    large ones, and quotients are larger than the integers that a float has."""
    bits = np.finfo(dtype).nmant + 2
    return rng.standard_normal(n) * 2.0 ** rng.uniform(-bits, bits, n)


def _cancelling(rng: np.random.Generator, n: int, dtype: str) -> AnyArray:
    """Each number with its opposite somewhere behind it: sums of next to nothing."""
    half = 1000 + rng.standard_normal(n // 2 + 1)
    return rng.permutation(np.concatenate([half, -half])[:n])


def _offset(rng: np.random.Generator, n: int, dtype: str) -> AnyArray:
    """A large mean, beside which the differences are small."""
    return 1000 + rng.standard_normal(n)


def _tiny(rng: np.random.Generator, n: int, dtype: str) -> AnyArray:
    """Products and many of the sums are denormal."""
    size: float = float(np.finfo(dtype).tiny) ** 0.5
    return rng.standard_normal(n) * size


NUMBERS: dict[str, Callable[[np.random.Generator, int, str], AnyArray]] = {
    "normal": _normal,
    "constant": _constant,
    "opposite": _opposite,
    "mixed": _mixed,
    "cancelling": _cancelling,
    "offset": _offset,
    "tiny": _tiny,
}
# Operands that are no data: epsilon, amounts and weights of a distortion.
_KEPT = {"batch_norm": (3,), "distort": (1, 2)}


def problem_of(request: Request, numbers: str) -> Problem:
    """The call of a request, of such numbers."""
    problem = build(request)
    rng, kept = np.random.default_rng(request.seed), _KEPT.get(request.kernel, ())
    inputs = [
        NUMBERS[numbers](rng, x.size, request.dtype).reshape(x.shape).astype(x.dtype)
        if x.dtype.kind == "f" and k not in kept
        else x
        for k, x in enumerate(problem.inputs)
    ]
    # Products of many numbers stay finite.
    if request.op == "prod":
        inputs[0] = (1 + _up_to_one(inputs[0]) / 1024).astype(request.dtype)
    if request.kernel == "recurrence":
        inputs[1] = _up_to_one(inputs[1])
    return problem._replace(inputs=inputs)


def _up_to_one(x: AnyArray) -> AnyArray:
    return np.asarray(x / max(x.dtype.type(1), np.max(np.abs(x), initial=0)))


# --- shapes: of nothing, of one, odd ones, and long sums ------------------------------------------


def _shapes(*shapes: tuple[int, ...], **options: Any) -> list[Options]:
    return [{"shape": shape, **options} for shape in shapes]


def _products(*sizes: tuple[int, int, int]) -> list[Options]:
    return [{"shape": (m, k), "filters": (k, n)} for m, k, n in sizes]


_CONVOLUTIONS: list[Options] = [
    {"shape": (1, 1, 1, 1), "filters": (1, 1, 1, 1), "pool": (1, 1)},
    {"shape": (0, 1, 4, 4), "filters": (2, 1, 3, 3)},
    {"shape": (1, 2, 4, 4), "filters": (0, 2, 3, 3)},
    {"shape": (2, 3, 7, 9), "filters": (5, 3, 2, 3), "padding": (1, 2), "flip": False},
    {"shape": (3, 2, 11, 8), "filters": (4, 2, 3, 3), "stride": (2, 1), "pool": (1, 3)},
    {"shape": (10, 1, 28, 28), "filters": (3, 1, 5, 5)},
    {"shape": (2, 20, 12, 12), "filters": (8, 20, 5, 5)},
    {"shape": (1, 120, 4, 4), "filters": (17, 120, 3, 3)},
    {"shape": (70, 1, 6, 6), "filters": (1, 1, 3, 3)},
    {"shape": (1, 2, 8, 8), "filters": (300, 2, 4, 4)},
]
_POOLS: list[Options] = [
    *_shapes((1, 1, 1, 1), (2, 3, 1, 5), pool=(1, 1)),
    *_shapes((0, 1, 4, 4), (2, 3, 7, 9)),
    *_shapes((2, 3, 7, 9), (1, 2, 12, 11), pool=(3, 2), stride=(1, 1), padding=(1, 1)),
    *_shapes((1, 1, 40, 41), pool=(20, 21), stride=(3, 4)),
    *_shapes((1, 1, 45, 46), pool=(17, 18), stride=(1, 1)),
]
_VECTORS = _shapes((0,), (1,), (2,), (3,), (17,), (513,), (10_007,), (2**17 + 1,))
_ROWS = _shapes((1, 1), (1, 2), (3, 7), (5, 10), (2, 257), (1, 4099), (0, 3))
_NORMS = _shapes(
    *((1, 1, 1), (1, 1, 2), (2, 3, 1), (5, 3, 7), (64, 17, 1), (3000, 2, 2), (4099, 1, 1)),
    *((3, 2, 5001), (2500, 1, 2), (2100, 3, 2)),
)
_AXES = [{"shape": (7, 33, 5), "axis": axis} for axis in ((0,), (1,), (0, 2))]
_LINES: list[Options] = [
    *_VECTORS,
    *({"shape": (7, 33, 5), "axis": (axis,)} for axis in range(3)),
]
_INDEXED = _shapes((1, 1), (3, 5), (100, 3), (2000, 1))

CASES: dict[str, list[Options]] = {
    "gemm": _products(
        *((1, 0, 1), (0, 3, 2), (1, 1, 1), (3, 2, 5), (1, 784, 1), (10, 784, 30), (7, 1023, 3)),
        *((60, 37, 41), (5, 1025, 24), (3, 5000, 2), (1, 2**17, 1)),
    ),
    **{k: _CONVOLUTIONS for k in BOUNDS if k.startswith("conv2d")},
    **{k: _POOLS for k in BOUNDS if "pool2d" in k and "conv" not in k},
    "reduce": [{**case, "op": op} for case in [*_VECTORS, *_AXES] for op in REDUCTIONS],
    "grouped_reduce": [{**case, "op": "sum"} for case in [*_VECTORS[:6], *_AXES]],
    "cumsum": _LINES,
    "recurrence": [case for case in _LINES if np.prod(case["shape"]) < 20_000],
    **dict.fromkeys(("argmax", "argmin"), _LINES[1:]),
    "argsort": _LINES,
    **dict.fromkeys(("softmax", "log_softmax", "softmax_xent", "softmax_xent_grad"), _ROWS),
    **dict.fromkeys(("batch_norm", "batch_norm_grad"), _NORMS),
    "distort": _shapes((0, 3, 3), (1, 1, 1), (2, 28, 28), (3, 7, 12)),
    **dict.fromkeys(("gather", "scatter_add", "scatter_set"), _INDEXED),
    # The others are in tests/kernels/tape/test_math.py, with arguments of their own.
    "elementwise": [
        {"shape": shape, "op": op}
        for op in sorted((set(ULP) | EXACT | {"int_div"}) - set(FUNCTIONS))
        for shape in ((0,), (1,), (1003,))
    ],
}


def requests(kernel: str, dtype: str) -> Iterator[tuple[Request, str]]:
    """Requests of a kernel, and what numbers each of them has."""
    for seed, options in enumerate(CASES[kernel]):
        for numbers in NUMBERS:
            extreme = options.get("op") in ("max", "min") and options["shape"] == (0,)
            if not extreme:  # undefined
                yield Request(kernel, dtype=dtype, seed=seed, **options), numbers


def longest_sum(call: ExactCall) -> int:
    """The most terms that an element of the results has."""
    shape = call.inputs[0].shape
    if "softmax" in call.kernel:
        return int(shape[1])
    if "batch_norm" in call.kernel:
        return int(shape[0] * shape[2])
    if "reduce" in call.kernel:
        return call.inputs[0].size // max(1, call.exact[0].size)
    if call.kernel in ("elementwise", "distort"):
        return 1
    ones = call.changed(np.ones_like, **({"count": SUM} if "count" in call.params else {}))
    return int(ones[0].max(initial=0))


class Sums(NamedTuple):
    """A part of a kernel's results. op: of the request; output: its number; is_long: of a case
    with sums of LONG_SUM terms or more."""

    op: str | None
    output: int
    is_long: bool


def used(kernel: str, dtype: str, targets: list[str] = TARGETS) -> tuple[dict[Sums, float], int]:
    """The largest error of each part of a kernel's results that isn't exact, as a share of its
    bound; and the longest sum. Raises AssertionError where a result has no bound, or isn't as exact
    as it has to be otherwise."""
    largest: dict[Sums, float] = defaultdict(float)
    longest = 0
    for request, numbers in requests(kernel, dtype):
        problem = problem_of(request, numbers)
        call = exact_call(kernel, problem.params, problem.inputs, problem.outputs)
        bounds = largest_errors(call)
        k = longest_sum(call) if any(b is not None and b.any() for b in bounds) else 0
        longest = max(longest, k)
        for target in targets:
            outputs: list[Any] = list(problem.outputs)
            inputs = list(problem.inputs)
            if problem.in_place is not None:
                inputs[problem.in_place] = outputs[0] = problem.inputs[problem.in_place].copy()
            results = run_kernel(kernel, inputs, outputs, problem.params, target)
            for number, (result, exact) in enumerate(zip(results, call.exact, strict=True)):
                allowed = bounds[number]
                error = error_of(result, exact, largest=allowed)
                where = f"{request}, {numbers} numbers, output {number} on {target}: {error}"
                assert error.wrong == 0, where
                if result.dtype.kind == "f":
                    assert error.used <= 1, where  # neither more than the bound nor without one
                    assert allowed is not None
                    if allowed.any():
                        part = Sums(request.op, number, k >= LONG_SUM)
                        largest[part] = max(largest[part], error.used)
    return dict(largest), longest


def main() -> None:
    """Prints the table."""
    groups: dict[tuple[str, str], list[str]] = {}
    for kernel, bound in BOUNDS.items():
        groups.setdefault((bound.form, bound.source), []).append(kernel)
    print("| kernels | largest error | why | longest k | float32 | float64 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (form, source), kernels in groups.items():
        shares, lengths = [], set()
        for dtype in DTYPES:
            found = [used(k, dtype) for k in kernels if k in CASES]
            lengths |= {k for parts, k in found if parts}
            share = max((s for parts, _ in found for s in parts.values()), default=0.0)
            shares.append(f"{share:.0%}" if found else "\u2013")
        ends = sorted({min(lengths), max(lengths)}) if lengths else []
        print(f"| {', '.join(f'`{k}`' for k in kernels)} | {form} | {source} |", end=" ")
        print(" to ".join(f"{k:,}" for k in ends) or "\u2013", end=" | ")
        print(" | ".join(shares), "|", flush=True)


if __name__ == "__main__":
    main()
