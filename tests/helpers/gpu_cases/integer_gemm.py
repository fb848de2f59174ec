"""integer_gemm: small sizes of every dtype and layout, many terms for few elements, real sizes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from helpers.gpu_cases.case import Case, Problem
from helpers.gpu_cases.gemm import LAYOUTS
from helpers.layouts import integer_matrix, relaid

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.graph.types import BOOL, INTEGERS


def product(
    m: int,
    n: int,
    k: int,
    dtype: str,
    layouts: tuple[str, str] = ("rows", "rows"),
    strided_output: bool = False,
) -> Callable[[np.random.Generator], Problem]:
    def make(rng: np.random.Generator) -> Problem:
        a = integer_matrix(rng, layouts[0], (m, k), dtype)
        b = integer_matrix(rng, layouts[1], (k, n), dtype)
        output = np.zeros((m, n), dtype)
        result = relaid(output, rng) if strided_output else ArraySpec(dtype, (m, n))
        return [a, b], [result], {}

    return make


SIZES = [(1, 1, 1), (3, 5, 7), (5, 4, 33), (2, 40, 3), (2, 3, 0)]

CASES = [
    Case(
        f"{m}x{n}x{k}-{dtype}",
        "integer_gemm",
        product(m, n, k, dtype, LAYOUTS[number % len(LAYOUTS)], strided_output=number % 3 == 0),
        modes=("sim", "gpu"),
    )
    for number, (dtype, (m, n, k)) in enumerate(
        (dtype, size) for dtype in (BOOL, *INTEGERS) for size in SIZES
    )
] + [
    Case("empty", "integer_gemm", product(0, 5, 3, "int8"), modes=("sim", "gpu")),
    Case("many-terms", "integer_gemm", product(1, 1, 300, "int32"), modes=("sim", "gpu")),
    Case("many-terms-of-columns", "integer_gemm", product(2, 3, 200, "int64")),
    Case("layer", "integer_gemm", product(1000, 1000, 1000, "int64"), modes=("compile", "gpu")),
    Case("pixels", "integer_gemm", product(600, 100, 784, "uint8"), modes=("compile", "gpu")),
]
