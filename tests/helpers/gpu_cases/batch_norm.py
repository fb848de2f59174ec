"""batch_norm and batch_norm_grad."""

from __future__ import annotations

import numpy as np
from helpers.epilogues import epilogue
from helpers.gpu_cases.case import Case, Problem
from helpers.layouts import normal, relaid

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.batch_norm.batch_norm import batch_norm_reference
from tinygrad_mnist.contracts.core.tape import Tape

VALUES = ("sim", "gpu")
CODE = ("compile", "gpu")


def results_of(shape, dtype, n_channels, rng, strided):
    specs = [ArraySpec(dtype, shape), *[ArraySpec(dtype, shape[1:2])] * n_channels]
    if not strided:
        return specs
    return [relaid(np.full(spec.shape, np.nan, dtype), rng) for spec in specs]


def forward(shape, dtype="float32", tail="identity", strided=False, offset=0.0, special=False):
    """offset: added to x. special: a NaN in the first channel, infinity in the second."""

    def make(rng: np.random.Generator) -> Problem:
        x = (normal(rng, shape, "float64") * 2 + offset).astype(dtype)
        if special:
            x[-1, 0, -1], x[-1, 1, 0] = np.nan, np.inf
        channels = [normal(rng, shape[1:2], dtype) for _ in range(2)]
        arrays = [relaid(a, rng) if strided else a for a in (x, *channels)]
        end = epilogue(tail, rng, shape, dtype, 1)
        outputs = results_of(shape, dtype, 3, rng, strided)
        if end.output is not None:
            outputs[0] = end.output
        epsilon = np.array(1e-3, dtype)
        return [*arrays, epsilon, *end.extras], outputs, {"epilogue": end.tape}

    return make


def gradient(shape, dtype="float32", strided=False):
    def make(rng: np.random.Generator) -> Problem:
        # Shifted, so that no sum comes out near 0 by chance.
        x, g = normal(rng, shape, dtype) * 2, normal(rng, shape, dtype) + np.array(0.5, dtype)
        g += np.array(0.3, dtype) * x
        gamma = normal(rng, shape[1:2], dtype)
        tape = {"epilogue": Tape.identity(dtype)}
        given = [x.astype("float64"), gamma, gamma, np.array(1e-3)]
        _, mean, invstd, _ = batch_norm_reference(tape, given, [ArraySpec("float64", shape)])
        arrays = [x, g, gamma, mean.astype(dtype), invstd.astype(dtype)]
        if strided:
            arrays = [relaid(a, rng) for a in arrays]
        return arrays, results_of(shape, dtype, 2, rng, strided), {}

    return make


CASES = [
    *(
        Case(f"{name}-{kind}", kernel, make(shape, strided=name == "strided"), modes=VALUES)
        for kernel, make in (("batch_norm", forward), ("batch_norm_grad", gradient))
        for name in ("plain", "strided")
        for kind, shape in {
            "images": (2, 3, 11),
            "rows": (17, 5, 1),
            "one": (1, 6, 1),
            "short": (3, 4, 2),
        }.items()
    ),
    *(
        Case("float64", kernel, make((3, 2, 9), "float64"), modes=VALUES)
        for kernel, make in (("batch_norm", forward), ("batch_norm_grad", gradient))
    ),
    *(
        Case(f"nothing-{'x'.join(map(str, shape))}", kernel, make(shape), modes=VALUES)
        for kernel, make in (("batch_norm", forward), ("batch_norm_grad", gradient))
        for shape in ((0, 3, 4), (3, 0, 4), (3, 2, 0), (20_000, 0, 1))
    ),
    *(
        Case(tail, "batch_norm", forward((3, 4, 5), tail=tail), modes=VALUES)
        for tail in ("bias_relu", "update", "two_extras", "dropout")
    ),
    Case("far-mean", "batch_norm", forward((9, 2, 17), offset=3e4), modes=VALUES),
    Case("parts", "batch_norm", forward((2053, 1, 1), tail="update", offset=3e4), modes=VALUES),
    Case("special", "batch_norm", forward((5, 3, 3), special=True), modes=VALUES),
    Case("special-parts", "batch_norm", forward((2053, 2, 1), special=True), modes=VALUES),
    Case("parts", "batch_norm_grad", gradient((2053, 1, 1)), modes=VALUES),
    *(
        case
        for kernel, make in (("batch_norm", forward), ("batch_norm_grad", gradient))
        for case in (
            Case("book", kernel, make((10, 20, 144)), modes=CODE, registers=64),
            Case("large", kernel, make((1000, 20, 576)), modes=CODE, registers=80),
            Case("dense", kernel, make((10_000, 100, 1)), modes=("gpu",)),
            Case("parts-float64", kernel, make((999, 3, 100), "float64"), modes=CODE, doubles=True),
        )
    ),
]
