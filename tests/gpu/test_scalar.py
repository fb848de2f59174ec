"""Every operation of tapes on a GPU: value for value, the special ones too."""

from __future__ import annotations

import re

import numpy as np
import pytest
from helpers.gpu import BACKEND
from helpers.gpu_cases.case import AnyArray
from helpers.gpu_cases.scalar import groups, operations

from tinygrad_mnist.backends.cuda.design import design_plan
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import CONTRACTS, ArraySpec
from tinygrad_mnist.contracts.core.tape import Instruction, Tape

DTYPES = ["float32", "float64", "int64"]
GROUPS = [(dtype, ops) for dtype in DTYPES for ops in groups(dtype, 12)]
DECIDED_BY_ROUNDING = ("int_div", "mod")


def expected(dtype: str, op: str, inputs: list[AnyArray]) -> AnyArray:
    """The contract's answer; for float32 it is computed in float64 and rounded once."""
    own, outputs, params = operations(dtype, (op,))
    inputs = inputs[: len(own)]
    if dtype == "float32" and op not in DECIDED_BY_ROUNDING:
        inputs = [x.astype(np.float64) for x in inputs]
        outputs = [ArraySpec("float64", o.shape) for o in outputs]
    with np.errstate(all="ignore"):
        [exact] = CONTRACTS["elementwise"].reference(params, inputs, outputs)
        return exact.astype(dtype)


@pytest.mark.sim
@pytest.mark.ptx
@pytest.mark.gpu
@pytest.mark.parametrize(("dtype", "ops"), GROUPS, ids=str)
def test_operations(dtype: str, ops: tuple[str, ...]) -> None:
    inputs, outputs, params = operations(dtype, ops)
    results = OneCall("elementwise", inputs, outputs, params).run(BACKEND)
    for op, result in zip(ops, results, strict=True):
        wanted = expected(dtype, op, list(inputs))
        if dtype == "int64":
            np.testing.assert_array_equal(result, wanted, op)
            continue
        eps = float(np.finfo(dtype).eps)
        least = float(np.finfo(dtype).smallest_subnormal)
        np.testing.assert_allclose(result, wanted, 8 * eps, 2 * least, err_msg=op)
        if op not in ("maximum", "minimum"):  # of zeros they may return either
            number = ~np.isnan(wanted)
            np.testing.assert_array_equal(
                np.signbit(result[number]), np.signbit(wanted[number]), op
            )


@pytest.mark.sim
@pytest.mark.compile
@pytest.mark.gpu
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_operation_is_an_operator_or_a_function(dtype: str) -> None:
    from tinygrad_mnist.kernels.tape.scalar import FUNCTIONS

    wanted = set()
    for ops in groups(dtype, 30):
        [designed] = design_plan(OneCall("elementwise", *operations(dtype, ops)).plan, (9, 0))
        wanted |= set(re.findall(rf'FUNCTIONS\["{dtype}"\]\["(\w+)"\]', designed.design.source))
    assert wanted == set(FUNCTIONS[dtype])


@pytest.mark.sim
@pytest.mark.ptx
@pytest.mark.gpu
def test_angles_of_every_size() -> None:
    """float32 sin, cos and tan: random bit patterns, and angles next to multiples of pi/2."""
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 0x7F800000, 300, dtype=np.uint32).view(np.float32)
    multiples = rng.integers(1, 2**20, 150) * (np.pi / 2)
    nearest = 16367173 * 2.0**72  # of all float32 the one that is closest to a multiple of pi/2
    x = np.concatenate([bits, multiples, rng.uniform(-9, 9, 100), [nearest, 2.0**16]])
    x = np.copysign(x, rng.standard_normal(x.shape)).astype(np.float32)
    ops = ("sin", "cos", "tan")
    tape = Tape("float32", 1, tuple(Instruction(op, (0,)) for op in ops), (1, 2, 3))
    results = OneCall(
        "elementwise", [x], [ArraySpec("float32", x.shape) for _ in ops], {"tape": tape}
    ).run(BACKEND)
    for result, function, bound in zip(results, (np.sin, np.cos, np.tan), (2, 2, 4), strict=True):
        exact = function(x.astype(np.float64))
        ulp = np.spacing(np.abs(exact).astype(np.float32)).astype(np.float64)
        assert np.max(np.abs(result - exact) / ulp) <= bound, function
