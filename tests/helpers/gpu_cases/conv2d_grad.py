"""Gradients of convolutions, plain and behind a pool."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from helpers.convolutions import Case as Convolution
from helpers.epilogues import epilogue
from helpers.gpu_cases.case import Case, Problem
from helpers.layouts import relaid

from tinygrad_mnist.checking.one_call import poisoned

WHICH = ("input", "filter")


def kernel_name(conv: Convolution, which: str) -> str:
    return f"conv2d_{'pool_' if conv.pool else ''}grad_{which}"


def problem(
    conv: Convolution,
    which: str,
    tail: str,
    strided: bool,
    whole: bool,
    rng: np.random.Generator,
) -> Problem:
    """Random operands, with half of the gradients zero, as behind ReLU."""
    spec, other = (conv.w, conv.x) if which == "filter" else (conv.x, conv.w)
    if conv.n > 100 and os.environ.get("TINYGRAD_MNIST_GPU_TESTS") == "compile":
        specs = [other, conv.y, conv.winners][: 3 if conv.pool else 2]
        inputs = [np.zeros(one.shape, one.dtype) for one in specs]  # their values don't matter
    else:
        g = conv.operand(rng, conv.y, strided, whole)
        g *= rng.integers(0, 2, g.shape)
        inputs = [conv.operand(rng, other, strided, whole), g]
        if conv.pool:
            inputs.append(conv.random_winners(rng, strided))
    end = epilogue(tail, rng, spec.shape, conv.dtype, 0 if which == "filter" else 1, whole)
    output = spec if not strided else relaid(poisoned(spec), rng)
    if end.output is not None:
        output = end.output
    return [*inputs, *end.extras], [output], conv.params(end.tape)


def cases_of(
    name: str,
    conv: Convolution,
    tail: str = "identity",
    strided: bool = False,
    whole: bool = False,
    which: Sequence[str] = WHICH,
    **options: object,
) -> list[Case]:
    """Both gradients of a convolution."""
    return [
        Case(
            f"{name}-{tail}",
            kernel_name(conv, w),
            partial(problem, conv, w, tail, strided, whole),
            doubles=conv.dtype == "float64",
            **options,  # type: ignore[arg-type]
        )
        for w in which
    ]


VALUES = ("sim", "gpu")  # whose machine code is like that of another case
REAL_SIZE = ("compile", "gpu")
PLAIN = Convolution(2, 2, (6, 5), 3, (3, 2))
# Sums take more shared memory than operands, and there is space between them that nothing writes.
SPACED = Convolution(1, 2, (2, 2), 16, (1, 1))
POOLED = replace(PLAIN, pool=(2, 2), flip=1)
SMALL = [
    *cases_of("plain", PLAIN, modes=VALUES),
    *cases_of("float64", replace(PLAIN, dtype="float64", flip=1), "bias_relu", modes=VALUES),
    *cases_of("strided", replace(PLAIN, stride=(2, 1), padding=(1, 2)), "two_extras", True),
    *cases_of(
        "stride-3", Convolution(1, 1, (8, 7), 2, (2, 2), stride=(3, 2), flip=1), modes=VALUES
    ),
    *cases_of(
        "wide-padding", Convolution(1, 1, (2, 3), 1, (2, 3), padding=(3, 2)), "update", modes=VALUES
    ),
    *cases_of("no-images", Convolution(0, 1, (4, 4), 2, (3, 3)), "two_extras", modes=VALUES),
    *cases_of("no-positions", Convolution(1, 1, (2, 2), 2, (3, 3)), "bias_relu", modes=VALUES),
    *cases_of("one", Convolution(1, 1, (1, 1), 1, (1, 1)), modes=VALUES),
    *cases_of("spaced", SPACED, which=("input",), modes=VALUES),
    *cases_of("spaced-float64", replace(SPACED, dtype="float64"), which=("input",), modes=VALUES),
    *cases_of("pool-spaced", replace(SPACED, pool=(2, 2)), which=("input",), modes=VALUES),
    *cases_of("pool", POOLED, "update", modes=VALUES),
    *cases_of("pool-ties", replace(POOLED, flip=0), "two_extras", whole=True, modes=VALUES),
    *cases_of("pool-float64", replace(POOLED, dtype="float64"), "bias_relu"),
    *cases_of(
        "pool-strided", replace(POOLED, pool=(1, 3), padding=(1, 1)), "update", True, modes=VALUES
    ),
    *cases_of(
        "pool-bytes", Convolution(1, 1, (6, 5), 2, (2, 2), pool=(4, 3)), strided=True, modes=VALUES
    ),
    *cases_of(
        "pool-stride",
        Convolution(1, 2, (9, 8), 2, (2, 3), stride=(2, 1), pool=(2, 2)),
        modes=VALUES,
    ),
    *cases_of(
        "pool-nothing", Convolution(2, 1, (3, 3), 2, (2, 2), pool=(4, 4)), "update", modes=VALUES
    ),
]

SECOND = Convolution(10, 20, (12, 12), 40, (5, 5), flip=1, pool=(2, 2))
FIRST = Convolution(10, 1, (28, 28), 20, (5, 5), flip=1, pool=(2, 2))
WIDE = ("FFMA", "sm_75:LDS.U.128", "sm_80:LDS.128", "sm_90:LDS.128")
# A block of 512 threads has 128 registers for each.
REAL = [
    *cases_of("conv2-10", SECOND, modes=REAL_SIZE, wants=WIDE, registers=128),
    *cases_of("conv2-10000", replace(SECOND, n=10_000), modes=REAL_SIZE, wants=WIDE, registers=128),
    *cases_of("conv2-128", replace(SECOND, n=128, dtype="float64"), "update", modes=("gpu",)),
    *cases_of("conv1-10", FIRST, "update", which=("filter",), modes=("gpu",)),
    *cases_of("conv1-10000", replace(FIRST, n=10_000), "update", which=("filter",), modes=("gpu",)),
    *cases_of("wide", Convolution(64, 16, (32, 40), 24, (3, 3), padding=(1, 1)), modes=("gpu",)),
    *cases_of("large-filter", Convolution(4, 3, (40, 40), 8, (19, 19)), modes=("gpu",)),
]

CASES = [*SMALL, *REAL]
