"""The case list as PTX, run and checked on the processor: values, and whether anything is wrong.

One case of every kernel runs in the suite; all others are marked as slow. The simulator's tests
compare the same calls with the same answers (test_kernels.py), so all three agree.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from helpers.gpu_cases import CASES, Case
from helpers.native import assert_near, expect, run_kernel

from tinygrad_mnist import config
from tinygrad_mnist.backends.cuda.backend import CudaBackend
from tinygrad_mnist.backends.ptx.gpu import PtxGpu
from tinygrad_mnist.backends.ptx.observe import Observer
from tinygrad_mnist.checking.one_call import OneCall
from tinygrad_mnist.contracts import ArraySpec

pytestmark = pytest.mark.ptx
NOT_FINITE = (np.nan, np.inf, -np.inf)


def chosen_cases() -> list[Any]:
    """All cases that the simulator can run, too. The one in the middle of each kernel's isn't
    slow."""
    small = [case for case in CASES if "sim" in case.modes]
    of_kernel: dict[str, list[Case]] = {}
    for case in small:
        of_kernel.setdefault(case.kernel, []).append(case)
    quick = {cases[len(cases) // 2] for cases in of_kernel.values()}
    slow = pytest.mark.slow
    return [case if case in quick else pytest.param(case, marks=slow) for case in small]


def spoil(arrays: Sequence[Any]) -> None:
    """Makes every 16th float NaN or infinite, and at least one of an array."""
    for array in arrays:
        if array.dtype.kind == "f":
            array.setflags(write=True)
            where = range(array.size // 2 % 16, array.size, 16) if array.size > 16 else range(1)
            for k, place in enumerate(where):
                array.flat[place : place + 1] = NOT_FINITE[k % 3]


@pytest.mark.parametrize("case", chosen_cases(), ids=str)
@pytest.mark.parametrize("is_finite", [True, False], ids=["finite", "not-finite"])
def test_values(case: Case, is_finite: bool) -> None:
    config.allow_tf32 = case.tf32
    inputs, outputs, params = case.problem()
    if not is_finite:
        spoil(inputs)
    call = OneCall(case.kernel, inputs, outputs, params)
    specs = [ArraySpec(a.dtype.name, a.shape) for a in call.arrays[call.n_inputs :]]
    if not is_finite and case.kernel.startswith("conv2d_pool_grad"):
        # The contract multiplies zeros that a kernel leaves out, as behind a pool it has to.
        exact = run_kernel(case.kernel, inputs, outputs, params)
    else:
        exact = expect(case.kernel, inputs, specs, params)
    observer = Observer()
    results = call.run(CudaBackend(PtxGpu(observer)))
    assert list(map(str, observer.faults)) == []
    for result, wanted in zip(results, exact, strict=True):
        assert_near(result, wanted, case.tolerance)
