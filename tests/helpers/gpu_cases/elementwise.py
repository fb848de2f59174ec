from __future__ import annotations

import numpy as np
from helpers.gpu_cases.case import Case, Problem
from helpers.layouts import normal, relaid

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.tape import Instruction, Tape


def add(shape: tuple[int, ...], dtype: str, strided: bool = False):
    def make(rng: np.random.Generator) -> Problem:
        x, y = normal(rng, shape, dtype), normal(rng, shape[-1:], dtype)
        if strided:
            x = relaid(x, rng)
        tape = Tape(dtype, 2, (Instruction("add", (0, 1)),), (2,))
        return [x, np.broadcast_to(y, shape)], [ArraySpec(dtype, shape)], {"tape": tape}

    return make


CASES = [
    Case("add", "elementwise", add((3, 5), "float32")),
    Case("add-strided", "elementwise", add((2, 3, 4), "float32", True)),
    Case("add-float64", "elementwise", add((3, 5), "float64"), doubles=True),
    Case("add-large", "elementwise", add((1000, 1000), "float32"), modes=("compile", "gpu")),
]
