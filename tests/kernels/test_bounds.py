"""Every kernel is as exact as `tinygrad_mnist.checking.bounds` says, on every instruction set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.bounds import CASES, DTYPES, KERNELS, used
from helpers.native import TARGETS, run_kernel

from tinygrad_mnist.checking import kernels_of
from tinygrad_mnist.checking.bounds import BOUNDS, EXACT, LONG, ULP, exact_call, largest_errors
from tinygrad_mnist.checking.measure import error_of
from tinygrad_mnist.checking.problems import Request, build
from tinygrad_mnist.contracts.core.tape import FLOATS, OPCODES

# A bound of which no output uses more is too loose. Long sums use less: their roundings seldom all
# have one direction, and batch_norm's bound is that of the layout that adds most in order.
LEAST_USED, LEAST_USED_BY_LONG_SUMS = 0.02, 0.01
NO_ERROR = {"argmax", "argmin", "argsort", "gather", "scatter_set", "pool2d"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_errors_are_within_the_bound_and_use_it(kernel: str, dtype: str) -> None:
    if dtype == "float64" and np.float64 == LONG:
        pytest.skip("long double is no wider than double here")
    found, _ = used(kernel, dtype)
    assert bool(found) != (kernel in NO_ERROR)
    for part, share in found.items():
        assert share >= (LEAST_USED_BY_LONG_SUMS if part.is_long else LEAST_USED), part


@pytest.mark.parametrize("size", [2.0, 2.0**10, 2.0**30])
@pytest.mark.parametrize("kernel", ["recurrence", "batch_norm_grad"])
def test_what_denormal_products_lose_is_multiplied(kernel: str, size: float) -> None:
    shape = (3, 2, 50) if kernel == "batch_norm_grad" else (40,)
    problem = build(Request(kernel, shape, dtype="float32"))
    rng = np.random.default_rng(5)
    tiny = float(np.finfo(np.float32).tiny)
    if kernel == "recurrence":  # the first number is denormal, and its multiples are not
        values = [np.where(np.arange(40) == 0, tiny / 2**20, 0), np.full(40, size**0.1 * 1.1)]
    else:
        x, g = (rng.standard_normal(shape) * tiny**0.5 / 64 for _ in range(2))
        values = [x, g, np.full(2, size), np.zeros(2), np.full(2, size)]
    inputs = [v.astype(np.float32) for v in values]
    call = exact_call(kernel, problem.params, inputs, problem.outputs)
    for target in TARGETS:
        results = run_kernel(kernel, inputs, list(problem.outputs), problem.params, target)
        for result, exact, largest in zip(results, call.exact, largest_errors(call), strict=True):
            error = error_of(result, exact, largest=largest)
            assert error.wrong == 0
            assert 0 <= error.used <= 1, (target, error)


def test_every_kernel_and_instruction_has_a_bound() -> None:
    assert set(BOUNDS) == set(kernels_of("cpu"))
    assert set(CASES) == set(KERNELS)
    floats = {n for n, o in OPCODES.items() if o.dtypes[0] in FLOATS and o.arity and not o.draws}
    assert floats == set(ULP) | EXACT | {"int_div"}


def test_the_documentation_has_the_table() -> None:
    text = (Path(__file__).parents[2] / "docs" / "accuracy.md").read_text()
    for kernel, bound in BOUNDS.items():
        rows = [line for line in text.splitlines() if f"`{kernel}`" in line and bound.form in line]
        assert rows, f"docs/accuracy.md lacks `{kernel}`: {bound.form}"
        assert bound.source in rows[0]
