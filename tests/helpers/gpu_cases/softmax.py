"""softmax, log_softmax, and the cross-entropy that is fused with them."""

from __future__ import annotations

import numpy as np
from helpers.epilogues import epilogue
from helpers.gpu_cases.case import Case, Problem
from helpers.layouts import normal, relaid

from tinygrad_mnist.contracts import ArraySpec

VALUES = ("sim", "gpu")
CODE = ("compile", "gpu")


def rows(shape, dtype="float32", strided=False, scale=3.0):
    def make(rng: np.random.Generator) -> Problem:
        x = (normal(rng, shape, dtype) * scale).astype(dtype)
        output = np.full(shape, np.nan, dtype)
        if not strided:
            return [x], [ArraySpec(dtype, shape)], {}
        return [relaid(x, rng)], [relaid(output, rng)], {}

    return make


def extreme(dtype):
    """Differences beyond what exp takes, infinities, NaN, equal values."""

    def make(rng: np.random.Generator) -> Problem:
        big = float(np.finfo(dtype).max)
        lines = [
            [0.0, 1e4, -1e4],
            [big, big, 0.0],
            [-big, -big, -big],
            [-np.inf, 0.0, 1.0],
            [np.nan, 0.0, 1.0],
            [0.0, np.inf, 1.0],
            [-np.inf, -np.inf, -np.inf],
            [2.0, 2.0, 2.0],
        ]
        return [np.array(lines, dtype)], [ArraySpec(dtype, (len(lines), 3))], {}

    return make


def labels_of(rng, n, c, dtype):
    least = 0 if dtype.startswith("u") else -min(c, 128)
    return relaid(rng.integers(least, min(c, 127), n).astype(dtype), rng)


def cross_entropy(shape, dtype="float32", labels="int64", strided=False):
    def make(rng: np.random.Generator) -> Problem:
        x = normal(rng, shape, dtype) * np.array(3, dtype)
        y = labels_of(rng, *shape, labels)
        specs = [ArraySpec(dtype, shape[:1]), ArraySpec(dtype, shape)]
        if not strided:
            return [x, y], specs, {}
        outputs = [relaid(np.full(s.shape, np.nan, dtype), rng) for s in specs]
        return [relaid(x, rng), y], outputs, {}

    return make


def gradient(shape, dtype="float32", labels="int64", tail="identity", strided=False):
    def make(rng: np.random.Generator) -> Problem:
        power = rng.random(shape) + 0.01
        probabilities = (power / power.sum(axis=1, keepdims=True)).astype(dtype)
        if strided:
            probabilities = relaid(probabilities, rng)
        g = normal(rng, shape[:1], dtype)
        end = epilogue(tail, rng, shape, dtype, 1)
        inputs = [probabilities, labels_of(rng, *shape, labels), g, *end.extras]
        result = ArraySpec(dtype, shape) if end.output is None else end.output
        return inputs, [result], {"epilogue": end.tape}

    return make


KINDS = ("softmax", "log_softmax")
LABELS = ("int8", "int16", "int32", "uint8", "uint16", "uint32")

CASES = [
    *(
        case
        for kind in KINDS
        for case in (
            Case("short", kind, rows((5, 10)), modes=VALUES),
            Case("short-strided", kind, rows((5, 7), strided=True), modes=VALUES),
            Case("several-blocks", kind, rows((30, 17)), modes=VALUES),
            Case("one-column", kind, rows((4, 1)), modes=VALUES),
            Case("long", kind, rows((3, 67)), modes=VALUES),
            Case("long-strided", kind, rows((3, 67), strided=True), modes=VALUES),
            Case("extreme", kind, extreme("float32"), modes=VALUES),
            Case("float64", kind, rows((3, 37), "float64"), modes=VALUES),
            Case("book", kind, rows((10, 10)), modes=CODE, registers=40),
        )
    ),
    Case("wide", "softmax", rows((300, 5003)), modes=CODE, registers=64),
    Case("wide", "log_softmax", rows((300, 5003)), modes=("gpu",)),
    Case("nothing", "softmax", rows((0, 3)), modes=VALUES),
    Case("nothing-long", "softmax", rows((0, 20_000)), modes=VALUES),
    Case("nothing-long", "softmax_xent", cross_entropy((0, 20_000)), modes=VALUES),
    Case("rounds", "softmax", rows((1, 4200)), modes=VALUES),
    Case("short", "softmax_xent", cross_entropy((5, 10)), modes=VALUES),
    Case("short-strided", "softmax_xent", cross_entropy((4, 7), strided=True), modes=VALUES),
    Case("long-strided", "softmax_xent", cross_entropy((3, 67), strided=True), modes=VALUES),
    Case("float64", "softmax_xent", cross_entropy((3, 10), "float64"), doubles=True),
    Case("book", "softmax_xent", cross_entropy((10, 10)), modes=CODE, registers=40),
    Case("large", "softmax_xent", cross_entropy((10_000, 10)), modes=("gpu",)),
    Case("wide", "softmax_xent", cross_entropy((500, 1000)), modes=CODE, registers=64),
    *(
        Case(f"labels-{dtype}", kind, make((6, 5), labels=dtype), modes=VALUES)
        for dtype in LABELS
        for kind, make in (("softmax_xent", cross_entropy), ("softmax_xent_grad", gradient))
    ),
    *(
        Case(tail, "softmax_xent_grad", gradient((5, 7), tail=tail), modes=VALUES)
        for tail in ("identity", "bias_relu", "update", "two_extras")
    ),
    Case("strided", "softmax_xent_grad", gradient((5, 7), strided=True), modes=VALUES),
    Case("nothing", "softmax_xent_grad", gradient((0, 7)), modes=VALUES),
    Case("float64", "softmax_xent_grad", gradient((5, 7), "float64"), modes=VALUES),
    Case("book", "softmax_xent_grad", gradient((10, 10)), modes=CODE, registers=32),
    Case("large", "softmax_xent_grad", gradient((10_000, 1000), tail="update"), modes=("gpu",)),
]
