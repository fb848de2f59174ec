"""Errors of the vectorised functions, in units of the last place (ulp) of the exact result."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from helpers.native import TARGETS, AnyArray, run_kernel, unary

from tinygrad_mnist.contracts import ArraySpec

MOST_ULP = 2.0


def sigmoid(x: AnyArray) -> AnyArray:
    power = np.exp(-np.abs(x))
    return np.asarray(np.where(x < 0, power, np.ones_like(x)) / (1 + power))


def softplus(x: AnyArray) -> AnyArray:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


FUNCTIONS: dict[str, Callable[[AnyArray], AnyArray]] = {
    "exp": np.exp,
    "log": np.log,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "softplus": softplus,
}


def arguments(dtype: str) -> AnyArray:
    """All bit patterns alike, normal numbers of several sizes, and what is near the edges."""
    rng = np.random.default_rng(0)
    n = 100_000
    width = np.dtype(dtype).itemsize * 8
    with np.errstate(invalid="ignore"):
        patterns = rng.integers(0, 2**width, n, dtype=f"uint{width}").view(dtype)
    info = np.finfo(dtype)
    edges = np.array([0, 1, 0.625, 0.5**0.5, 2**0.5, info.tiny, info.max, np.log(float(info.max))])
    edges = np.concatenate([edges, [np.log(float(info.tiny)), 0.4142135, -0.2928932, np.inf]])
    with np.errstate(all="ignore"):
        ulp = np.spacing(edges.astype(dtype))
        near = np.concatenate([edges + k * ulp for k in range(-40, 41)])
    lost = np.log(float(info.smallest_subnormal)) + rng.uniform(-2, 40, n)  # exp is denormal
    parts = [patterns, near, -near, lost, np.array([np.nan, np.inf, -np.inf, 0.0, -0.0])]
    parts += [rng.normal(size=n) * size for size in (1e-3, 0.3, 1, 8, 40, 300)]
    with np.errstate(over="ignore"):
        return np.concatenate([np.asarray(part).astype(dtype) for part in parts])


def errors_in_ulp(result: AnyArray, exact: AnyArray) -> AnyArray:
    """|result - exact| in units of the last place; infinite where only one is NaN or infinite."""
    dtype = result.dtype
    with np.errstate(all="ignore"):
        rounded = exact.astype(dtype)
        size = np.maximum(np.abs(rounded), np.finfo(dtype).tiny)
        ulp = np.spacing(size).astype(exact.dtype)
        error = np.abs(result.astype(exact.dtype) - exact) / ulp
    same = (result == rounded) | (np.isnan(result) & np.isnan(rounded))
    special = ~np.isfinite(result) | ~np.isfinite(rounded)
    # The largest numbers may round to infinity a little early.
    early = np.isinf(result) & (
        np.abs(exact) >= np.finfo(dtype).max * (1 - 2 * np.finfo(dtype).eps)
    )
    return np.where(
        same & special, 0, np.where(special & ~early, np.inf, np.where(early, 0, error))
    )


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_error(name: str, dtype: str, target: str) -> None:
    wide = np.dtype(np.float64 if dtype == "float32" else np.longdouble)
    if np.finfo(wide).eps >= np.finfo(dtype).eps / 8:
        pytest.skip("long double is no wider than double here")
    x = arguments(dtype)
    spec = ArraySpec(dtype, x.shape)
    (result,) = run_kernel("elementwise", [x], [spec], {"tape": unary(name, dtype)}, target)
    with np.errstate(all="ignore"):
        errors = errors_in_ulp(result, FUNCTIONS[name](x.astype(wide)))
    worst = int(np.argmax(errors))
    assert errors[worst] <= MOST_ULP, f"{name}({x[worst]!r}) = {result[worst]!r}: {errors[worst]}"
