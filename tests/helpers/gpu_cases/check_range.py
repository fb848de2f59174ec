"""check_range's machine code; `tests/gpu/test_check_range.py` has its verdicts."""

from __future__ import annotations

import numpy as np
from helpers.gpu_cases.case import Case, Problem

LIMITS = {"low": -10, "high": 10}


def index(shape: tuple[int, ...], dtype: str):
    def make(rng: np.random.Generator) -> Problem:
        return [rng.integers(-10, 10, shape).astype(dtype)], [], LIMITS

    return make


CASES = [
    Case("labels", "check_range", index((10,), "int32"), modes=("compile",)),
    Case("large", "check_range", index((1000, 700), "int64"), modes=("compile",), registers=48),
]
