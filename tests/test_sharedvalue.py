"""Shared variables: their values, dtypes and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

A = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    ("value", "dtype", "ndim"),
    [
        (A, "float64", 2),
        (A.astype("float32"), "float32", 2),
        (np.int32([1]), "int32", 1),
        (3, "int64", 0),
        (0.5, "float64", 0),
        (True, "bool", 0),
        (np.uint8(3), "uint8", 0),
        ([[1.0, 2.0]], "float64", 2),
        (A.astype(">f4"), "float32", 2),
    ],
)
def test_the_dtype_of_the_value_stays(value: Any, dtype: str, ndim: int) -> None:
    v = theano.shared(value)
    assert (v.dtype, v.ndim) == (dtype, ndim)
    assert v.broadcastable == (False,) * ndim
    assert v.get_value().dtype == dtype
    np.testing.assert_array_equal(v.get_value(), value)


def test_names() -> None:
    assert str(theano.shared(A, "w")) == str(theano.shared(A, name="w")) == "w"
    assert str(theano.shared(A)) == "<shared float64 matrix>"


@pytest.mark.parametrize("borrow", [False, True])
def test_nothing_aliases(device: str, borrow: bool) -> None:
    value = A.copy()
    v, w = theano.shared(value, borrow=borrow), theano.shared(value, borrow=borrow)
    value[0, 0] = 100
    assert v.get_value()[0, 0] == 0
    v.get_value()[0, 0] = 100
    assert v.get_value()[0, 0] == 0
    new = A + 1
    v.set_value(new, borrow=borrow)
    w.set_value(new, borrow=borrow)
    new[0, 0] = 100
    theano.function([], [], updates=[(v, v * 2)])()
    np.testing.assert_array_equal(v.get_value(), 2 * (A + 1))
    np.testing.assert_array_equal(w.get_value(), A + 1)


def test_a_borrowed_value_is_the_storage(device: str) -> None:
    v = theano.shared(A)
    borrowed = v.get_value(borrow=True)
    theano.function([], [], updates=[(v, v + 1)])()
    np.testing.assert_array_equal(borrowed, A + 1)


def test_set_value_may_change_the_shape(device: str) -> None:
    v = theano.shared(A)
    total = theano.function([], T.sum(v * 2, axis=0))
    np.testing.assert_array_equal(total(), 2 * A.sum(0))
    for value in (np.ones((4, 3)), np.ones((0, 5)), A.T[::-1]):
        v.set_value(value)
        np.testing.assert_array_equal(total(), 2 * value.sum(0))


@pytest.mark.parametrize("shape", [(), (7,), (3, 5)])
def test_values_begin_at_a_cache_line(shape: tuple[int, ...]) -> None:
    v = theano.shared(np.ones(shape, "float32"))
    for array in (np.full(shape, 2.0, ">f4"), np.zeros([n + 1 for n in shape], "float32")):
        storage = v.get_value(borrow=True)
        assert storage.ctypes.data % 64 == 0
        assert storage.flags.c_contiguous
        v.set_value(array)
        np.testing.assert_array_equal(v.get_value(), array)


def test_set_value_converts_what_fits() -> None:
    v = theano.shared(np.float32([1, 2]))
    v.set_value([0.1, 0.2])
    np.testing.assert_array_equal(v.get_value(), np.float32([0.1, 0.2]))
    i = theano.shared(np.uint8([1]))
    i.set_value([255, 0])
    assert i.get_value().tolist() == [255, 0]
    assert i.get_value().dtype == "uint8"


def test_which_values_are_stored() -> None:
    """By default none that loses precision, with allow_downcast any, with strict only the dtype."""
    n = theano.shared(np.int64(7), allow_downcast=True)
    n.set_value(8.23)
    assert n.get_value() == 8
    w = theano.shared(np.ones(2, "float32"), allow_downcast=True, target="cpu")
    w.set_value(np.array([0.1, 0.2]))
    np.testing.assert_array_equal(w.get_value(), np.float32([0.1, 0.2]))
    strict = theano.shared(np.int64(7), strict=True)
    strict.set_value(np.int64(8))
    for value in (8, 8.23, np.int32(8)):
        with pytest.raises(TypeError, match="is strict: it takes only int64 arrays"):
            strict.set_value(value)
    assert strict.get_value() == 8


REFUSED: list[tuple[Any, Any, str]] = [
    (A, np.zeros(3), "'w' has 2 dimensions; the new value has 1"),
    (np.int32([1]), [0.5], "'w' is int32; the new value is float64"),
    (np.float32([1]), A[0], "'w' is float32; the new value is float64, which would lose precision"),
    (np.int32([1]), np.float32([1]), "'w' is int32; the new value is float32"),
    (np.int32([1]), np.array([2**31]), "'w' is int32, which can't hold the new value"),
    (np.uint8([1]), [-1], "'w' is uint8, which can't hold the new value"),
    (np.array([True]), [2], "'w' is bool; the new value is int64"),
    (A, T.dmatrix("x"), "'w' takes values; x is symbolic"),
    (A, [["a"]], "'w' is .* must hold numbers"),
]


@pytest.mark.parametrize(("value", "new", "message"), REFUSED)
def test_set_value_refuses_what_does_not_fit(value: Any, new: Any, message: str) -> None:
    v = theano.shared(value, "w")
    with pytest.raises(TypeError, match=f"the shared variable {message}"):
        v.set_value(new)
    np.testing.assert_array_equal(v.get_value(), value)


def test_broadcastable_dimensions(device: str) -> None:
    row = theano.shared(A[:1], "row", broadcastable=(True, False))
    x = T.dmatrix("x")
    np.testing.assert_array_equal(theano.function([x], x + row)(A), A + A[:1])
    with pytest.raises(TypeError, match="'row' broadcasts along axis 0"):
        row.set_value(A)
    for flags in ((True, False), (True,), (True, True, True)):
        with pytest.raises(TypeError, match="doesn't fit a value of"):
            theano.shared(A, broadcastable=flags)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.uint64([1]), "no dtype 'uint64'"),
        (np.array([1j]), "no dtype 'complex128'"),
        (["a"], "must hold numbers"),
        ([None], "must hold numbers"),
        (T.dscalar(), "can't be symbolic"),
    ],
)
def test_values_of_no_known_dtype(value: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        theano.shared(value)


def test_strict_takes_arrays_only() -> None:
    with pytest.raises(TypeError, match="strict: the value is a list"):
        theano.shared([1.0], strict=True)
    assert theano.shared(np.float32(1), strict=True).dtype == "float32"
