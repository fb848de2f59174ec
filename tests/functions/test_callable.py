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


def test_outputs_alias_nothing(device: str) -> None:
    """Not the caller's array, not a shared variable, not each other, even where they are views."""
    x, w = T.dmatrix("x"), theano.shared(A.copy(), "w")
    views = [x, x.T, x[1:], x[::-1], x.reshape((3, 2)), x.dimshuffle(0, "x", 1)]
    views += [w, w.T, w[0], w.flatten(), T.as_tensor_variable(A)]
    function = theano.function([x], views)
    value = A + 10
    results, again = function(value), function(value)
    for k, result in enumerate(results):
        others = [value, w.storage, *results[:k], *results[k + 1 :], *again]
        assert not any(np.may_share_memory(result, other) for other in others)
        assert result.flags.writeable
        result[...] = -1
    np.testing.assert_array_equal(value, A + 10)
    np.testing.assert_array_equal(w.get_value(), A)
    for result, expected in zip(function(value), again, strict=True):
        np.testing.assert_array_equal(result, expected)


def test_shared_variables_of_a_function(device: str) -> None:
    data, w, unused = theano.shared(A, "data"), theano.shared(A, "w"), theano.shared(A)
    b = theano.shared(1.0, "b")
    function = theano.function([], T.sum(data * w), updates=[(w, w * 2), (b, 0.0)])
    assert set(function.get_shared()) == {data, w, b}
    assert unused not in function.get_shared()


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
