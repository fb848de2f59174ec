"""Rounding: halves, signs of zeros, large numbers, what is whole already."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist.tensor as T  # noqa: N812

BELOW_HALF = {dtype: np.nextafter(np.array(0.5, dtype), np.array(0, dtype)) for dtype in "fd"}


def values(dtype: str) -> Any:
    positive = [0, 0.25, 0.5, 0.75, 1, 1.5, 2.5, 3.5, 2.49, 2.51, 1e6 + 0.5, 2.0**22 + 0.5]
    positive += [2.0**23 + 1, 2.0**52 + 1, 1e300, np.inf, np.nan, 1e-40]
    with np.errstate(over="ignore"):
        array = np.array([*positive, *(-x for x in positive)]).astype(dtype)
    near = BELOW_HALF[array.dtype.char]
    return np.concatenate([array, [near, -near, near + 1, -near - 1]]).astype(dtype)


def away_from_zero(x: Any) -> Any:
    """By exact comparison with the half, in float64 or longer."""
    whole = np.trunc(x)
    return np.where(np.abs(x - whole) >= 0.5, whole + np.sign(x), whole) + x * 0


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "floor": (T.floor, np.floor),
    "ceil": (T.ceil, np.ceil),
    "trunc": (T.trunc, np.trunc),
    "round": (T.round, np.rint),
    "round half_to_even": (lambda x: T.round(x, mode="half_to_even"), np.rint),
    "round half_away_from_zero": (lambda x: T.round(x, "half_away_from_zero"), away_from_zero),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_value(device: str, name: str, dtype: str) -> None:
    symbolic, expected = FUNCTIONS[name]
    x = T.vector("x", dtype)
    array = values(dtype)
    result = evaluate(device, [x], symbolic(x), array)
    assert result.dtype == dtype
    with np.errstate(invalid="ignore"):
        exact = np.where(np.isinf(array), array, expected(array))
    np.testing.assert_array_equal(result, exact)
    number = ~np.isnan(array)
    np.testing.assert_array_equal(np.signbit(result[number]), np.signbit(array[number]))


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint8", "uint16", "uint32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_integers_stay_as_they_are(name: str, dtype: str) -> None:
    x = T.vector("x", dtype)
    assert FUNCTIONS[name][0](x) is x


def test_iround(device: str) -> None:
    x = T.fvector("x")
    even, away = evaluate(
        device, [x], [T.iround(x), T.iround(x, "half_away_from_zero")], np.float32([2.5, -1.5, 7.1])
    )
    assert even.dtype == away.dtype == "int64"
    np.testing.assert_array_equal(even, [2, -2, 7])
    np.testing.assert_array_equal(away, [3, -2, 7])


@pytest.mark.parametrize("dtypes", [("int8", "int8"), ("uint16", "int32"), ("float32", "float32")])
def test_quotients_rounded_up(device: str, dtypes: tuple[str, str]) -> None:
    a, b = np.meshgrid(np.arange(0 if dtypes[0][0] == "u" else -9, 10), [-4, -1, 1, 3, 4])
    a, b = a.astype(dtypes[0]), b.astype(dtypes[1])
    x, y = (T.matrix(dtype=dtype) for dtype in dtypes)
    result = evaluate(device, [x, y], T.ceil_intdiv(x, y), a, b)
    assert result.dtype == np.result_type(*dtypes)
    np.testing.assert_array_equal(result, -(-a.astype("int64") // b.astype("int64")))


def test_unknown_mode() -> None:
    with pytest.raises(
        TypeError, match="'half_up'; it can be 'half_to_even' or 'half_away_from_zero'"
    ):
        T.round(T.vector(), "half_up")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_gradient_is_zero(device: str, name: str) -> None:
    x = T.dvector("x")
    slope = T.grad(T.sum(FUNCTIONS[name][0](x)), x)
    np.testing.assert_array_equal(evaluate(device, [x], slope, [0.5, -1.7]), [0, 0])
