"""Random numbers as a tape draws them."""

from __future__ import annotations

import numpy as np
from helpers.gpu_cases.case import Case, Problem

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import Instruction, Tape


def draw(shape: tuple[int, ...], dtype: str, step: int, key: int):
    def make(rng: np.random.Generator) -> Problem:
        tape = Tape(dtype, 1, (Instruction("uniform", (0,), key=key),), (1,))
        return [np.array(step)], [ArraySpec(dtype, shape)], {"tape": tape}

    return make


KEY = 0xFEDCBA9876543210
CASES = [
    Case("uniform", "elementwise", draw((3, 7), "float32", 2**40 + 3, KEY), 0.0, wants=("IMAD.",)),
    Case("uniform-float64", "elementwise", draw((5, 3), "float64", 5, KEY), 0.0, doubles=True),
    Case("uniform-zero", "elementwise", draw((4,), "float32", 0, 0), 0.0),
    Case(
        "uniform-large",
        "elementwise",
        draw((997, 3001), "float32", 2**63 - 1, KEY),
        0.0,
        modes=("compile", "gpu"),
        registers=32,
    ),
]
