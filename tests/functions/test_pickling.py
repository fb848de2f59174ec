"""Pickles and deep copies of functions: what they keep, and what they share."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist import In, Out
from tinygrad_mnist.errors import GraphTypeError, NanGuardError

A = np.arange(6.0).reshape(2, 3)

Again = Callable[[Any], Any]


@pytest.fixture(
    params=[
        *(lambda f, n=n: pickle.loads(pickle.dumps(f, n)) for n in range(2, 6)),
        copy.deepcopy,
    ],
    ids=["2", "3", "4", "5", "deepcopy"],
)
def again(request: pytest.FixtureRequest) -> Again:
    """A value pickled and loaded, with every protocol, or copied deeply."""
    return request.param  # type: ignore[no-any-return]


def test_outputs_names_and_updates(device: str, again: Again) -> None:
    x, w = T.dmatrix("x"), theano.shared(A, "w")
    step = theano.function([x], {"sum": T.sum(x * w)}, updates=[(w, w + x)], name="step")
    step(A)
    copied = again(step)
    assert (copied.name, copied.device, repr(copied)) == ("step", step.device, repr(step))
    assert copied.plans == []
    (its,) = copied.get_shared()
    assert copied(x=A) == {"sum": np.sum(2 * A * A)}
    np.testing.assert_array_equal(its.get_value(), 3 * A)
    np.testing.assert_array_equal(w.get_value(), 2 * A)
    np.testing.assert_array_equal(copied.sweep(np.stack([A, A]))["sum"], [165, 220])


@pytest.mark.parametrize("outputs", ["one", "list", "none"])
def test_the_form_of_the_outputs(again: Again, outputs: str) -> None:
    x = T.dvector("x")
    given: Any = {"one": 2 * x, "list": [2 * x, x], "none": None}[outputs]
    function = again(theano.function([x], given, on_unused_input="ignore"))
    result = function([1.0, 2.0])
    expected: Any = {"one": [2, 4], "list": [[2, 4], [1, 2]], "none": None}[outputs]
    assert type(result) is type(theano.function([x], given, on_unused_input="ignore")([1.0, 2.0]))
    if result is not None:
        np.testing.assert_array_equal(result, expected)


def test_options_of_inputs_and_outputs(again: Again) -> None:
    x, rate, n = T.fvector("x"), T.dscalar("rate"), T.dscalar("n")
    total = theano.shared(0.0, "total")
    inputs = [In(x, strict=True), In(rate, value=0.5, name="lr"), In(n, value=total, implicit=True)]
    function = theano.function(inputs, Out(rate * T.sum(x) + n, borrow=True), givens={})
    function.name = "f"
    copied, its_total = again((function, total))
    value = np.ones(3, "float32")
    assert copied(value) == 1.5
    assert copied(value, lr=2) == 6
    assert copied(value) is copied(value)
    its_total.set_value(10.0)
    assert (copied(value), function(value)) == (11.5, 1.5)
    with pytest.raises(GraphTypeError, match="float64"):
        copied(np.ones(3))
    with pytest.raises(GraphTypeError, match="implicit"):
        copied(value, 1, 2)


def test_states_are_copied(device: str, again: Again) -> None:
    state, by = T.dscalar("state"), T.dscalar("by")
    add = theano.function([by, In(state, value=10, update=state + by)], state)
    add(5)
    copied = again(add)
    assert copied["state"] == 15
    copied(1)
    assert (add["state"], copied["state"]) == (15, 16)
    copied["state"] = 0
    assert add["state"] == 15


def test_functions_share_variables(device: str, again: Again) -> None:
    w, x = theano.shared(A, "w"), T.dmatrix("x")
    step = theano.function([x], [], updates={w: w + x})
    look = theano.function([], T.sum(w))
    step2, look2, (w2,) = again([step, look, [w]])
    step2(A)
    assert (look2(), look()) == (30, 15)
    w2.set_value(A * 0)
    assert (look2(), look()) == (0, 15)
    assert step2.get_shared() == look2.get_shared() == [w2]


def test_givens_and_default_updates(again: Again) -> None:
    x, w, i = T.dvector("x"), theano.shared(A, "w"), T.lscalar("i")
    count = theano.shared(np.int64(0), "count")
    count.default_update = count + 1
    function = theano.function([i], T.sum(x) + count, givens={x: w[i]})
    copied = again(function)
    assert [copied(0), copied(1)] == [3, 13]
    assert count.get_value() == 0
    off = again(theano.function([], count, no_default_updates=True))
    assert [off(), off()] == [0, 0]


def test_a_function_that_leads_back_to_itself(again: Again) -> None:
    x = T.dscalar("x")
    y = x + 1
    function = theano.function([x], y)
    x.tag.function = function
    copied = again(function)
    assert copied(1) == 2
    (parameter,) = copied._parameters
    assert parameter.variable.tag.function is copied


def test_a_shallow_copy_shares_all_but_its_states() -> None:
    state, w = T.dscalar("state"), theano.shared(1.0, "w")
    add = theano.function([In(state, value=1, update=state + w)], state, name="add")
    other = copy.copy(add)
    other()
    assert (add["state"], other["state"]) == (1, 2)
    assert other.get_shared() == [w]
    assert other.name == "add"


def test_a_pickled_function_runs_where_it_is_loaded() -> None:
    written = pickle.dumps(theano.function([], theano.shared(1.0)))
    theano.config.device = "reference"
    function = pickle.loads(written)
    assert function.device == "reference"
    theano.config.device = "cpu"
    assert copy.deepcopy(function).device == "reference"


def test_what_is_compiled_is_not_written() -> None:
    x = T.dmatrix("x")
    function = theano.function([x], T.dot(x, x.T))
    before = len(pickle.dumps(function))
    function(A)
    assert len(pickle.dumps(function)) < before + 100


def test_a_guard_against_nan_stays(again: Again) -> None:
    x = T.dscalar("x")
    guarded = again(theano.function([x], T.log(x), mode="nan_guard"))
    assert guarded(1) == 0
    with pytest.raises(NanGuardError):
        guarded(-1)
