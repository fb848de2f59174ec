"""Operations of tapes, several in one kernel: its output k is the result of operation k."""

from __future__ import annotations

import numpy as np
from helpers.gpu_cases.case import AnyArray, Case, Problem

from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import OPCODES, Instruction, Tape

INTEGERS = [-(2**63), -(2**63) + 1, -7, -2, -1, 0, 1, 2, 3, 7, 62, 2**63 - 2, 2**63 - 1]
FLOATS = [0.0, 0.3, 0.5, 1.0, 2.5, 3.0, 88.8, 3e6, 1e30]
SMALLEST = 1e-40  # a denormal of float32


def specials(dtype: str) -> AnyArray:
    """Special values of operations."""
    if dtype == "int64":
        return np.array(INTEGERS)
    positive = np.array([*FLOATS, SMALLEST, np.inf], dtype)
    return np.concatenate([positive, -positive, np.array([np.nan], dtype)])


def arguments(dtype: str) -> list[AnyArray]:
    """Three arrays: all pairs of special values, and another order of the first."""
    values = specials(dtype)
    x, y = (grid.ravel() for grid in np.meshgrid(values, values))
    return [x, y, x[::-1].copy()]


def operations(dtype: str, ops: tuple[str, ...]) -> Problem:
    """Each operation applied to the first of three arrays."""
    inputs = arguments(dtype)[: max(OPCODES[op].arity for op in ops)]
    n = len(inputs)
    code = tuple(Instruction(op, tuple(range(OPCODES[op].arity))) for op in ops)
    tape = Tape(dtype, n, code, tuple(range(n, n + len(ops))))
    return inputs, [ArraySpec(dtype, inputs[0].shape) for _ in ops], {"tape": tape}


def groups(dtype: str, size: int) -> list[tuple[str, ...]]:
    """All operations on a dtype, at most so many a group."""
    found = [
        name
        for name, op in OPCODES.items()
        if dtype in op.dtypes and name not in ("const", "uniform")
    ]
    return [tuple(found[k : k + size]) for k in range(0, len(found), size)]


def case(dtype: str, ops: tuple[str, ...]) -> Case:
    """Machine code only: `test_scalar.py` tests the values."""
    # Large angles of float64 are reduced with a table in local memory.
    angles = dtype == "float64" and "sin" in ops
    return Case(
        f"{dtype}-{ops[0]}-{ops[-1]}",
        "elementwise",
        lambda rng: operations(dtype, ops),
        modes=("compile",),
        doubles=dtype == "float64",
        local=angles,
    )


CASES = [
    *(case("float32", ops) for ops in groups("float32", 12)),
    *(case("float64", ops) for ops in groups("float64", 30)),
    *(case("int64", ops) for ops in groups("int64", 30)),
]
