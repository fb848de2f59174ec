"""gemm: layers and gradients of the book's nets, odd sizes, every layout and epilogue."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from helpers.epilogues import EPILOGUES, epilogue
from helpers.gpu_cases.case import AnyArray, Case, Problem
from helpers.layouts import normal, relaid

from tinygrad_mnist.contracts import ArraySpec


def matrix(rng: np.random.Generator, layout: str, shape: tuple[int, int], dtype: str) -> AnyArray:
    """rows: C order; columns: Fortran order, as a transpose is; any: gaps, and axes backwards."""
    values = normal(rng, shape, dtype)
    if layout == "rows":
        return values
    return np.asfortranarray(values) if layout == "columns" else relaid(values, rng)


def product(
    m: int,
    n: int,
    k: int,
    kind: str = "identity",
    layouts: tuple[str, str] = ("rows", "rows"),
    dtype: str = "float32",
    strided_output: bool = False,
) -> Callable[[np.random.Generator], Problem]:
    def make(rng: np.random.Generator) -> Problem:
        a = matrix(rng, layouts[0], (m, k), dtype)
        b = matrix(rng, layouts[1], (k, n), dtype)
        if kind == "plain_update":
            return _plain_update(rng, a, b)
        tail = epilogue(kind, rng, (m, n), dtype, bias_axis=1)
        output: ArraySpec | AnyArray = ArraySpec(dtype, (m, n))
        if tail.output is not None:
            output = tail.output
        elif strided_output:
            output = relaid(np.full((m, n), np.nan, dtype), rng)
        return [a, b, *tail.extras], [output], {"epilogue": tail.tape}

    return make


def _plain_update(rng: np.random.Generator, a: AnyArray, b: AnyArray) -> Problem:
    """An update of a matrix in C order, as SGD's of a layer's weights is."""
    old = normal(rng, (a.shape[0], b.shape[1]), a.dtype.name)
    return (
        [a, b, old],
        [old],
        {"epilogue": epilogue("update", rng, old.shape, a.dtype.name, 1).tape},
    )


SIZES = [(1, 1, 1), (3, 5, 7), (5, 4, 33), (10, 13, 8), (4, 8, 16), (2, 3, 0)]
LAYOUTS = [("rows", "rows"), ("rows", "columns"), ("columns", "rows"), ("any", "any")]

# Every size with every layout, epilogues and dtypes in turn.
VALUES = [
    Case(
        f"{m}x{n}x{k}-{'-'.join(layouts)}-{kind}-{dtype}",
        "gemm",
        product(m, n, k, kind, layouts, dtype, strided_output=number % 3 == 0),
        modes=("sim", "gpu"),
    )
    for number, ((m, n, k), layouts) in enumerate(
        (size, layouts) for size in SIZES for layouts in LAYOUTS
    )
    for kind in [EPILOGUES[number % len(EPILOGUES)]]
    for dtype in [("float32", "float64")[(number + number // 4) % 3 % 2]]
] + [
    Case(f"empty-{m}x{n}x{k}", "gemm", product(m, n, k, "bias_relu"), modes=("sim", "gpu"))
    for m, n, k in [(0, 5, 3), (5, 0, 3), (0, 0, 0)]
]


REAL = ("compile", "gpu")

# The products of the book's nets at a mini-batch of 10, and of 1000 x 1000 layers: requirements on
# the machine code, and whether it is compiled, which takes a second each.
BOOK = [
    Case(
        f"book-{name}",
        "gemm",
        product(m, n, k, kind, layouts),
        modes=REAL if wants else ("gpu",),
        wants=wants,
        registers=192,
    )
    for name, (m, n, k), kind, layouts, wants in [
        ("layer", (10, 100, 640), "bias_relu", ("rows", "rows"), ("LDG.E.128", "STS.128")),
        ("logits", (10, 10, 100), "bias_relu", ("rows", "rows"), ()),
        ("logits-gradient", (10, 100, 10), "identity", ("rows", "columns"), ()),
        ("layer-gradient", (10, 640, 100), "identity", ("rows", "columns"), ("LDG.E.128",)),
        ("layer-weights", (640, 100, 10), "plain_update", ("columns", "rows"), ()),
        ("logits-weights", (100, 10, 10), "plain_update", ("columns", "rows"), ()),
        ("wide", (10, 1000, 1000), "bias_relu", ("rows", "rows"), ("LDG.E.128",)),
        ("wide-gradient", (10, 1000, 1000), "identity", ("rows", "columns"), ()),
        (
            "wide-weights",
            (1000, 1000, 10),
            "plain_update",
            ("columns", "rows"),
            ("LDG.E.128", "STG.E.128"),
        ),
    ]
]
# Large products: mini-batches of 10,000, by tiles, with k in parts for the weights.
LARGE = [
    Case(
        f"large-{name}",
        "gemm",
        product(m, n, k, kind, layouts, dtype),
        modes=REAL if wants else ("gpu",),
        wants=wants,
        registers=128,
        doubles=dtype == "float64",
    )
    for name, (m, n, k), kind, layouts, dtype, wants in [
        (
            "layer",
            (10000, 100, 640),
            "bias_relu",
            ("rows", "rows"),
            "float32",
            ("LDG.E.128", "LDS", "STG.E.128", "FFMA"),
        ),
        ("logits", (10000, 10, 100), "bias_relu", ("rows", "rows"), "float32", ()),
        ("layer-gradient", (10000, 640, 100), "identity", ("rows", "columns"), "float32", ()),
        (
            "layer-weights",
            (640, 100, 10000),
            "plain_update",
            ("columns", "rows"),
            "float32",
            ("LDG.E.128", "STS", "FFMA"),
        ),
        ("logits-weights", (100, 10, 10000), "plain_update", ("columns", "rows"), "float32", ()),
        ("odd", (1031, 517, 263), "two_extras", ("any", "any"), "float32", ()),
        ("float64", (2000, 300, 333), "bias_relu", ("rows", "any"), "float64", ("DFMA",)),
    ]
]
ODD = [
    Case(
        "odd-float64",
        "gemm",
        product(33, 17, 29, "two_extras", ("any", "any"), "float64"),
        modes=REAL,
        doubles=True,
    )
]
# Rounding a factor to 11 significant bits changes it by at most 2^-11 of its size, and so every
# product by at most 2^-10 of its own; over many terms of either sign the result no more in norm.
TENSOR = [
    Case(
        f"tf32-{name}",
        "gemm",
        product(m, n, k, kind, layouts),
        tolerance=2**-10,
        modes=modes,
        wants=("sm_80:HMMA.1688.F32.TF32", "sm_90:HMMA.1688.F32.TF32", "sm_75:FFMA"),
        registers=128,
        tf32=True,
    )
    for name, (m, n, k), kind, layouts, modes in [
        ("layer", (10000, 100, 640), "bias_relu", ("rows", "rows"), REAL),
        ("layer-weights", (640, 100, 10000), "plain_update", ("columns", "rows"), ("gpu",)),
    ]
]

CASES = VALUES + BOOK + LARGE + ODD + TENSOR
