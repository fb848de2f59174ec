"""The plans of a function: which are kept, and on which device they run."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ShapeError


def test_plans_are_kept_up_to_a_limit(device: str) -> None:
    theano.config.plan_cache_size = 3
    x = T.dvector("x")
    function = theano.function([x], x * 2)
    for n in (1, 2, 3, 1, 4):
        function(np.zeros(n))
    lengths = [plan.buffers[plan.outputs[0]].shape[0] for plan in function.plans]
    assert lengths == [4, 1, 3]
    assert function.plan is function.plans[0]


def test_many_shapes(device: str) -> None:
    """Forty shapes in a random order, more than are kept, among them empty ones and single rows."""
    rng = np.random.default_rng(0)
    x, w = T.dmatrix("x"), theano.shared(np.zeros((4, 3)))
    function = theano.function([x], [T.tanh(T.dot(x, w)), T.sum(x, axis=0)], updates=[(w, w + 1)])
    weights = np.zeros((4, 3))
    for n in rng.permutation(40):
        value = rng.normal(size=(n, 4))
        hidden, total = function(value)
        np.testing.assert_allclose(hidden, np.tanh(value @ weights), rtol=1e-12, atol=1e-15)
        np.testing.assert_allclose(total, value.sum(0), rtol=1e-12, atol=1e-14)
        weights += 1
    assert len(function.plans) == 16


def test_the_plan_that_was_not_used_for_longest_goes(device: str) -> None:
    theano.config.plan_cache_size = 2
    x = T.dvector("x")
    function = theano.function([x], x * 2)
    one, two, three = np.zeros(1), np.zeros(2), np.zeros(3)
    function(one)
    first = function.plan
    function(two)
    function(one)
    function(three)  # two's goes
    function(one)
    assert function.plan is first
    theano.config.plan_cache_size = 1
    function(two)
    assert len(function.plans) == 1
    theano.config.plan_cache_size = 16
    function(one)
    assert function.plan is not first
    assert len(function.plans) == 2


def test_shapes_of_shared_variables_choose_the_plan(device: str) -> None:
    w, x = theano.shared(np.ones((2, 3))), T.dvector("x")
    function = theano.function([x], T.dot(w, x))
    for shape in ((2, 3), (0, 3), (5, 1), (1, 0), (2, 3)):
        w.set_value(np.full(shape, 2.0))
        np.testing.assert_array_equal(function(np.ones(shape[1])), np.full(shape[0], 2 * shape[1]))
    assert len(function.plans) == 4


def test_a_single_element_stretches_only_where_its_type_says_so(device: str) -> None:
    """A dimension that is 1 long by chance does not, in any plan; scalars always do."""
    x, y, row, s = T.dmatrix("x"), T.dmatrix("y"), T.row("row", "float64"), T.dscalar("s")
    function = theano.function([x, row, s], x * row + s)
    for n in (1, 3):
        np.testing.assert_array_equal(function(np.ones((n, 2)), [[2, 3]], 1), [[3, 4]] * n)
    total = theano.function([x, y], x + y)
    np.testing.assert_array_equal(total(np.ones((1, 1)), np.ones((1, 1))), [[2]])
    with pytest.raises(ShapeError, match=r"\(1, 2\).*\(3, 2\)|differ"):
        total(np.ones((1, 2)), np.ones((3, 2)))
    np.testing.assert_array_equal(total(np.ones((3, 2)), np.ones((3, 2))), np.full((3, 2), 2))


def test_there_is_no_plan_before_the_first_call() -> None:
    function = theano.function([], T.as_tensor_variable(1.0))
    with pytest.raises(ValueError, match="no plan before its first call"):
        _ = function.plan
    assert function.plans == []


def test_an_error_keeps_a_function_usable(device: str) -> None:
    x, y = T.dvector("x"), T.dvector("y")
    function = theano.function([x, y], x + y)
    with pytest.raises(ValueError, match="differ"):
        function(np.zeros(3), np.zeros(4))
    np.testing.assert_array_equal(function(np.ones(3), np.ones(3)), [2, 2, 2])


def test_a_function_keeps_its_device() -> None:
    x = T.dvector("x")
    theano.config.device = "reference"
    function = theano.function([x], x)
    theano.config.device = "cpu"
    assert function.device == "reference"
    assert theano.function([x], x).device == "cpu"
    function(np.zeros(2))
    assert "reference" in str(function.plan)
    assert repr(function) == "<function (x) on reference>"


def test_all_plans_run_in_one_arena() -> None:
    theano.config.plan_cache_size = 3
    x = T.dmatrix("x")
    function = theano.function([x], T.dot(T.dot(T.exp(x), x.T), T.tanh(x)))
    rng = np.random.default_rng(0)

    def call(n: int) -> int:
        value = rng.normal(size=(n, 5))
        expected = np.exp(value) @ value.T @ np.tanh(value)
        np.testing.assert_allclose(function(value), expected, rtol=1e-12, atol=1e-12)
        return function.arena_bytes

    assert function.arena_bytes == 0
    sizes = [call(n) for n in (20, 100, 20)]
    assert sizes[0] < sizes[1] == sizes[2]
    assert 100 * 100 * 8 <= sizes[1] < 100 * 100 * 8 + 2 * 100 * 5 * 8 + 50_000
    call(30)
    call(40)  # the largest plan goes
    assert 0 < call(20) < sizes[1]
