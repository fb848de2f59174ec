"""Tapes of several layouts, dtypes and outputs; `scalar.py` has every operation."""

from __future__ import annotations

import numpy as np
from helpers.arrays import fill
from helpers.epilogues import dropout, update
from helpers.gpu_cases.case import Case, Problem
from helpers.layouts import normal, relaid
from helpers.native import binary

from tinygrad_mnist.checking.one_call import poisoned
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import OPCODES, Instruction, Tape

Shape = tuple[int, ...]
# The order decides which tape a pair goes through.
DTYPES = [
    *("bool", "int8", "int16", "int32", "int64", "uint8", "float32", "float64"),
    *("uint16", "uint32"),
]
VALUES = ("sim", "gpu")
BOTH = ("compile", "gpu")


def add(shape: Shape, dtype: str, strided: bool = False):
    """The sum of an array and a row."""

    def make(rng: np.random.Generator) -> Problem:
        x, y = normal(rng, shape, dtype), normal(rng, shape[-1:], dtype)
        if strided:
            x = relaid(x, rng)
        return (
            [x, np.broadcast_to(y, shape)],
            [ArraySpec(dtype, shape)],
            {"tape": binary("add", dtype)},
        )

    return make


def into_views(shape: Shape, dtype: str):
    """A sum and a product, into arrays with gaps."""

    def make(rng: np.random.Generator) -> Problem:
        tape = Tape(dtype, 2, (Instruction("add", (0, 1)), Instruction("mul", (0, 1))), (3, 2))
        outputs = [relaid(poisoned(ArraySpec(dtype, shape)), rng) for _ in range(2)]
        return (
            [normal(rng, shape, dtype), relaid(normal(rng, shape, dtype), rng)],
            outputs,
            {"tape": tape},
        )

    return make


def columns(shape: Shape, dtype: str):
    """A column times an array, a scalar added; part of a wider array, of which rows are aligned."""

    def make(rng: np.random.Generator) -> Problem:
        tape = Tape(dtype, 3, (Instruction("mul", (0, 1)), Instruction("add", (3, 2))), (4,))
        wide = normal(rng, (shape[0], 2 * shape[1]), dtype)
        column = np.broadcast_to(normal(rng, (shape[0], 1), dtype), shape)
        scalar = np.broadcast_to(normal(rng, (), dtype), shape)
        inputs = [wide[:, : shape[1]], column, scalar]
        return inputs, [ArraySpec(dtype, shape)], {"tape": tape}

    return make


def in_place(shape: Shape, dtype: str):
    """A step of SGD, written over the parameter."""

    def make(rng: np.random.Generator) -> Problem:
        gradient, old = normal(rng, shape, dtype), normal(rng, shape, dtype)
        return [gradient, old], [old], {"tape": update(dtype)}

    return make


def mask(shape: Shape, dtype: str):
    """An array through dropout: its elements share blocks of random bits."""

    def make(rng: np.random.Generator) -> Problem:
        return (
            [normal(rng, shape, dtype), np.array(7)],
            [ArraySpec(dtype, shape)],
            {"tape": dropout(dtype)},
        )

    return make


def conversion(source: str, middle: str, to: str, shape: Shape = (3, 5)):
    """Values through a tape that does nothing."""

    def make(rng: np.random.Generator) -> Problem:
        x = fill(rng, shape, source)
        if np.dtype(source).kind == "f":  # integers truncate, then wrap
            x = np.round(x * 300, 1)
        return [x], [ArraySpec(to, shape)], {"tape": Tape.identity(middle)}

    return make


def powers(dtype: str):
    """Of one base, as Adam has them: in float64 the kernel calls a function of CUDA's library."""

    def make(rng: np.random.Generator) -> Problem:
        tape = Tape(dtype, 1, (Instruction("const", (), 0.9), Instruction("pow", (1, 0))), (2,))
        return [np.arange(-3, 9, dtype=dtype)], [ArraySpec(dtype, (12,))], {"tape": tape}

    return make


def random_tape(dtype: str, shape: Shape):
    """A few operations that stay finite, with several outputs of several dtypes."""

    def make(rng: np.random.Generator) -> Problem:
        n_inputs = int(rng.integers(1, 5))
        code: list[Instruction] = []
        ops = ["const", "neg", "abs", "add", "sub", "maximum", "minimum", "lt", "switch"]
        ops += ["bit_xor", "mul"] if dtype == "int64" else ["tanh", "sigmoid", "cos"]
        for number in range(n_inputs, n_inputs + 12):
            op = str(rng.choice(ops))
            args = tuple(int(a) for a in rng.integers(0, number, OPCODES[op].arity))
            code.append(Instruction(op, args, immediate=int(rng.integers(-3, 4))))
        outputs = tuple(int(v) for v in rng.integers(n_inputs, n_inputs + 12, 3))
        tape = Tape(dtype, n_inputs, tuple(code), outputs)
        inputs = [relaid(normal(rng, shape, dtype, dtype == "int64"), rng) for _ in range(n_inputs)]
        return inputs, [ArraySpec(dtype, shape) for _ in outputs], {"tape": tape}

    return make


def conversions() -> list[Case]:
    """Every dtype into every tape and out of it, each pair of dtypes once."""
    tapes = ("float32", "float64", "int64")
    chosen = [
        (source, tapes[(i + j) % 3], to)
        for i, source in enumerate(DTYPES)
        for j, to in enumerate(DTYPES)
    ]
    return [
        Case("-".join(names), "elementwise", conversion(*names), modes=VALUES) for names in chosen
    ]


WIDE = ("LDG.E.128", "STG.E.128")
CASES = [
    Case("add", "elementwise", add((3, 5), "float32")),
    Case("add-strided", "elementwise", add((2, 3, 4), "float32", True)),
    Case("add-float64", "elementwise", add((3, 5), "float64"), doubles=True),
    Case("add-wide", "elementwise", add((3, 8), "float32"), wants=WIDE),
    Case("add-wide-flat", "elementwise", add((4, 7), "float32"), wants=WIDE),
    Case("add-wide-float64", "elementwise", add((3, 6), "float64"), doubles=True, wants=WIDE),
    Case("add-one", "elementwise", add((1,), "float32"), modes=VALUES),
    Case("add-empty", "elementwise", add((3, 0), "float32"), modes=VALUES),
    Case("add-large", "elementwise", add((1000, 1000), "float32"), modes=BOTH, wants=WIDE),
    Case("add-very-large", "elementwise", add((5003, 4001), "float32"), modes=BOTH),
    Case("scalar", "elementwise", conversion("int32", "float32", "float32", ()), modes=VALUES),
    Case("views", "elementwise", into_views((3, 4), "float32")),
    Case("columns", "elementwise", columns((3, 8), "float32"), wants=WIDE),
    Case("columns-odd", "elementwise", columns((4, 5), "float32"), wants=("STG.E.128",)),
    Case("update", "elementwise", in_place((5, 4), "float32"), wants=WIDE),
    Case("update-odd", "elementwise", in_place((5, 3), "float64"), modes=VALUES),
    Case("dropout", "elementwise", mask((3, 8), "float32"), wants=WIDE, registers=40),
    Case("dropout-odd", "elementwise", mask((3, 5), "float32"), modes=VALUES),
    Case("dropout-float64", "elementwise", mask((3, 4), "float64"), modes=VALUES),
    Case("powers", "elementwise", powers("float32"), modes=VALUES),
    Case("powers-float64", "elementwise", powers("float64"), modes=VALUES),
    *(
        Case(f"random-{d}-{k}", "elementwise", random_tape(d, shape), modes=VALUES)
        for d in ("float32", "float64", "int64")
        for k, shape in enumerate([(3, 4), (2, 1, 7), (2, 2, 6), (9,)])
    ),
    *conversions(),
]
