"""argsort: any axis, layout and dtype, equal elements and NaN."""

from __future__ import annotations

import numpy as np
from helpers.gpu_cases.case import Case, Problem
from helpers.layouts import relaid

from tinygrad_mnist.contracts import ArraySpec

VALUES = ("sim", "gpu")
CODE = ("compile", "gpu")


def orders(shape, axis, dtype="float32", strided=False, special=()):
    """special: values that are scattered in."""

    def make(rng: np.random.Generator) -> Problem:
        x = (rng.normal(size=shape) if dtype[0] == "f" else rng.integers(0, 5, shape)).astype(dtype)
        for value in special:
            x.flat[rng.integers(x.size, size=2)] = value
        x = relaid(x, rng) if strided else x
        result = np.full(shape, -7, np.int64)
        return [x], [relaid(result, rng) if strided else ArraySpec("int64", shape)], {"axis": axis}

    return make


CASES = [
    Case("rows", "argsort", orders((5, 9), 1), modes=VALUES),
    Case("first-axis", "argsort", orders((7, 3), 0, strided=True), modes=VALUES),
    Case("middle-axis", "argsort", orders((2, 9, 3), 1, strided=True), modes=VALUES),
    Case("one", "argsort", orders((1, 1), 1), modes=VALUES),
    Case("nothing", "argsort", orders((3, 0), 1), modes=VALUES),
    Case("no-rows", "argsort", orders((0, 3), 1), modes=VALUES),
    Case("equal", "argsort", orders((3, 40), 1, "uint8"), modes=VALUES),
    Case("int64", "argsort", orders((3, 20), 1, "int64"), modes=VALUES),
    Case(
        "special", "argsort", orders((3, 19), 1, special=(np.nan, np.inf, 0.0, -0.0)), modes=VALUES
    ),
    Case("float64", "argsort", orders((3, 14), 1, "float64"), modes=VALUES, doubles=True),
    Case("many-rows", "argsort", orders((10_000, 10), 1), modes=CODE, registers=40),
    Case("long", "argsort", orders((10_003,), 0), modes=CODE, registers=40),
]
