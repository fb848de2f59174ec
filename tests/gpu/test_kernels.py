"""Every case of every kernel: its values, and its machine code."""

from __future__ import annotations

import pytest
from helpers.gpu import BACKEND, CAPABILITIES, MODE, OneCall
from helpers.gpu_cases import CASES, Case, compiled_cases
from helpers.gpu_cases.case import DOUBLE, LOCAL
from helpers.native import assert_near, expect

from tinygrad_mnist import config
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


@pytest.mark.compile
@pytest.mark.parametrize("capability", CAPABILITIES, ids=lambda c: f"sm_{c[0]}{c[1]}")
@pytest.mark.parametrize("case", cases("compile"), ids=str)
def test_machine_code(case: Case, capability: tuple[int, int]) -> None:
    from helpers.gpu_code import machine_code

    config.allow_tf32 = case.tf32
    codes = machine_code(OneCall(case.kernel, *case.problem()).plan, capability)
    found = {opcode for code in codes for opcode in code.opcodes}
    for code in codes:
        assert code.compiled.spilled == 0, code
        assert code.compiled.registers <= case.registers, code
    forbidden = (() if case.doubles else DOUBLE) + (() if case.local else LOCAL)
    assert not sorted(o for o in found if o.startswith(forbidden))
    arch = f"sm_{capability[0]}{capability[1]}"
    for want in case.wants:
        where, _, opcode = want.rpartition(":")
        if where in ("", arch):
            assert any(o.startswith(opcode) for o in found), (want, sorted(found))
