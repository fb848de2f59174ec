"""reduce and grouped_reduce."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from helpers.epilogues import dropout, epilogue
from helpers.gpu_cases.case import AnyArray, Case, Problem
from helpers.layouts import normal, relaid
from helpers.native import unary

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.group import join_members
from tinygrad_mnist.contracts.core.tape import Instruction, Tape
from tinygrad_mnist.contracts.reduce.reduce import MAX, MIN, PROD, REDUCE, SUM

VALUES = ("sim", "gpu")
CODE = ("compile", "gpu")


def kept(shape, axes):
    return tuple(1 if d in axes else n for d, n in enumerate(shape))


def params_of(op: int, axes: Sequence[int], prologue: Tape, tail: Tape) -> dict[str, Any]:
    return {
        "op": op,
        "axes_mask": sum(1 << a for a in axes),
        "n_prologue": prologue.n_inputs,
        "prologue": prologue,
        "epilogue": tail,
    }


def values(rng, shape, op, dtype) -> AnyArray:
    """Positive for sums and products, so that nothing cancels; either sign for extremes."""
    if op in (MAX, MIN):
        return (normal(rng, shape, "float64") * 100).astype(dtype)
    return (rng.random(shape) + 0.5 if dtype != "int64" else rng.integers(1, 9, shape)).astype(
        dtype
    )


def plain(shape, axes, op=SUM, dtype="float32", layout="", special=(), tail="identity"):
    """layout: "strided", "transposed", "broadcast" along axis 0, or C order. special: values that
    are scattered in."""

    def make(rng: np.random.Generator) -> Problem:
        x = values(rng, shape, op, dtype)
        for value in special:
            x.flat[rng.integers(x.size)] = value
        if layout == "strided":
            x = relaid(x, rng)
        elif layout == "transposed":
            x = np.asfortranarray(x)
        elif layout == "broadcast":
            x = np.broadcast_to(x[:1], shape)
        end = epilogue(tail, rng, kept(shape, axes), dtype, len(shape) - 1)
        result: Any = ArraySpec(dtype, kept(shape, axes)) if end.output is None else end.output
        params = params_of(op, axes, Tape.identity(dtype), end.tape)
        return [x, *end.extras], [result], params

    return make


def squared_distance(shape, axes):
    """sum((x - y)^2), y of integers, into an output with gaps."""

    def make(rng: np.random.Generator) -> Problem:
        x = relaid(normal(rng, shape, "float32"), rng)
        y = rng.integers(-9, 9, shape).astype("int32")
        tape = Tape("float32", 2, (Instruction("sub", (0, 1)), Instruction("sqr", (2,))), (3,))
        output = relaid(np.full(kept(shape, axes), np.nan, "float32"), rng)
        return [x, y], [output], params_of(SUM, axes, tape, Tape.identity("float32"))

    return make


def masked(shape, axes):
    """sum(x * (uniform < 0.5)): the mask depends on the numbers of elements, not on the layout."""

    def make(rng: np.random.Generator) -> Problem:
        x = relaid(values(rng, shape, SUM, "float32"), rng)
        params = params_of(SUM, axes, dropout("float32"), Tape.identity("float32"))
        return [x, np.array(5)], [ArraySpec("float32", kept(shape, axes))], params

    return make


def other_dtypes(read, computed, written):
    """The greatest of each row, read, computed and written in different dtypes."""

    def make(rng: np.random.Generator) -> Problem:
        x = rng.integers(0, 2 if read == "bool" else 90, (4, 5)).astype(read)
        params = params_of(MAX, (1,), Tape.identity(computed), Tape.identity(computed))
        return [x], [ArraySpec(written, (4, 1))], params

    return make


def group(*members):
    """members: (shape, axes, op, dtype, whether squares are reduced and the output is updated)."""

    def make(rng: np.random.Generator) -> Problem:
        parts, inputs, outputs = [], [], []
        for shape, axes, op, dtype, squares in members:
            x = values(rng, shape, op, dtype)
            prologue = unary("sqr", dtype) if squares else Tape.identity(dtype)
            end = epilogue("update" if squares else "identity", rng, kept(shape, axes), dtype, 0)
            parts.append((params_of(op, axes, prologue, end.tape), 1 + len(end.extras)))
            inputs += [x, *end.extras]
            outputs.append(
                ArraySpec(dtype, kept(shape, axes)) if end.output is None else end.output
            )
        return inputs, outputs, join_members(REDUCE, parts)

    return make


# A training step of the book's conv2-relu at batch 10: gradients of biases, squares of weights.
BOOK = [
    *(
        (shape, tuple(range(len(shape))), SUM, "float32", True)
        for shape in ((20, 1, 5, 5), (40, 20, 5, 5), (640, 100), (100, 10))
    ),
    ((10, 20, 12, 12), (0, 2, 3), SUM, "float32", False),
    ((10, 40, 4, 4), (0, 2, 3), SUM, "float32", False),
    ((10, 100), (0,), SUM, "float32", False),
    ((10, 10), (0,), SUM, "float32", False),
]
SMALL_GROUP = [
    ((3, 5), (1,), SUM, "float32", False),
    ((2100, 2), (0,), SUM, "float32", True),
    ((40,), (0,), MAX, "float32", False),
]
MIXED = [*SMALL_GROUP, ((2100, 2), (0,), SUM, "int64", False), ((7, 3), (0,), MIN, "float64", True)]
EMPTY = ((0, 20_000), (1,), SUM, "float32", False)
NOT_NUMBERS = (np.nan, np.inf, -np.inf)

CASES = [
    Case("rows", "reduce", plain((3, 5), (1,)), registers=32),
    Case("columns", "reduce", plain((9, 3), (0,)), modes=VALUES),
    Case("one", "reduce", plain((1, 1), (0, 1)), modes=VALUES),
    Case("no-axes", "reduce", plain((3, 4), ()), modes=VALUES),
    Case("outer", "reduce", plain((3, 4, 5), (0, 2), layout="strided"), modes=VALUES),
    Case("middle", "reduce", plain((3, 4, 5), (1,), layout="strided"), modes=VALUES),
    Case("four-runs", "reduce", plain((2, 3, 2, 3, 2), (0, 2, 4)), modes=VALUES),
    Case("broadcast", "reduce", plain((5, 3), (0,), layout="broadcast"), modes=VALUES),
    Case("transposed", "reduce", plain((6, 17), (1,), layout="transposed"), modes=VALUES),
    Case("long-row", "reduce", plain((1, 523), (1,)), modes=VALUES),
    Case("parts", "reduce", plain((2101, 2), (0,)), modes=VALUES),
    Case("parts-transposed", "reduce", plain((2101, 2), (0,), layout="transposed"), modes=VALUES),
    Case("distance", "reduce", squared_distance((3, 7, 5), (0, 2)), modes=VALUES),
    Case("float64", "reduce", plain((2101, 2), (0,), dtype="float64", tail="update"), doubles=True),
    Case("int64", "reduce", plain((2101, 2), (0,), dtype="int64"), doubles=False),
    *(
        Case(f"{kind}-{n}", "reduce", plain(shape, (1,), op, special=special), modes=VALUES)
        for kind, op in {"prod": PROD, "max": MAX, "min": MIN, "sum": SUM}.items()
        for n, shape, special in (("finite", (3, 19), ()), ("special", (12, 19), NOT_NUMBERS))
    ),
    Case("max-int64", "reduce", plain((3, 19), (1,), MAX, "int64"), modes=VALUES),
    Case("prod-int64", "reduce", plain((3, 19), (1,), PROD, "int64"), modes=VALUES),
    Case("infinity-parts", "reduce", plain((2101, 2), (0,), special=(np.inf,)), modes=VALUES),
    *(
        Case(f"empty-{a}x{b}-{axis}", "reduce", plain((a, b), (axis,), op), modes=VALUES)
        for a, b in ((0, 3), (3, 0))
        for axis in (0, 1)
        for op in (SUM if axis else PROD,)
    ),
    *(
        Case(f"tail-{tail}", "reduce", plain((4, 9), (0,), tail=tail), modes=VALUES)
        for tail in ("bias_relu", "update", "two_extras", "dropout")
    ),
    *(
        Case(
            f"empty-long-{dtype}-{op}-{n}",
            "reduce",
            plain(shape, (n,), op, dtype),
            modes=VALUES,
        )
        for dtype, op in (("float32", SUM), ("float32", MAX), ("float64", SUM), ("int64", SUM))
        for n, shape in enumerate(((20_000, 0), (0, 20_000)))
    ),
    Case("mask", "reduce", masked((3, 7, 4), (0, 2)), modes=VALUES),
    Case("bool-to-int64", "reduce", other_dtypes("bool", "int64", "float32"), modes=VALUES),
    Case("uint8-to-bool", "reduce", other_dtypes("uint8", "float32", "bool"), modes=VALUES),
    Case("int16-to-int8", "reduce", other_dtypes("int16", "int64", "int8"), modes=VALUES),
    Case("bias", "reduce", plain((10, 20, 144), (0, 2)), modes=CODE, registers=32),
    Case("all", "reduce", plain((5_000_011,), (0,)), modes=CODE, registers=64),
    Case("all-max", "reduce", plain((2_000_003,), (0,), MAX), modes=("gpu",)),
    Case("rows-large", "reduce", plain((100_003, 70), (1,)), modes=("gpu",)),
    Case("columns-large", "reduce", plain((10_007, 1000), (0,)), modes=("gpu",)),
    Case("bias-large", "reduce", plain((1000, 20, 576), (0, 2)), modes=("gpu",)),
    Case("small", "grouped_reduce", group(*SMALL_GROUP), modes=VALUES),
    Case("mixed", "grouped_reduce", group(*MIXED), modes=VALUES),
    Case("empty-long", "grouped_reduce", group(*SMALL_GROUP, EMPTY), modes=VALUES),
    Case("empty-long-alone", "grouped_reduce", group(EMPTY, EMPTY), modes=VALUES),
    Case("book", "grouped_reduce", group(*BOOK), modes=CODE, registers=64),
]
