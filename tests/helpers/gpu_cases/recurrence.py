"""recurrence: any axis and layout, both directions."""

from __future__ import annotations

import numpy as np
from helpers.gpu_cases.case import Case, Problem
from helpers.layouts import relaid

from tinygrad_mnist.contracts import ArraySpec

VALUES = ("sim", "gpu")
CODE = ("compile", "gpu")


def recurrences(shape, axis, dtype="float32", reverse=False, strided=False, special=()):
    """special: values that are scattered in."""

    def make(rng: np.random.Generator) -> Problem:
        x, a = (
            (rng.normal(size=shape) if dtype != "int64" else rng.integers(-9, 9, shape)).astype(
                dtype
            )
            for _ in range(2)
        )
        for value in special:
            a.flat[rng.integers(a.size)] = value
        params = {"axis": axis, "reverse": reverse}
        if not strided:
            return [x, a], [ArraySpec(dtype, shape)], params
        return [relaid(x, rng), relaid(a, rng)], [relaid(np.full_like(x, -7), rng)], params

    return make


CASES = [
    Case("rows", "recurrence", recurrences((5, 9), 1), modes=VALUES),
    Case("reverse", "recurrence", recurrences((5, 9), 1, reverse=True), modes=VALUES),
    Case("first-axis", "recurrence", recurrences((7, 3), 0, strided=True), modes=VALUES),
    Case("one", "recurrence", recurrences((1, 1), 1), modes=VALUES),
    Case("nothing", "recurrence", recurrences((3, 0), 1), modes=VALUES),
    Case("special", "recurrence", recurrences((3, 19), 1, special=(np.nan, np.inf)), modes=VALUES),
    Case("int64", "recurrence", recurrences((3, 14), 1, "int64"), modes=VALUES),
    Case(
        "float64",
        "recurrence",
        recurrences((2, 9, 3), 1, "float64", reverse=True, strided=True),
        modes=VALUES,
        doubles=True,
    ),
    Case("many-rows", "recurrence", recurrences((100_000, 10), 1), modes=CODE, registers=40),
]
