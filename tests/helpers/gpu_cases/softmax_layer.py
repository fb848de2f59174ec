"""The last layer of a classifier, with its cost and gradients: softmax_layer."""

from __future__ import annotations

import numpy as np
from helpers.epilogues import epilogue
from helpers.gpu_cases.case import Case, Problem
from helpers.gpu_cases.softmax import labels_of
from helpers.layouts import normal, relaid

from tinygrad_mnist.contracts import ArraySpec

VALUES = ("sim", "gpu")
CODE = ("compile", "gpu")


def layer(
    n, k, c, dtype="float32", labels="int64", tail="identity", strided=False, outputs=3, bias=True
):
    def make(rng: np.random.Generator) -> Problem:
        x, w = normal(rng, (n, k), dtype), normal(rng, (k, c), dtype)
        b, g = normal(rng, (1, c), dtype) * bool(bias), normal(rng, (n,), dtype)
        end = epilogue(tail, rng, (n, k), dtype, 1)
        result = ArraySpec(dtype, (n, k)) if end.output is None else end.output
        inputs = [x, w, b, labels_of(rng, n, c, labels), g, *end.extras]
        shapes = [(n, c), (n,), (n, c)][: outputs - 1]
        if not strided:
            specs = [ArraySpec(dtype, shape) for shape in shapes]
            return inputs, [result, *specs], {"epilogue": end.tape}
        inputs[:5] = [relaid(a, rng) for a in inputs[:5]]
        arrays = [relaid(np.full(shape, np.nan, dtype), rng) for shape in shapes]
        return inputs, [result, *arrays], {"epilogue": end.tape}

    return make


def extreme(dtype):
    """Logits that overflow, infinities, NaN and equal values; a row each."""

    def make(rng: np.random.Generator) -> Problem:
        big = float(np.finfo(dtype).max)
        rows = [
            [1.0, 1e4, -1e4],
            [big, big, 0.0],
            [-big, -big, -big],
            [np.inf, 0.0, 1.0],
            [np.nan, 0.0, 1.0],
            [2.0, 2.0, 2.0],
        ]
        x, (n, k) = np.array(rows, dtype), (len(rows), 3)
        inputs = [x, np.eye(k, dtype=dtype), np.zeros((1, k), dtype)]
        inputs += [rng.integers(0, k, n), np.ones(n, dtype)]
        specs = [ArraySpec(dtype, shape) for shape in ((n, k), (n, k), (n,), (n, k))]
        return inputs, specs, {"epilogue": epilogue("identity", rng, (n, k), dtype, 1).tape}

    return make


LABELS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
TAILS = ("identity", "bias_relu", "update", "two_extras", "dropout")

CASES = [
    Case("short", "softmax_layer", layer(3, 7, 5), modes=VALUES),
    Case("one-row", "softmax_layer", layer(1, 33, 10), modes=VALUES),
    Case("one-input", "softmax_layer", layer(4, 1, 3), modes=VALUES),
    Case("two-classes", "softmax_layer", layer(3, 50, 2), modes=VALUES),
    Case("many-classes", "softmax_layer", layer(2, 9, 32), modes=VALUES),
    Case("strided", "softmax_layer", layer(3, 21, 6, strided=True, outputs=4), modes=VALUES),
    Case("probabilities", "softmax_layer", layer(3, 12, 5, outputs=4), modes=VALUES),
    Case("no-bias", "softmax_layer", layer(3, 12, 5, bias=False), modes=VALUES),
    Case("extreme", "softmax_layer", extreme("float32"), modes=VALUES),
    Case("extreme-64", "softmax_layer", extreme("float64"), modes=VALUES),
    Case("float64", "softmax_layer", layer(3, 30, 4, "float64", tail="update"), modes=VALUES),
    *(
        Case(f"labels-{dtype}", "softmax_layer", layer(4, 6, 5, labels=dtype), modes=VALUES)
        for dtype in LABELS
    ),
    *(Case(tail, "softmax_layer", layer(3, 8, 5, tail=tail), modes=VALUES) for tail in TAILS),
    Case("book", "softmax_layer", layer(10, 100, 10), modes=CODE, registers=40),
    Case("dropout-1000", "softmax_layer", layer(10, 1000, 10), modes=CODE, registers=64),
    Case("wide", "softmax_layer", layer(512, 330, 32, outputs=4), modes=CODE, registers=80),
    Case("most", "softmax_layer", layer(30, 1024, 2), modes=CODE, registers=64),
    Case("float64-code", "softmax_layer", layer(10, 100, 10, "float64"), modes=CODE, doubles=True),
]
