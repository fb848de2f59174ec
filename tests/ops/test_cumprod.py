"""Cumulative products and recurrences: values, derivatives, dtypes, empty arrays, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import Case, assert_gradient, differences, evaluate, make_tests
from helpers.native import AnyArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.ops.cumprod import RECURRENCE

_rng = np.random.default_rng(8)
A = _rng.normal(size=(2, 3, 4))
M = _rng.normal(size=(3, 5))
ZEROS = M.copy()
ZEROS[0, 2] = ZEROS[1, 0] = ZEROS[1, 3] = ZEROS[2, 4] = 0
SCALAR = np.asarray(1.5)


def recurrent(x: AnyArray, a: AnyArray, axis: int, reverse: bool) -> AnyArray:
    rows = [np.moveaxis(v, axis, 0)[:: -1 if reverse else 1] for v in (x, a)]
    y: list[AnyArray] = []
    for terms, factors in zip(*rows, strict=True):
        y.append(terms + factors * y[-1] if y else terms)
    return np.moveaxis(np.stack(y)[:: -1 if reverse else 1], 0, axis)


CASES = [
    *(
        Case(
            f"over {axis}",
            lambda x, axis=axis: T.cumprod(x, axis=axis),
            lambda x, axis=axis: np.cumprod(x, axis=axis),
            (A,),
        )
        for axis in (None, 0, 1, 2, -1, -2, -3, np.int64(1))
    ),
    *(
        Case(
            f"with zeros over {axis}",
            lambda x, axis=axis: T.cumprod(x, axis=axis),
            lambda x, axis=axis: np.cumprod(x, axis=axis),
            (ZEROS,),
        )
        for axis in (None, 0, 1)
    ),
    Case("of a vector", T.cumprod, np.cumprod, (M[0],)),
    Case("of a scalar", T.cumprod, np.cumprod, (SCALAR,)),
    Case("extra_ops", lambda x: T.extra_ops.cumprod(x, 0), lambda x: np.cumprod(x, 0), (M,)),
    Case("of a transpose", lambda x: T.cumprod(x.T, 0), lambda x: np.cumprod(x.T, 0), (M,)),
    Case(
        "of reversed parts",
        lambda x: T.cumprod(x[::-1, ::2], 1),
        lambda x: np.cumprod(x[::-1, ::2], 1),
        (M,),
    ),
    Case(
        "between others",
        lambda x: T.exp(T.cumprod(T.tanh(x), 1)) * x,
        lambda x: np.exp(np.cumprod(np.tanh(x), 1)) * x,
        (M,),
    ),
    Case(
        "of a row that is stretched",
        lambda x, y: T.cumprod(x, 0) + T.cumprod(x, 1) * y,
        lambda x, y: np.cumprod(x, 0) + np.cumprod(x, 1) * y,
        (M[:1], M),
        (0,),
    ),
    *(
        Case(
            f"recurrence over {axis}, {'down' if reverse else 'up'}",
            lambda x, a, axis=axis, reverse=reverse: RECURRENCE(x, a, axis=axis, reverse=reverse),
            lambda x, a, axis=axis, reverse=reverse: recurrent(x, a, axis, reverse),
            (A, A[::-1] + 0.1),
        )
        for axis in range(3)
        for reverse in (False, True)
    ),
]

test_value, test_gradient = make_tests(CASES)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_second_derivatives(device: str, axis: int | None) -> None:
    """Differences of the first derivatives, which the cases above check."""
    x = T.dmatrix("x")
    weights = _rng.normal(size=M.shape)
    first = T.grad(T.sum(T.sqr(T.cumprod(x, axis))), x)
    second = T.grad(T.sum(first * weights), x)

    with making_functions_for("reference"):
        function = theano.function([x], first)

    def slope(values: Any) -> float:
        return float(np.sum(function(values[0]) * weights))

    for values in (M, ZEROS):
        result = evaluate(device, [x], second, values)
        np.testing.assert_allclose(result, differences(slope, [values], 0), rtol=1e-6, atol=1e-6)


def test_the_gradient_where_a_product_underflows(device: str) -> None:
    """Nothing is divided: the product of two tiny numbers is 0, but its derivatives aren't."""
    x = T.dvector("x")
    gradient = T.grad(T.cumprod(x)[-1], x)
    result = evaluate(device, [x], gradient, np.array([1e-200, 3e-200]))
    assert_gradient(result * 1e200, np.array([3.0, 1.0]))


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]
)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_integers_give_int64(device: str, dtype: str, axis: int | None) -> None:
    values = np.random.default_rng(0).integers(0, 9, (20, 30)).astype(dtype)
    x = T.tensor(dtype, [False, False], "x")
    result = evaluate(device, [x], T.cumprod(x, axis), values)
    assert result.dtype == "int64"
    np.testing.assert_array_equal(result, np.cumprod(values, axis, dtype="int64"))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_arrays(device: str, shape: tuple[int, int]) -> None:
    x = T.dmatrix("x")
    outputs = [T.cumprod(x, axis) for axis in (None, 0, 1)]
    gradient = T.grad(sum(map(T.sum, outputs)), x)
    *products, slope = evaluate(device, [x], [*outputs, gradient], np.zeros(shape))
    assert [p.shape for p in products] == [(0,), shape, shape]
    assert slope.shape == shape


def test_the_gradient_by_integers_is_zero() -> None:
    """A product of integers is a step function of them."""
    x = T.lvector("x")
    gradient = T.grad(T.sum(T.cast(T.cumprod(x), "float64")), x)
    np.testing.assert_array_equal(theano.function([x], gradient)([1, 2, 3]), np.zeros(3))


@pytest.mark.parametrize(
    ("ndim", "axis", "message"),
    [
        (2, 2, "axis 2 is out of range for 2 dimensions"),
        (0, 0, "axis 0 is out of range for 0 dimensions"),
        (1, 0.5, "axis 0.5 is not an integer"),
    ],
)
def test_bad_axes_are_errors_at_the_users_line(ndim: int, axis: Any, message: str) -> None:
    x = T.tensor("float64", [False] * ndim, "x")
    with pytest.raises(TypeError, match=f"(?s)cumprod: {message}.*made at .*test_cumprod.py:"):
        T.cumprod(x, axis)
