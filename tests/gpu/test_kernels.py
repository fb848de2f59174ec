"""Every case of every kernel: its values, and its machine code."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

import pytest
from helpers.gpu import BACKEND, CAPABILITIES, MODE
from helpers.gpu_cases import CASES, Case, compiled_cases
from helpers.gpu_cases.case import DOUBLE, LOCAL, PRODUCT
from helpers.native import assert_near, expect

from tinygrad_mnist import config
from tinygrad_mnist.backends.cuda.design import Capability, design_plan
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import ArraySpec


def cases(mode: str) -> list[Case]:
    if mode == "compile":
        return compiled_cases() if mode == MODE else []
    return [case for case in CASES if mode in case.modes]


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("case", cases(MODE or ""), ids=str)
def test_values(case: Case) -> None:
    config.allow_tf32 = case.tf32
    inputs, outputs, params = case.problem()
    call = OneCall(case.kernel, inputs, outputs, params)
    specs = [ArraySpec(a.dtype.name, a.shape) for a in call.arrays[call.n_inputs :]]
    exact = expect(case.kernel, inputs, specs, params)
    for result, wanted in zip(call.run(BACKEND), exact, strict=True):
        assert_near(result, wanted, case.tolerance)


def rounds_once(case: Case) -> bool:
    """Whether every product of a case must be part of a multiply-add: those of forward
    convolutions, for exact ties; but an epilogue may have products of its own."""
    if case.kernel not in ("conv2d", "conv2d_pool", "conv2d_bias_pool"):
        return False
    tail = case.problem()[2]["epilogue"]
    return not any(instruction.op in ("mul", "sqr") for instruction in tail.instructions)


@pytest.mark.compile
@pytest.mark.parametrize("case", cases("compile"), ids=str)
def test_machine_code(case: Case) -> None:
    from helpers.gpu_code import machine_code

    config.allow_tf32 = case.tf32
    plan = OneCall(case.kernel, *case.problem()).plan
    designs = [designed.design for designed in design_plan(plan, CAPABILITIES[-1])]
    forbidden = (() if case.doubles else DOUBLE) + (() if case.local else LOCAL)
    forbidden += PRODUCT if rounds_once(case) else ()
    # What is float64 is so for every capability; opcodes that are wanted are looked for in each.
    read = CAPABILITIES if case.wants else CAPABILITIES[-1:]
    # What only a GPU runs is compiled once, to show that it can be.
    targets = CAPABILITIES if case.wants or "compile" in case.modes else CAPABILITIES[-1:]
    found: dict[Capability, set[str]] = {capability: set() for capability in read}
    for _, capability, code in machine_code(designs, targets):
        assert code.compiled.spilled == 0, (capability, code)
        assert code.compiled.stack == 0 or case.local, (capability, code)
        assert code.compiled.registers <= case.registers, (capability, code)
        if capability in read:
            opcodes = code.opcodes()
            assert not sorted(o for o in opcodes if o.startswith(forbidden)), (capability, code)
            found[capability].update(opcodes)
    for want in case.wants:
        where, _, opcode = want.rpartition(":")
        for (major, minor), present in found.items():
            if where in ("", f"sm_{major}{minor}"):
                assert any(o.startswith(opcode) for o in present), (want, sorted(present))


@pytest.mark.compile
def test_only_tensor_cores_ask_for_the_capability() -> None:
    """Otherwise the test above would check the kernels of one capability alone."""
    folder = Path(import_module("tinygrad_mnist.kernels").__path__[0])
    asking = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*.py")
        if "capability" in path.read_text()
    }
    assert asking == {"core/call.py", "gemm/gemm.py", "gemm/tensor.py", "gemm/tensor_core.py"}
