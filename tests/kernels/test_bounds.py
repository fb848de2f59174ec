"""Every kernel is as exact as `tinygrad_mnist.checking.bounds` says, on every instruction set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.bounds import CASES, DTYPES, KERNELS, used

from tinygrad_mnist.checking import kernels_of
from tinygrad_mnist.checking.bounds import BOUNDS, EXACT, LONG, ULP
from tinygrad_mnist.contracts.core.tape import FLOATS, OPCODES

LEAST_USED = 0.02  # a bound of which no kernel uses more is too loose
NO_ERROR = {"argmax", "argmin", "argsort", "gather", "scatter_set", "pool2d"}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_errors_are_within_the_bound_and_use_it(kernel: str, dtype: str) -> None:
    if dtype == "float64" and np.float64 == LONG:
        pytest.skip("long double is no wider than double here")
    found = used(kernel, dtype)
    assert (max(found.values()) >= LEAST_USED) != (kernel in NO_ERROR), found


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
