"""What a call returns."""

from __future__ import annotations

import numpy as np

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

A = np.arange(6.0).reshape(2, 3)


def test_one_output_a_list_or_none(device: str) -> None:
    x = T.dmatrix("x")
    np.testing.assert_array_equal(theano.function([x], x + 1)(A), A + 1)
    results = theano.function([x], [x + 1])(A)
    assert isinstance(results, list)
    np.testing.assert_array_equal(results[0], A + 1)
    assert theano.function([x], on_unused_input="ignore")(A) is None
    assert theano.function([x], [], on_unused_input="ignore")(A) == []
    total = theano.function([x], T.sum(x))(A)
    assert isinstance(total, np.ndarray)
    assert total.shape == ()


def test_outputs_that_are_inputs_constants_or_twice_the_same(device: str) -> None:
    x = T.dmatrix("x")
    y = x * 2
    results = theano.function([x], [x, y, y, T.as_tensor_variable([1.0, 2.0]), x.T])(A)
    for result, expected in zip(results, (A, 2 * A, 2 * A, [1, 2], A.T), strict=True):
        np.testing.assert_array_equal(result, expected)
    results[0][...] = 7
    results[1][...] = 8
    np.testing.assert_array_equal(results[2], 2 * A)
    assert A[0, 1] == 1


def test_results_of_one_call_survive_the_next(device: str) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], x + 1)
    first = function(A)
    function(A * 100)
    np.testing.assert_array_equal(first, A + 1)


def test_a_borrowed_value_as_input_is_read_before_it_is_overwritten(device: str) -> None:
    w = theano.shared(np.arange(6.0).reshape(2, 3), "w")
    x = T.dmatrix("x")
    b = theano.shared(0.0)
    step = theano.function([x], T.sum(x * w), updates=[(w, w * 2), (b, T.sum(x))])
    assert step(w.get_value(borrow=True)) == 55.0
    np.testing.assert_array_equal(w.get_value(), 2 * np.arange(6.0).reshape(2, 3))
    assert b.get_value() == 15.0
