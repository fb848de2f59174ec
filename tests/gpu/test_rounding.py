"""Products and sums of float tapes are rounded one by one: no multiply-add comes of them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from helpers.convolutions import Case as Convolution
from helpers.gpu import CAPABILITIES

from tinygrad_mnist.backends.cuda.design import design_plan
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import ArraySpec
from tinygrad_mnist.contracts.core.tape import OPCODES, Instruction, Tape
from tinygrad_mnist.contracts.reduce.reduce import SUM

pytestmark = pytest.mark.compile

# Operations whose code has no multiply-add of its own.
UNARY = ("sqr", "neg", "abs")
BINARY = ("add", "sub", "mul", "add", "sub", "mul", "maximum", "minimum", "gt")
FUSED = ("FFMA", "DFMA", "HFMA2")
DTYPES = ("float32", "float64")


def random_tape(
    dtype: str, seed: int, n_inputs: int = 3, n_results: int = 1, length: int = 14
) -> Tape:
    """A tape of products, sums and selections; its results are the last values."""
    rng = np.random.default_rng(seed)
    code: list[Instruction] = [Instruction("const", (), 0.7)]
    for _ in range(length):
        known = n_inputs + len(code)
        op = str(rng.choice(BINARY if rng.random() < 0.8 else UNARY))
        recent = max(0, known - 5)  # mostly what was just computed, so that products meet sums
        args = [int(rng.integers(recent, known)) for _ in range(2 if op in BINARY else 1)]
        code.append(Instruction(op, tuple(args)))
    last = n_inputs + length
    return Tape(dtype, n_inputs, tuple(code), (last, last - 1)[:n_results])


def opcodes(kernel: str, *problem: Any) -> Counter[str]:
    """How often the kernels of a call have each opcode, modifiers left out."""
    from helpers.gpu_code import machine_code

    plan = OneCall(kernel, *problem).plan
    designs = [call.design for call in design_plan(plan, CAPABILITIES[-1])]
    total: Counter[str] = Counter()
    for _, _, code in machine_code(designs, CAPABILITIES[-1:]):
        for opcode, n in code.opcodes().items():
            total[opcode.partition(".")[0]] += n
    return total


def fused(counts: Counter[str]) -> int:
    """How many multiply-adds there are."""
    return sum(counts[opcode] for opcode in FUSED)


@pytest.mark.parametrize("shape", [(8, 12), (7, 3)], ids=["wide", "single"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(3))
def test_an_elementwise_tape_has_no_multiply_add(
    dtype: str, seed: int, shape: tuple[int, int]
) -> None:
    tape = random_tape(dtype, seed, n_results=2)
    x = [np.ones(shape, dtype) for _ in range(3)]
    counts = opcodes("elementwise", x, [ArraySpec(dtype, shape)] * 2, {"tape": tape})
    products = counts["FMUL"] + counts["DMUL"]
    assert fused(counts) == 0, counts
    assert products > 0, counts


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_prologue_has_no_multiply_add(dtype: str) -> None:
    tape = random_tape(dtype, 7)
    x = [np.ones((9, 40), dtype) for _ in range(3)]
    params = {
        "op": SUM,
        "axes_mask": 2,
        "n_prologue": 3,
        "prologue": tape,
        "epilogue": Tape.identity(dtype),
    }
    counts = opcodes("reduce", x, [ArraySpec(dtype, (9, 1))], params)
    assert fused(counts) == 0, counts


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", ["gemm", "conv2d"])
def test_an_epilogue_adds_no_multiply_add(kernel: str, dtype: str) -> None:
    """Those of the kernel's own sums remain: as many as behind an epilogue without products."""
    found = []
    for tape in (plain_epilogue(dtype), difference_epilogue(dtype)):
        counts = opcodes(kernel, *with_epilogue(kernel, dtype, tape))
        found.append((fused(counts), counts["FMUL"] + counts["DMUL"]))
    (own, no_products), (with_tape, products) = found
    assert own > 0
    assert no_products == 0
    assert with_tape == own
    assert products > 0


def plain_epilogue(dtype: str) -> Tape:
    """The greatest of the result and two inputs."""
    code = (Instruction("maximum", (0, 1)), Instruction("maximum", (3, 2)))
    return Tape(dtype, 3, code, (4,))


def difference_epilogue(dtype: str) -> Tape:
    """result^2 - result * input + other input."""
    code = (
        Instruction("sqr", (0,)),
        Instruction("mul", (0, 1)),
        Instruction("sub", (3, 4)),
        Instruction("add", (5, 2)),
    )
    return Tape(dtype, 3, code, (6,))


def with_epilogue(kernel: str, dtype: str, tape: Tape) -> Any:
    """Inputs, outputs and parameters of a small call whose epilogue has two further inputs."""
    if kernel == "gemm":
        operands, shape = [np.ones((10, 36), dtype), np.ones((36, 12), dtype)], (10, 12)
        params: dict[str, Any] = {"epilogue": tape}
    else:
        case = Convolution(2, 3, (6, 6), 4, (3, 3), dtype=dtype)
        operands, shape = [np.ones(case.x.shape, dtype), np.ones(case.w.shape, dtype)], case.y.shape
        params = dict(case.params(tape))
    extras = [np.ones(shape, dtype) for _ in range(2)]
    return [*operands, *extras], [ArraySpec(dtype, shape)], params


@pytest.mark.parametrize("op", ["exp", "tanh", "sigmoid", "log", "div"])
def test_a_function_does_not_join_the_sum_behind_it(op: str) -> None:
    """The last product of `exp`, say, is not fused with a sum that reads the result."""
    arity = OPCODES[op].arity
    call = Instruction(op, tuple(range(arity)))
    alone = Tape("float32", 2, (call,), (2,))
    followed = Tape("float32", 2, (call, Instruction("sub", (2, 1))), (3,))
    x = [np.ones((7, 3), "float32") for _ in range(2)]
    counts = [
        opcodes("elementwise", x, [ArraySpec("float32", (7, 3))], {"tape": tape})
        for tape in (alone, followed)
    ]
    assert fused(counts[1]) == fused(counts[0])
    assert counts[1]["FADD"] == counts[0]["FADD"] + 1
