"""gather, scatter_add, scatter_set."""

from __future__ import annotations

import numpy as np
from helpers.arrays import DTYPES, fill, index_vectors
from helpers.gpu_cases.case import Case, Problem
from helpers.layouts import relaid

from tinygrad_mnist.contracts import ArraySpec

Shape = tuple[int, ...]
WIDE = ("LDG.E.128", "STG.E.128")
BOTH = ("compile", "gpu")
VALUES = ("sim", "gpu")  # whose machine code is like that of another case


def gather(shape: Shape, n: int, dtype: str, axis: int = 0, k: int = 1, strided: bool = False):
    """n elements of `shape` picked along k axes from `axis` on."""

    def make(rng: np.random.Generator) -> Problem:
        x = fill(rng, shape, dtype)
        inputs = [relaid(x, rng) if strided else x, *index_vectors(rng, shape[axis : axis + k], n)]
        spec = ArraySpec(dtype, (*shape[:axis], n, *shape[axis + k :]))
        return inputs, [spec], {"n_index": k, "axis": axis}

    return make


def scatter(
    shape: Shape,
    n: int,
    dtype: str,
    axis: int = 0,
    k: int = 1,
    strided: bool = False,
    places: int | None = None,
):
    """n rows into `shape`, of which the first `places` of the index axes are named."""

    def make(rng: np.random.Generator) -> Problem:
        x = fill(rng, shape, dtype)
        rows = fill(rng, (*shape[:axis], n, *shape[axis + k :]), dtype)
        if strided:
            x, rows = relaid(x, rng), relaid(rows, rng)
        sides = tuple(min(side, places or side) for side in shape[axis : axis + k])
        return [x, rows, *index_vectors(rng, sides, n)], [x], {"n_index": k, "axis": axis}

    return make


def _scatters(name: str) -> list[Case]:
    return [
        *(Case(f"few-{d}", name, scatter((4, 3), 9, d), modes=VALUES) for d in ("float32", "int8")),
        Case("few-bool", name, scatter((3, 2), 5, "bool"), modes=VALUES),
        Case("few-pairs", name, scatter((2, 3, 4, 2), 6, "int32", 1, 2, True), modes=VALUES),
        Case("few-float64", name, scatter((5,), 7, "float64"), doubles=True),
        Case("none", name, scatter((5, 2), 0, "float32"), modes=VALUES),
        Case("empty-rows", name, scatter((5, 0), 3, "float32"), modes=VALUES),
        Case("many", name, scatter((7, 2), 150, "float32")),
        Case("many-blocks", name, scatter((40,), 300, "int64"), modes=VALUES),
        Case("many-strided", name, scatter((2, 9), 140, "int16", 1, 1, True)),
        Case("many-one-place", name, scatter((3,), 130, "uint8", places=1), modes=VALUES),
        Case("rows", name, scatter((1000, 784), 100, "float32"), modes=BOTH),
        Case("long", name, scatter((1000,), 20_000, "float32"), modes=BOTH),
        Case("columns", name, scatter((100, 5000), 3000, "float32", 1), modes=BOTH),
    ]


CASES = [
    *(
        Case(d, "gather", gather((4, 5), 3, d), doubles=d == "float64", modes=VALUES)
        for d in DTYPES
    ),
    Case("strided", "gather", gather((4, 5, 3), 3, "float32", 1, strided=True)),
    Case("pairs", "gather", gather((2, 4, 5, 3), 6, "float32", 1, 2, strided=True)),
    Case("triples", "gather", gather((4, 5, 3), 7, "int64", 0, 3), modes=VALUES),
    Case("none", "gather", gather((4, 5), 0, "float32"), modes=VALUES),
    Case("empty-rows", "gather", gather((4, 0), 2, "float32"), modes=VALUES),
    Case("wide", "gather", gather((2, 4, 8), 3, "float32", 1), wants=WIDE),
    Case("wide-float64", "gather", gather((4, 5, 2), 7, "float64", 0, 2), modes=VALUES),
    Case("batch", "gather", gather((50_000, 784), 10, "float32"), modes=BOTH),
    Case("large", "gather", gather((1000, 28, 28), 10_000, "float32"), modes=BOTH, wants=WIDE),
    *_scatters("scatter_add"),
    *_scatters("scatter_set"),
]
