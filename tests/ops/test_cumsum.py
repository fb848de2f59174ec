"""Cumulative sums: values, derivatives, dtypes, empty arrays, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import (
    Case,
    assert_gradient,
    differences,
    evaluate,
    make_tests,
)

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.ops.cumsum import CUMSUM

_rng = np.random.default_rng(8)
A = _rng.normal(size=(2, 3, 4))
M = _rng.normal(size=(3, 5))
SCALAR = np.asarray(1.5)

CASES = [
    *(
        Case(
            f"over {axis}",
            lambda x, axis=axis: T.cumsum(x, axis=axis),
            lambda x, axis=axis: np.cumsum(x, axis=axis),
            (A,),
        )
        for axis in (None, 0, 1, 2, -1, -2, -3, np.int64(1))
    ),
    Case("of a vector", T.cumsum, np.cumsum, (M[0],)),
    Case("of a scalar", T.cumsum, np.cumsum, (SCALAR,)),
    Case("method", lambda x: x.cumsum(1), lambda x: x.cumsum(1), (M,)),
    Case("method of all", lambda x: x.cumsum(), lambda x: x.cumsum(), (M,)),
    Case("extra_ops", lambda x: T.extra_ops.cumsum(x, 0), lambda x: np.cumsum(x, 0), (M,)),
    Case("of a transpose", lambda x: T.cumsum(x.T, 0), lambda x: np.cumsum(x.T, 0), (M,)),
    Case("all of a transpose", lambda x: T.cumsum(x.T), lambda x: np.cumsum(x.T), (M,)),
    Case(
        "between others",
        lambda x: T.exp(T.cumsum(T.tanh(x), 1)) * x,
        lambda x: np.exp(np.cumsum(np.tanh(x), 1)) * x,
        (M,),
    ),
    Case("twice", lambda x: x.cumsum(0).cumsum(1), lambda x: x.cumsum(0).cumsum(1), (M,)),
    Case(
        "of a row that is stretched",
        lambda x, y: T.cumsum(x, 0) + T.cumsum(x, 1) * y,
        lambda x, y: np.cumsum(x, 0) + np.cumsum(x, 1) * y,
        (M[:1], M),
        (0,),
    ),
]

test_value, test_gradient = make_tests(CASES)


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_second_derivatives(device: str, axis: int | None) -> None:
    """The gradient of the gradient of sum(cumsum(x)^3), which depends on x."""
    x = T.dmatrix("x")

    def gradient(values: Any) -> Any:
        squares = 3 * np.cumsum(values[0], axis=axis) ** 2
        along = axis if axis is not None else 0
        flipped = np.cumsum(np.flip(squares, along), axis=along)
        return np.flip(flipped, along).reshape(M.shape) * M

    first = T.grad(T.sum(T.cumsum(x, axis) ** 3), x)
    second = T.grad(T.sum(first * M), x)
    result = evaluate(device, [x], second, M)
    assert_gradient(result, differences(lambda v: float(np.sum(gradient(v))), [M], 0))


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"]
)
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_integers_give_int64(device: str, dtype: str, axis: int | None) -> None:
    values = np.random.default_rng(0).integers(0, 127, (20, 30)).astype(dtype)
    x = T.tensor(dtype, [False, False], "x")
    result = evaluate(device, [x], T.cumsum(x, axis), values)
    assert result.dtype == "int64"
    np.testing.assert_array_equal(result, np.cumsum(values, axis, dtype="int64"))


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_arrays(device: str, shape: tuple[int, int]) -> None:
    x = T.dmatrix("x")
    outputs = [T.cumsum(x, axis) for axis in (None, 0, 1)]
    gradient = T.grad(sum(map(T.sum, outputs)), x)
    *sums, slope = evaluate(device, [x], [*outputs, gradient], np.zeros(shape))
    assert [s.shape for s in sums] == [(0,), shape, shape]
    assert slope.shape == shape


def test_the_gradient_of_integers_is_zero(device: str) -> None:
    x = T.lvector("x")
    slope = T.grad(T.sum(T.cast(T.cumsum(x), "float64")), x)
    np.testing.assert_array_equal(evaluate(device, [x], slope, [1, 2]), [0, 0])


@pytest.mark.parametrize(
    ("ndim", "axis", "message"),
    [
        (2, 2, "axis 2 is out of range for 2 dimensions"),
        (2, -3, "axis -3 is out of range for 2 dimensions"),
        (0, 0, "axis 0 is out of range for 0 dimensions"),
        (1, 0.5, "axis 0.5 is not an integer"),
        (2, (0, 1), r"axis \(0, 1\) is not an integer"),
        (1, True, "axis True is not an integer"),
    ],
)
def test_bad_axes_are_errors_at_the_users_line(ndim: int, axis: Any, message: str) -> None:
    x = T.tensor("float64", [False] * ndim, "x")
    with pytest.raises(TypeError, match=f"(?s)cumsum: {message}.*made at .*test_cumsum.py:"):
        T.cumsum(x, axis)


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        (None, "cumsum(x.reshape((-1,)))"),
        (0, "cumsum(x, axis=0)"),
        (-1, "cumsum(x, axis=1)"),
    ],
)
def test_the_text_is_python(axis: int | None, text: str) -> None:
    x = T.dmatrix("x")
    assert theano.pp(T.cumsum(x, axis)) == text
    np.testing.assert_array_equal(eval(text, {"x": M, "cumsum": np.cumsum}), np.cumsum(M, axis))


@pytest.mark.parametrize(
    ("axis", "text"),
    [(0, "cumsum((x * y)[::-1], axis=0)[::-1]"), (1, "cumsum((x * y)[:, ::-1], axis=1)[:, ::-1]")],
)
def test_sums_from_the_end_are_written_with_flips(axis: int, text: str) -> None:
    x, y = T.dmatrix("x"), T.dmatrix("y")
    sums = CUMSUM(x * y, axis=axis, reverse=True)
    assert theano.pp(sums) == text
    result = evaluate("cpu", [x, y], sums, M, M)
    np.testing.assert_array_equal(eval(text, {"x": M, "y": M, "cumsum": np.cumsum}), result)
