"""Trigonometric and hyperbolic functions: values, gradients, domains, angles of all quadrants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(3)
A = _rng.normal(size=(3, 4)) * 2
B = _rng.normal(size=(3, 4))
UNIT = _rng.uniform(-0.95, 0.95, size=(3, 4))
ABOVE_ONE = _rng.uniform(1.05, 5, size=(3, 4))
ROW = _rng.normal(size=(1, 4))
VECTOR = _rng.normal(size=4)
INTS = np.array([[1, 0, -1, 1], [0, 1, 1, -1], [1, -1, 0, 0]], "int32")


CASES = [
    Case("sin", T.sin, np.sin, (A,)),
    Case("cos", T.cos, np.cos, (A,)),
    Case("tan", T.tan, np.tan, (A / 3,)),
    Case("arcsin", T.arcsin, np.arcsin, (UNIT,)),
    Case("arccos", T.arccos, np.arccos, (UNIT,)),
    Case("arctan", T.arctan, np.arctan, (A,)),
    Case("arctan2", T.arctan2, np.arctan2, (A, B)),
    Case("arctan2 that stretches", T.arctan2, np.arctan2, (A, ROW), (1,)),
    Case("arctan2 of a matrix and a vector", T.arctan2, np.arctan2, (A, VECTOR)),
    Case(
        "arctan2 with a number", lambda y: T.arctan2(y, -0.5), lambda y: np.arctan2(y, -0.5), (A,)
    ),
    Case("sinh", T.sinh, np.sinh, (A,)),
    Case("cosh", T.cosh, np.cosh, (A,)),
    Case("arcsinh", T.arcsinh, np.arcsinh, (A,)),
    Case("arccosh", T.arccosh, np.arccosh, (ABOVE_ONE,)),
    Case("arctanh", T.arctanh, np.arctanh, (UNIT,)),
    Case("deg2rad", T.deg2rad, np.deg2rad, (A * 90,)),
    Case("rad2deg", T.rad2deg, np.rad2deg, (A,)),
    Case(
        "together",
        lambda x, y: T.sin(x) * T.cosh(y) + T.cos(T.arctan(x * y)),
        lambda x, y: np.sin(x) * np.cosh(y) + np.cos(np.arctan(x * y)),
        (A, B),
    ),
    *(
        Case(f"{name} of int32", getattr(T, name), getattr(np, name), (INTS,), dtype="float64")
        for name in ("sin", "cos", "tan", "arcsin", "arccos", "arctan", "sinh", "cosh", "arcsinh")
    ),
    Case(
        "deg2rad of int8",
        T.deg2rad,
        lambda x: np.deg2rad(x * 1.0),
        (INTS.astype("int8"),),
        dtype="float32",
    ),
]


test_value, test_gradient = make_tests(CASES)


OUTSIDE: list[tuple[Callable[[Any], Any], list[float]]] = [
    (T.arcsin, [-1.0001, 2.0, np.inf]),
    (T.arccos, [-1.0001, 2.0, -np.inf]),
    (T.arccosh, [0.999, 0.0, -5.0, -np.inf]),
    (T.arctanh, [-1.0001, 2.0, np.inf]),
    (T.sin, [np.inf, -np.inf]),
    (T.cos, [np.inf, -np.inf]),
    (T.tan, [np.inf, -np.inf]),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("symbolic", "values"), OUTSIDE, ids=[symbolic.__name__ for symbolic, _ in OUTSIDE]
)
def test_nan_outside_the_domain(
    device: str, symbolic: Callable[[Any], Any], values: list[float], dtype: str
) -> None:
    x = T.vector("x", dtype)
    assert np.isnan(evaluate(device, [x], symbolic(x), np.array(values, dtype))).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quadrants_and_axes_of_arctan2(device: str, dtype: str) -> None:
    ends = [0.0, -0.0, 1.0, -1.0, 2.5, -2.5, np.inf, -np.inf, np.nan]
    b, a = (g.ravel().astype(dtype) for g in np.meshgrid(ends, ends))
    y, x = T.vectors("y", "x", dtype=dtype)
    result = evaluate(device, [y, x], T.arctan2(y, x), b, a)
    np.testing.assert_allclose(result, np.arctan2(b, a), rtol=2 * np.finfo(dtype).eps, atol=0)
    number = ~np.isnan(result)
    np.testing.assert_array_equal(np.signbit(result[number]), np.signbit(b[number]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_angles_far_away(device: str, dtype: str) -> None:
    """Every bit of a large argument counts, however large it is."""
    exponents = np.arange(20, 120 if dtype == "float32" else 1020, 3)
    values = (1.2345 * 2.0**exponents).astype(dtype)
    x = T.vector("x", dtype)
    wide = values.astype(np.float64 if dtype == "float32" else np.longdouble)
    if wide.dtype == dtype:
        pytest.skip("long double is no wider than double here")
    for result, exact in zip(
        evaluate(device, [x], [T.sin(x), T.cos(x), T.tan(x)], values),
        (np.sin(wide), np.cos(wide), np.tan(wide)),
        strict=True,
    ):
        np.testing.assert_allclose(result, exact.astype(dtype), rtol=2 * np.finfo(dtype).eps)


def test_gradients_near_the_ends_of_a_domain(device: str) -> None:
    """1 - x ** 2 would lose half the bits of a slope there."""
    near = np.float32(1) - np.float32([2**-24, 2**-20, 2**-12])
    x = T.fvector("x")
    slopes = T.grad(T.sum(T.arcsin(x)), x), T.grad(T.sum(T.arctanh(x)), x)
    arcsin, arctanh = evaluate(device, [x], slopes, near)
    wide = near.astype("float64")
    np.testing.assert_allclose(arcsin, 1 / np.sqrt(1 - wide**2), rtol=1e-6)
    np.testing.assert_allclose(arctanh, 1 / (1 - wide**2), rtol=1e-6)
