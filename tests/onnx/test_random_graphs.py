"""Random expressions, exported and run by another program."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
from helpers.expressions import evaluate
from helpers.onnx_runs import check_near, exported
from helpers.random_array_steps import EXACT_ARRAYS, KINKED_ARRAYS, SMOOTH_ARRAYS
from helpers.random_graphs import RandomGraph
from helpers.random_integer_steps import INTEGERS
from helpers.random_steps import JUMPING, KINKED, SMOOTH

from tinygrad_mnist.errors import ExportError

ALL = SMOOTH + SMOOTH_ARRAYS + KINKED + KINKED_ARRAYS + JUMPING + INTEGERS + EXACT_ARRAYS
N_GRAPHS = 40


def test_values(tmp_path: Path) -> None:
    """Each expression of random graphs is exported on its own; those that ONNX lacks are few."""
    count: Counter[str] = Counter()
    for seed in range(N_GRAPHS):
        graph = RandomGraph(Random(seed), 6, ALL)
        for item in graph.outputs():
            try:
                (got,) = exported(tmp_path / "x", graph.inputs, item.v, graph.values, seed % 2 > 0)
            except ExportError as error:
                count[str(error).split()[2]] += 1
                continue
            (wanted,) = evaluate(
                "cpu", graph.inputs, [item.v], *graph.values, on_unused_input="ignore"
            )
            check_near(np.asarray(got), wanted)
            count["done"] += 1
    assert count["done"] > 0.9 * sum(count.values()), count
