"""No kernel is missing on the GPU, and none is without cases."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.gpu import MODE
from helpers.gpu_cases import CASES, compiled_cases

from tinygrad_mnist.backends.cuda.make import load_families
from tinygrad_mnist.contracts import CONTRACTS

# Kernels without arithmetic: their cases need not be of two kinds of floats.
MOVES = {
    "check_range",
    "integer_gemm",
    "gather",
    "scatter_set",
    "argmax",
    "argmin",
    "argsort",
    "grouped_reduce",
}
# Kernels that work on data sets, on the processor alone.
HOST_ONLY = {"distort"}
ON_GPUS = sorted(set(CONTRACTS) - HOST_ONLY)


@pytest.mark.sim
@pytest.mark.compile
@pytest.mark.gpu
def test_every_contract_has_a_factory() -> None:
    assert sorted(load_families()) == ON_GPUS


@pytest.mark.sim
@pytest.mark.gpu
@pytest.mark.parametrize("kernel", sorted(set(ON_GPUS) - {"check_range"}))  # it has no outputs
def test_every_kernel_has_cases(kernel: str) -> None:
    cases = [case for case in CASES if case.kernel == kernel and MODE in case.modes]
    assert len(cases) >= 2
    problems = [case.problem() for case in cases]
    operands = [[*inputs, *outputs] for inputs, outputs, _ in problems]
    floats = {str(a.dtype) for arrays in operands for a in arrays} & {"float32", "float64"}
    assert floats == {"float32", "float64"} or kernel in MOVES
    assert any(
        not a.flags.c_contiguous for arrays in operands for a in arrays if isinstance(a, np.ndarray)
    )
    if CONTRACTS[kernel].has_epilogue:
        assert any(not params["epilogue"].is_identity for _, _, params in problems)


@pytest.mark.compile
@pytest.mark.parametrize("kernel", ON_GPUS)
def test_every_kernel_is_compiled(kernel: str) -> None:
    kinds = {case.doubles for case in compiled_cases() if case.kernel == kernel}
    assert kinds == {False, True} or (kinds and kernel in MOVES)


@pytest.mark.sim
def test_names_of_cases_are_their_own() -> None:
    names = [str(case) for case in CASES]
    assert len(set(names)) == len(names)
