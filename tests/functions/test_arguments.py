"""How values become arguments, and which are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.lines import line_of, made_in

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError, ShapeError

A = np.arange(6.0).reshape(2, 3)
HERE = made_in(__file__)


def test_by_position_and_by_name(device: str) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    function = theano.function([x, y], x - 2 * y)
    assert function(3, 1) == function(x=3, y=1) == function(3, y=1) == function(y=1, x=3) == 1


def test_any_layout_and_byte_order(device: str) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], x * 2)
    wide = np.arange(24.0).reshape(4, 6)
    for value in (wide[::2, ::-1], wide.T, np.asfortranarray(wide), wide.astype(">f8")):
        np.testing.assert_array_equal(function(value), value * 2)
    for begin in range(1, 8):  # at any byte
        value = np.zeros(wide.nbytes + begin, np.uint8)[begin:].view(np.float64).reshape(4, 6)
        value[...] = wide
        np.testing.assert_array_equal(function(value), wide * 2)
    packed = np.zeros((4, 6), np.dtype([("a", "u1"), ("b", "f8")]))
    packed["b"] = wide
    np.testing.assert_array_equal(function(packed["b"]), wide * 2)
    read_only = wide.copy()
    read_only.flags.writeable = False
    np.testing.assert_array_equal(function(read_only), wide * 2)
    np.testing.assert_array_equal(function([[1, 2], [3, 4]]), [[2, 4], [6, 8]])


ACCEPTED: list[tuple[str, Any, Any]] = [
    ("float32", np.float32([1, 2]), np.float32([1, 2])),
    ("float32", [1.5, 2.1], np.float32([1.5, 2.1])),
    ("float32", [1, 2], np.float32([1, 2])),
    ("float32", np.int8([1, 2]), np.float32([1, 2])),
    ("float64", np.float32([1.5]), np.array([1.5])),
    ("int32", [1, -2], np.int32([1, -2])),
    ("int32", np.array([1, 2**31 - 1]), np.int32([1, 2**31 - 1])),
    ("int8", np.uint8([127]), np.int8([127])),
    ("int64", np.array([True]), np.array([1])),
    ("bool", [True, False], np.array([True, False])),
]


@pytest.mark.parametrize(("dtype", "value", "expected"), ACCEPTED)
def test_values_that_lose_nothing_are_converted(
    device: str, dtype: str, value: Any, expected: Any
) -> None:
    x = T.vector("x", dtype)
    result = theano.function([x], x)(value)
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, expected)


REFUSED: list[tuple[str, Any, str]] = [
    ("float32", np.array([0.1]), "float32; the value is float64, which would lose precision"),
    (
        "float32",
        np.array([2**24 + 1]),
        "float32, which can't hold the values of the given int64 array",
    ),
    ("int32", np.array([0.5]), "int32; the value is float64"),
    ("int32", [0.5], "int32; the value is float64"),
    ("int8", np.array([128]), "int8, which can't hold the values"),
    ("uint8", [-1], "uint8, which can't hold the values"),
    ("bool", [0, 1], "bool; the value is int64"),
    ("float64", np.array([1j]), "float64; the value is complex128"),
    ("float64", ["a"], r"\[.*must hold numbers"),
    ("float64", [None], r"\[.*must hold numbers"),
]


@pytest.mark.parametrize(("dtype", "value", "message"), REFUSED)
def test_values_that_lose_something_are_refused(
    device: str, dtype: str, value: Any, message: str
) -> None:
    x = T.vector("weights", dtype)
    function = theano.function([x], x, name="step")
    with pytest.raises(GraphTypeError, match=r"input 0 \(weights\) of step is " + message) as error:
        function(value)
    assert f"made at {line_of(test_values_that_lose_something_are_refused, 4)}" in str(error.value)


def test_downcasts_when_asked_for(device: str) -> None:
    x = T.fvector("x")
    function = theano.function([x], x, allow_input_downcast=True)
    np.testing.assert_array_equal(function(np.array([0.1])), np.float32([0.1]))
    np.testing.assert_array_equal(function([1e-50, 2**24 + 1]), np.float32([0, 2**24]))
    i = T.iscalar("i")
    assert theano.function([i], i, allow_input_downcast=True)(np.array(2.9)) == 2


def test_no_downcast_of_any_kind(device: str) -> None:
    """Then numbers and lists from Python are converted where they come out as they were, arrays
    where their dtype fits into the other."""
    x, i = T.fvector("x"), T.ivector("i")
    function = theano.function([x, i], [x, i], allow_input_downcast=False)
    for floats in ([0.5, np.nan], [1, 2], np.float32([1, 2]), np.int8([1, 2])):
        for integers in ([1, -2], np.int16([1, 2]), np.int32([1, 2])):
            results = function(floats, integers)
            np.testing.assert_array_equal(results[0], np.float32(floats))
            np.testing.assert_array_equal(results[1], integers)
    for wrong in ([0.1], np.array([0.5]), np.array([1])):
        with pytest.raises(GraphTypeError, match=r"\(x\) is float32; .* would lose precision"):
            function(wrong, [1])
    with pytest.raises(GraphTypeError, match=r"\(i\) is int32; .* would lose precision"):
        function([0.5], np.array([1]))
    with pytest.raises(GraphTypeError, match=r"\(i\) is int32, which can't hold"):
        function([0.5], [2**31])


def test_lists_of_several_lengths(device: str) -> None:
    x = T.fmatrix("x")
    with pytest.raises(GraphTypeError, match=r"input 0 \(x\) is .* equally long"):
        theano.function([x], x)([[1.0, 2.0], [3.0]])


def test_python_floats_for_scalars(device: str) -> None:
    x = T.fscalar("x")
    assert theano.function([x], x)(0.1) == np.float32(0.1)
    with pytest.raises(GraphTypeError, match="would lose precision"):
        theano.function([x], x)(np.float64(0.1))


def test_wrong_number_of_dimensions(device: str) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], x)
    message = r"input 0 \(x\) has 2 dimensions \(float64 matrix\); the value has 1, shape \(3,\)"
    with pytest.raises(GraphTypeError, match=message + HERE):
        function(np.zeros(3))


def test_a_broadcastable_dimension_takes_length_1_only(device: str) -> None:
    x = T.row("x", "float64")
    function = theano.function([x], x * 2)
    np.testing.assert_array_equal(function(A[:1]), 2 * A[:1])
    with pytest.raises(ShapeError, match=r"broadcasts along axis 0.*\(2, 3\)" + HERE):
        function(A)


def test_a_symbolic_value(device: str) -> None:
    x = T.dmatrix("x")
    with pytest.raises(GraphTypeError, match="got a symbolic variable"):
        theano.function([x], x)(x)


def test_missing_extra_and_unknown_arguments(device: str) -> None:
    x, y, z = T.dscalar("x"), T.dscalar("y"), T.dscalar()
    function = theano.function([x, y, z], x + y + z, name="total")
    for arguments, named, message in [
        ((), {}, r"total needs a value for input 0 \(x\) of total, .*, input 2 of total"),
        ((1, 2), {}, "total needs a value for input 2 of total"),
        ((1,), {"y": 2}, "total needs a value for input 2"),
        ((1, 2, 3, 4), {}, "total takes 3 values, not 4"),
        ((1, 2, 3), {"x": 1}, "total has no input 'x' left to set"),
        ((1, 2), {"w": 1}, "total has no input 'w' left to set"),
    ]:
        with pytest.raises(GraphTypeError, match=message):
            function(*arguments, **named)
    assert function(1, 2, 3) == 6


@pytest.mark.parametrize("value", [2**31, -(2**31) - 1, np.int64(2**40)])
def test_an_integer_that_does_not_fit(device: str, value: Any) -> None:
    i = T.iscalar("i")
    with pytest.raises(GraphTypeError, match=r"input 0 \(i\) is int32.*fit|can't hold"):
        theano.function([i], i + 1)(value)


def test_an_integer_that_may_lose_bits_wraps() -> None:
    """As an array of it does: `allow_input_downcast=True` takes all."""
    i = T.iscalar("i")
    f = theano.function([i], i + 0, allow_input_downcast=True)
    assert f(2**32 + 5) == f(np.array(2**32 + 5)) == 5
    with pytest.raises(GraphTypeError, match="doesn't fit"):
        theano.function([i], i + 0)(2**32 + 5)
