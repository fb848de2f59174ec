"""Powers where base or exponent is 0 or less: values as IEEE says, and both derivatives.

Along the exponent the derivative is x**p * log(x) where x > 0, and 0 elsewhere: there, the power is
constant along p, or isn't a real function of it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist.tensor as T  # noqa: N812

BASES = np.array([-3.0, -1.0, -0.5, -0.0, 0.0, 0.25, 1.0, 2.0])
EXPONENTS = np.array([-2.0, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0])


def exact(x: Any, p: Any) -> tuple[Any, Any, Any]:
    """The power, and its derivatives along x and p."""
    with np.errstate(all="ignore"):
        along_x = np.where(p == 0, 0, p * x ** (p - 1))
        along_p = np.where(x > 0, x**p * np.log(np.where(x > 0, x, 1)), 0)
        return x**p, along_x, along_p


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_of_two_variables(device: str, dtype: str) -> None:
    a, b = (v.ravel().astype(dtype) for v in np.meshgrid(BASES, EXPONENTS))
    x, p = T.vector("x", dtype), T.vector("p", dtype)
    outputs = [x**p, *T.grad(T.sum(x**p), [x, p])]
    results = evaluate(device, [x, p], outputs, a, b)
    expected = exact(a.astype("float64"), b.astype("float64"))
    for result, right in zip(results, expected, strict=True):
        np.testing.assert_allclose(result, right, rtol=3e-7 if dtype == "float32" else 1e-15)


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_by_a_number(device: str, exponent: float) -> None:
    """Squares, roots, reciprocals and others have kernels of their own."""
    x = T.dvector("x")
    power = x ** float(exponent)
    results = evaluate(device, [x], [power, T.grad(T.sum(power), x)], BASES)
    for result, right in zip(results, exact(BASES, exponent)[:2], strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-15)


@pytest.mark.parametrize("base", BASES)
def test_of_a_number(device: str, base: float) -> None:
    p = T.dvector("p")
    power = float(base) ** p
    results = evaluate(device, [p], [power, T.grad(T.sum(power), p)], EXPONENTS)
    for result, right in zip(results, exact(np.float64(base), EXPONENTS)[::2], strict=True):
        np.testing.assert_allclose(result, right, rtol=1e-15)
