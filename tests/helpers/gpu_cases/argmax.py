"""argmax and argmin: ties, NaN, every dtype and layout."""

from __future__ import annotations

import numpy as np
from helpers.gpu_cases.case import Case, Problem
from helpers.layouts import relaid

from tinygrad_mnist.contracts import ArraySpec

VALUES = ("sim", "gpu")
CODE = ("compile", "gpu")


def place(shape, axis, dtype="float32", strided=False, special=(), ties=True):
    """ties: of small whole numbers. special: values that are scattered in, twice each."""

    def make(rng: np.random.Generator) -> Problem:
        x = rng.integers(0, 4 if ties else 100, shape).astype(dtype)
        for value in (*special, *special):
            x.flat[rng.integers(x.size)] = value
        if strided:
            x = relaid(x, rng)
        result = np.full(tuple(1 if d == axis else n for d, n in enumerate(shape)), -7)
        output = relaid(result, rng) if strided else ArraySpec("int64", result.shape)
        return [x], [output], {"axis": axis}

    return make


NOT_NUMBERS = (np.nan, np.inf, -np.inf)

CASES = [
    Case("rows", "argmax", place((10, 10), 1), modes=VALUES),
    Case("special", "argmax", place((9, 19), 1, special=NOT_NUMBERS), modes=VALUES),
    Case("special", "argmin", place((9, 19), 1, special=NOT_NUMBERS), modes=VALUES),
    Case("first-axis", "argmin", place((19, 3), 0, strided=True), modes=VALUES),
    Case("middle-axis", "argmax", place((2, 9, 3), 1, strided=True), modes=VALUES),
    Case("one", "argmax", place((1, 1), 1), modes=VALUES),
    Case("vector", "argmax", place((37,), 0), modes=VALUES),
    Case("nothing", "argmax", place((0, 3), 1), modes=VALUES),
    Case("nothing-long", "argmax", place((0, 20_000), 1), modes=VALUES),
    Case("nothing-long-columns", "argmin", place((20_000, 0), 0), modes=VALUES),
    Case("parts", "argmax", place((2101, 2), 0), modes=VALUES),
    Case("parts-special", "argmin", place((2101, 2), 0, special=(np.nan,)), modes=VALUES),
    *(
        Case(dtype, kernel, place((3, 17), 1, dtype, ties=dtype != "bool"), modes=VALUES)
        for dtype in ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
        for kernel in ("argmax", "argmin")
    ),
    Case("float64", "argmax", place((3, 17), 1, "float64"), modes=VALUES),
    Case("scores", "argmax", place((10_000, 10), 1), modes=CODE, registers=32),
    Case("long", "argmin", place((1_000_003,), 0, ties=False), modes=CODE, registers=64),
    Case("columns", "argmax", place((5000, 300), 0, ties=False), modes=("gpu",)),
]
