"""Updates: all at once, whole or not at all, in place where that is safe."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

A = np.arange(6.0).reshape(2, 3)


def copies(function: theano.Function) -> int:
    """Calls that only copy."""
    return sum(call.label == "copy" for call in function.plan.calls)


def test_two_variables_are_swapped(device: str) -> None:
    a, b = theano.shared(A), theano.shared(-A)
    swap = theano.function([], [], updates=[(a, b), (b, a)])
    for sign in (-1, 1):
        assert swap() == []
        np.testing.assert_array_equal(a.get_value(), sign * A)
        np.testing.assert_array_equal(b.get_value(), -sign * A)


def test_three_variables_rotate(device: str) -> None:
    values = [A, A + 10, A + 20]
    a, b, c = map(theano.shared, values)
    theano.function([], [], updates=[(a, b), (b, c), (c, a)])()
    for variable, expected in zip((a, b, c), (values[1], values[2], values[0]), strict=True):
        np.testing.assert_array_equal(variable.get_value(), expected)


def test_updates_read_old_values(device: str) -> None:
    a, b = theano.shared(np.float64(1)), theano.shared(np.float64(10))
    step = theano.function([], [a, b], updates=[(a, a + b), (b, a * b)])
    assert [float(v) for v in step()] == [1, 10]
    assert (a.get_value(), b.get_value()) == (11, 10)
    assert [float(v) for v in step()] == [11, 10]
    assert (a.get_value(), b.get_value()) == (21, 110)


def test_outputs_are_of_before_the_update(device: str) -> None:
    w = theano.shared(A)
    function = theano.function([], [w, w[0], T.sum(w)], updates=[(w, w + 1)])
    whole, row, total = function()
    np.testing.assert_array_equal(whole, A)
    np.testing.assert_array_equal(row, A[0])
    assert total == A.sum()
    np.testing.assert_array_equal(w.get_value(), A + 1)
    whole += 100  # a fresh array
    np.testing.assert_array_equal(w.get_value(), A + 1)


def test_an_update_that_is_an_output_too(device: str) -> None:
    w = theano.shared(A)
    new = w * 2
    function = theano.function([], [new, new + 1], updates=[(w, new)])
    first, second = function()
    np.testing.assert_array_equal(first, 2 * A)
    np.testing.assert_array_equal(second, 2 * A + 1)
    np.testing.assert_array_equal(w.get_value(), 2 * A)
    first += 100
    np.testing.assert_array_equal(w.get_value(), 2 * A)


def test_one_value_for_two_variables(device: str) -> None:
    a, b, x = theano.shared(A), theano.shared(A * 0), T.dmatrix("x")
    theano.function([x], [], updates=[(a, x * 2), (b, x * 2)])(A)
    np.testing.assert_array_equal(a.get_value(), 2 * A)
    np.testing.assert_array_equal(b.get_value(), 2 * A)
    a.set_value(A)
    np.testing.assert_array_equal(b.get_value(), 2 * A)


def test_an_update_by_itself_by_an_input_and_by_a_constant(device: str) -> None:
    a, b, c, x = theano.shared(A), theano.shared(A), theano.shared(A), T.dmatrix("x")
    function = theano.function([x], [], updates=[(a, a), (b, x), (c, T.ones_like(c))])
    value = A + 5
    function(value)
    value += 1
    np.testing.assert_array_equal(a.get_value(), A)
    np.testing.assert_array_equal(b.get_value(), A + 5)
    np.testing.assert_array_equal(c.get_value(), np.ones((2, 3)))


def test_sgd_works_in_place(device: str) -> None:
    w, x = theano.shared(A), T.dmatrix("x")
    step = theano.function([x], [], updates=[(w, w - 0.5 * x)])
    storage = w.storage
    step(np.ones((2, 3)))
    np.testing.assert_array_equal(w.get_value(), A - 0.5)
    assert w.storage is storage
    assert copies(step) == 0


def test_an_update_from_a_moved_view_goes_through_a_copy(device: str) -> None:
    square = np.arange(9.0).reshape(3, 3)
    w = theano.shared(square)
    theano.function([], [], updates=[(w, w.T + w)])()
    np.testing.assert_array_equal(w.get_value(), square.T + square)
    v = theano.shared(np.arange(5.0))
    theano.function([], [], updates=[(v, v[::-1] * 2)])()
    np.testing.assert_array_equal(v.get_value(), [8, 6, 4, 2, 0])


def test_an_update_by_a_product_with_itself(device: str) -> None:
    square = np.arange(9.0).reshape(3, 3)
    w = theano.shared(square)
    theano.function([], [], updates=[(w, w - T.dot(w, w))])()
    np.testing.assert_array_equal(w.get_value(), square - square @ square)


def test_every_reader_sees_the_old_value(device: str) -> None:
    """Readers of a variable, some behind its update's own inputs, come before the update."""
    w, b, x = theano.shared(A), theano.shared(np.ones(2)), T.dvector("x")
    hidden = T.tanh(T.dot(w, x) + b)
    cost = T.sum(hidden**2)
    updates = [(w, w - T.grad(cost, w)), (b, b - T.grad(cost, b))]
    outputs = [cost, T.sum(w), T.max(w * hidden.dimshuffle(0, "x"))]
    step = theano.function([x], outputs, updates=updates)
    value = np.array([0.1, -0.2, 0.3])
    h = np.tanh(A @ value + 1)
    results = step(value)
    np.testing.assert_allclose(results, [(h**2).sum(), 15, (A * h[:, None]).max()], rtol=1e-12)
    by_z = 2 * h * (1 - h**2)
    np.testing.assert_allclose(w.get_value(), A - np.outer(by_z, value), rtol=1e-12)
    np.testing.assert_allclose(b.get_value(), 1 - by_z, rtol=1e-12)


def test_a_chain_of_readers(device: str) -> None:
    """Each variable takes over the next one's old value, in either order of listing."""
    for order in (1, -1):
        chain = [theano.shared(np.full(3, float(i))) for i in range(5)]
        updates = [(a, b * 1.5) for a, b in pairwise(chain)]
        theano.function([], [], updates=updates[::order])()
        values = [float(v.get_value()[0]) for v in chain]
        assert values == [1.5, 3, 4.5, 6, 4]


def test_an_update_may_change_the_shape(device: str) -> None:
    w, x = theano.shared(np.zeros((0, 3))), T.dmatrix("x")
    n = theano.shared(np.int64(0))
    grow = theano.function([x], T.sum(w), updates=[(w, x * 2), (n, n + 1)])
    for rows in (2, 4, 4, 1):
        before = w.get_value().sum()
        assert grow(np.ones((rows, 3))) == before
        np.testing.assert_array_equal(w.get_value(), np.full((rows, 3), 2.0))
    assert n.get_value() == 4


def test_a_broadcastable_dimension_keeps_its_length(device: str) -> None:
    row = theano.shared(np.ones((1, 3)), name="row", broadcastable=(True, False))
    n, x = theano.shared(np.int64(0)), T.dmatrix("x")
    function = theano.function([x], [], updates=[(n, n + 1), (row, x)])
    with pytest.raises(ValueError, match=r"(?s)the update of row has shape \(2, 3\)"):
        function(A)
    assert n.get_value() == 0
    function(A[:1])
    np.testing.assert_array_equal(row.get_value(), A[:1])
    assert n.get_value() == 1


def test_the_gradient_of_a_slice_as_update(device: str) -> None:
    w = theano.shared(np.arange(5.0))
    theano.function([], [], updates=[(w, T.grad(T.sum(w[1:3] ** 2), w))])()
    np.testing.assert_array_equal(w.get_value(), [0, 2, 4, 0, 0])


# --- whole or not at all --------------------------------------------------------------------------


def training_step(labels: Any) -> tuple[theano.Function, list[Any]]:
    rng = np.random.default_rng(2)
    x, y = T.dmatrix("x"), labels
    w, b = theano.shared(rng.normal(size=(3, 4))), theano.shared(rng.normal(size=4))
    steps = theano.shared(np.int64(0))
    scores = T.nnet.softmax(T.dot(x, w) + b)
    cost = -T.mean(T.log(scores)[T.arange(y.shape[0]), y])
    updates = [
        (steps, steps + 1),
        (w, w - 0.1 * T.grad(cost, w)),
        (b, b - 0.1 * T.grad(cost, b)),
    ]
    return theano.function([x, y], cost, updates=updates), [w, b, steps]


@pytest.mark.parametrize("label", [4, -5, 100])
def test_a_wrong_label_leaves_everything_as_it_was(device: str, label: int) -> None:
    step, variables = training_step(T.ivector("y"))
    before = [v.get_value() for v in variables]
    x = np.ones((3, 3))
    with pytest.raises(IndexError, match=r"(?s)the index y has to lie between -4 and 3"):
        step(x, np.int32([0, 1, label]))
    for variable, value in zip(variables, before, strict=True):
        np.testing.assert_array_equal(variable.get_value(), value)
    step(x, np.int32([0, 1, -4]))
    assert variables[2].get_value() == 1
    assert not np.array_equal(variables[0].get_value(), before[0])


def test_a_check_of_what_is_updated(device: str) -> None:
    """Labels that are an update's new value: checked before it is written."""
    labels, x = theano.shared(np.array([0, 1, 2])), T.dmatrix("x")
    new = labels + 1
    function = theano.function([x], x[T.arange(3), new], updates=[(labels, new)])
    matrix = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(function(matrix), [1, 6, 11])
    np.testing.assert_array_equal(labels.get_value(), [1, 2, 3])
    with pytest.raises(IndexError, match="between -4 and 3"):
        function(matrix)
    np.testing.assert_array_equal(labels.get_value(), [1, 2, 3])


# --- any updates ----------------------------------------------------------------------------------


def random_step(random: Random, shared: list[Any], x: Any, y: Any) -> tuple[list[Any], list[Any]]:
    """Outputs and updates over expressions that read shared variables in many ways."""
    pool = [*shared, x]
    for _ in range(random.randrange(1, 9)):
        a, b = random.choice(pool), random.choice(pool)
        pool.append(
            random.choice(
                [
                    lambda a=a, b=b: a + b,
                    lambda a=a: a * 0.5,
                    lambda a=a, b=b: T.tanh(a) * b,
                    lambda a=a: a.T,
                    lambda a=a, b=b: T.dot(a, b) * 0.3,
                    lambda a=a: a[::-1],
                    lambda a=a, b=b: T.sum(a, axis=0) * 0.2 + b,
                    lambda a=a, b=b: T.alloc(a[1], 3, 3) + b,
                    lambda a=a, b=b: a[T.arange(3), y].dimshuffle("x", 0) + b,
                    lambda a=a: T.grad(T.sum(a[1:] ** 2), a),
                ]
            )()
        )
    updated = random.sample(shared, random.randrange(1, 4))
    return [random.choice(pool) for _ in range(random.randrange(3))], [
        (s, random.choice(pool)) for s in updated
    ]


@pytest.mark.parametrize("device", ["reference", "fused", "cpu"])
@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_any_updates_equal_values_computed_apart(device: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shared = [theano.shared(rng.normal(size=(3, 3))) for _ in range(3)]
    x, y = T.dmatrix("x"), T.lvector("y")
    outputs, updates = random_step(Random(seed), shared, x, y)
    values = [value for _, value in updates]
    with making_functions_for("reference"):
        apart = theano.function([x, y], [*outputs, *values], on_unused_input="ignore")
    with making_functions_for(device):
        step = theano.function([x, y], outputs, updates=updates, on_unused_input="ignore")
    for _ in range(2):
        arguments = rng.normal(size=(3, 3)), rng.integers(0, 3, 3)
        after = {v: v.get_value() for v in shared}
        expected = apart(*arguments)
        after.update(zip((s for s, _ in updates), expected[len(outputs) :], strict=True))
        results = step(*arguments)
        for result, exact in zip(results, expected, strict=False):
            np.testing.assert_allclose(result, exact, rtol=1e-9, atol=1e-12)
        for variable, exact in after.items():
            np.testing.assert_allclose(variable.get_value(), exact, rtol=1e-9, atol=1e-12)
