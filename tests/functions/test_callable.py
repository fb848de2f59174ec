"""What a call returns."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_a_subset_of_the_outputs(device: str) -> None:
    x = T.dscalar("x")
    function = theano.function([x], [x, x * 2, x * 3])
    assert function(1, output_subset=[0, 2]) == [1, 3]
    assert function(x=1, output_subset=(1,)) == [2]
    assert function(1, output_subset=None) == [1, 2, 3]
    by_name = theano.function([x], {"a": x, "b": x * 2})
    assert by_name(1, output_subset=["b"]) == {"b": 2}
    for one, wrong in ((function, [3]), (by_name, ["c"]), (by_name, 1)):
        with pytest.raises(TypeError, match="output_subset"):
            one(1, output_subset=wrong)


def test_the_graph_of_a_function() -> None:
    x, w = T.dvector("x"), theano.shared(np.ones(3), "w")
    y = T.exp(x) * w
    function = theano.function([x], y, updates=[(w, w * 2)])
    graph = function.maker.fgraph
    assert [str(node.op) for node in graph.toposort()] == ["exp", "mul", "dimshuffle", "mul"]
    assert any(isinstance(node.op, T.Elemwise) for node in graph.toposort())
    assert set(graph.toposort()) == graph.apply_nodes
    assert graph.inputs == [x, w]
    assert len(graph.outputs) == 2
    assert {x, w, y} <= graph.variables


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
