"""cumsum: any axis and layout, rows that are cut into parts."""

from __future__ import annotations

import numpy as np
from helpers.gpu_cases.case import Case, Problem
from helpers.layouts import relaid

from tinygrad_mnist.contracts import ArraySpec

VALUES = ("sim", "gpu")
CODE = ("compile", "gpu")


def sums(shape, axis, dtype="float32", reverse=False, strided=False, special=()):
    """special: values that are scattered in."""

    def make(rng: np.random.Generator) -> Problem:
        x = (rng.random(shape) + 0.5 if dtype != "int64" else rng.integers(-9, 9, shape)).astype(
            dtype
        )
        for value in special:
            x.flat[rng.integers(x.size)] = value
        x = relaid(x, rng) if strided else x
        result = relaid(np.full_like(x, -7), rng) if strided else ArraySpec(dtype, shape)
        return [x], [result], {"axis": axis, "reverse": reverse}

    return make


CASES = [
    Case("rows", "cumsum", sums((5, 9), 1), modes=VALUES),
    Case("reverse", "cumsum", sums((5, 9), 1, reverse=True), modes=VALUES),
    Case("first-axis", "cumsum", sums((7, 3), 0, strided=True), modes=VALUES),
    Case("middle-axis", "cumsum", sums((2, 9, 3), 1, strided=True, reverse=True), modes=VALUES),
    Case("one", "cumsum", sums((1, 1), 1), modes=VALUES),
    Case("nothing", "cumsum", sums((3, 0), 1), modes=VALUES),
    Case("no-rows", "cumsum", sums((0, 3), 1), modes=VALUES),
    Case("no-rows-long", "cumsum", sums((0, 20_000), 1), modes=VALUES),
    Case("parts", "cumsum", sums((2, 210), 1), modes=VALUES),
    Case("parts-reverse", "cumsum", sums((210, 2), 0, reverse=True, strided=True), modes=VALUES),
    Case("special", "cumsum", sums((3, 19), 1, special=(np.nan, np.inf, -np.inf)), modes=VALUES),
    Case("parts-special", "cumsum", sums((2, 210), 1, special=(np.inf, -np.inf)), modes=VALUES),
    Case("int64", "cumsum", sums((3, 140), 1, "int64"), modes=VALUES),
    Case("float64", "cumsum", sums((3, 140), 1, "float64"), modes=VALUES, doubles=True),
    Case("many-rows", "cumsum", sums((100_000, 10), 1), modes=CODE, registers=32),
    Case("long", "cumsum", sums((1_000_003,), 0, reverse=True), modes=CODE, registers=48),
    Case("images", "cumsum", sums((100, 28, 28), 1, "float64"), modes=CODE, doubles=True),
]
