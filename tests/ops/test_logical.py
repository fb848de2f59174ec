"""Logic, bits, NaN and infinities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

TRUTHS = np.array([[True, True], [False, False]]), np.array([[True, False], [True, False]])
BITS = np.array([0, 1, 5, 12, 127, -1, -7, -128]), np.array([3, 0, 6, 10, -1, 127, 2, -128])
FUNCTIONS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "and": (T.and_, np.bitwise_and),
    "or": (T.or_, np.bitwise_or),
    "xor": (T.xor, np.bitwise_xor),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_logic_on_bools(device: str, name: str) -> None:
    x, y = T.matrices("x", "y", dtype="bool")
    symbolic, expected = FUNCTIONS[name]
    result = evaluate(device, [x, y], symbolic(x, y), *TRUTHS)
    assert result.dtype == "bool"
    np.testing.assert_array_equal(result, expected(*TRUTHS))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_bits_of_integers(device: str, name: str, dtype: str) -> None:
    x, y = T.vectors("x", "y", dtype=dtype)
    symbolic, expected = FUNCTIONS[name]
    values = [v.astype(dtype) for v in BITS]
    result = evaluate(device, [x, y], symbolic(x, y), *values)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected(*values))


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]
)
def test_invert(device: str, dtype: str) -> None:
    x = T.vector("x", dtype)
    values = np.array([0, 1, 5, 127, -1]).astype(dtype)
    result, operator = evaluate(device, [x], [T.invert(x), ~x], values)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, ~values)
    np.testing.assert_array_equal(operator, ~values)


def test_a_bool_with_an_integer(device: str) -> None:
    x, y = T.vector("x", "bool"), T.bvector("y")
    result = evaluate(device, [x, y], x | y, np.array([True, False]), np.int8([4, 4]))
    assert result.dtype == "int8"
    np.testing.assert_array_equal(result, [5, 4])


@pytest.mark.parametrize("symbolic", [T.and_, T.or_, T.xor, lambda x, y: T.invert(x)])
def test_floats_have_no_bits(symbolic: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match=r"(?s)bitwise_\w+: of bools and integers.*made at"):
        symbolic(T.fvector(), T.ivector())


@pytest.mark.parametrize("negate", [lambda x: -x, lambda x: x - x, lambda x: T.sub(x, x)])
def test_bools_can_not_be_subtracted(negate: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="not defined for bools; use ~x and x \\^ y"):
        negate(T.vector("x", "bool"))


def test_logic_on_comparisons_is_one_kernel_call_with_them() -> None:
    x, y = T.dvectors("x", "y")
    inside = (x > 0) & (x < 1) | ~T.isnan(y) & T.neq(x, y) ^ T.isinf(x)
    with making_functions_for("cpu"):
        function = theano.function([x, y], T.switch(inside, x, y))
    a, b = np.array([-1, 0.5, 2, np.inf, 3]), np.array([1, np.nan, np.nan, 0, 3])
    expected = np.where((a > 0) & (a < 1) | ~np.isnan(b) & ((a != b) ^ np.isinf(a)), a, b)
    np.testing.assert_array_equal(function(a, b), expected)
    assert len(function.plan.calls) == 1


SPECIAL = np.array([0.0, -1.5, np.nan, np.inf, -np.inf, 1e-310, 1e308, -np.nan])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_isnan_and_isinf(device: str, dtype: str) -> None:
    x = T.vector("x", dtype)
    with np.errstate(over="ignore"):
        values = SPECIAL.astype(dtype)
    nan, inf = evaluate(device, [x], [T.isnan(x), T.isinf(x)], values)
    assert nan.dtype == inf.dtype == "bool"
    np.testing.assert_array_equal(nan, np.isnan(values))
    np.testing.assert_array_equal(inf, np.isinf(values))


@pytest.mark.parametrize("dtype", ["bool", "int8", "int64", "uint8", "uint16", "uint32"])
def test_integers_are_neither_nan_nor_infinite(device: str, dtype: str) -> None:
    x = T.matrix("x", dtype)
    for result in evaluate(device, [x], [T.isnan(x), T.isinf(x)], np.ones((2, 3), dtype)):
        assert result.dtype == "bool"
        np.testing.assert_array_equal(result, np.zeros((2, 3), "bool"))


CLOSE = np.array([1.0, 1.0, 1.0, 0.0, np.inf, np.inf, 1.0, np.inf, np.nan, np.nan, 1e5])
TO = np.array([1.0, 1 + 2e-5, 1 + 9e-6, 5e-9, np.inf, -np.inf, np.inf, 1.0, np.nan, 1.0, 1e5 + 0.9])


@pytest.mark.parametrize("options", [{}, {"equal_nan": True}, {"rtol": 1e-4}, {"atol": 1.0}])
def test_isclose(device: str, options: dict[str, Any]) -> None:
    x, y = T.dvectors("x", "y")
    result = evaluate(device, [x, y], T.isclose(x, y, **options), CLOSE, TO)
    assert result.dtype == "bool"
    np.testing.assert_array_equal(result, np.isclose(CLOSE, TO, **options))


def test_isclose_of_integers(device: str) -> None:
    x = T.ivector("x")
    result = evaluate(device, [x], T.isclose(x, 100_000), np.int32([99_998, 100_000, 100_002]))
    np.testing.assert_array_equal(result, [False, True, False])


def test_allclose(device: str) -> None:
    x, y = T.dvectors("x", "y")
    outputs = [T.allclose(x, y), T.allclose(x, y, rtol=1e-3), T.allclose(x, x, equal_nan=True)]
    values = np.array([1.0, 2.0]), np.array([1.0, 2.001])
    assert [bool(r) for r in evaluate(device, [x, y], outputs, *values)] == [False, True, True]
    assert not evaluate(device, [x], T.allclose(x, x), np.array([np.nan]))
