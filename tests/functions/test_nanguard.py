"""The mode 'nan_guard': which call it names, and that nothing is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError, IndexOutOfRangeError, NanGuardError
from tinygrad_mnist.functions import swept
from tinygrad_mnist.functions.nanguard import NanGuardMode
from tinygrad_mnist.ifelse import ifelse
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

X = np.random.default_rng(0).normal(size=(4, 3))


def step(mode: Any) -> tuple[theano.Function, Any]:
    """A step of gradient descent, and the variable that it updates."""
    x, w = T.dmatrix("x"), theano.shared(np.ones((3, 2)), "w")
    hidden = T.dot(x, w)
    cost = T.mean(T.log(hidden))
    function = theano.function([x], cost, updates=[(w, w - 0.1 * T.grad(cost, w))], mode=mode)
    return function, w


def test_good_numbers_give_the_same_bits(device: str) -> None:
    (plain, v), (guarded, w) = step(None), step("nan_guard")
    for _ in range(3):
        np.testing.assert_array_equal(plain(abs(X)), guarded(abs(X)))
        np.testing.assert_array_equal(v.get_value(), w.get_value())
    assert plain.plan.calls == guarded.plan.calls


PROGRAMS: dict[str, Callable[[], tuple[Any, Any, Any]]] = {
    "views and joins": lambda: _of(lambda x: T.concatenate([x.T, T.exp(x.T)])[::2, 1:]),
    "an array written in place": lambda: _of(lambda x: T.inc_subtensor(x[1:3], x[:2])[2]),
    "scatter": lambda: _of(lambda x: T.set_subtensor(x[[0, 2]], 1.0)),
    "a mask": lambda: _of(lambda x: T.sum(x[x > 0])),
    "a choice": lambda: _of(lambda x: ifelse(T.sum(x) > 0, x, T.log(-abs(x)))),
    "draws": lambda: _of(lambda x: x * RandomStreams(1).uniform((4, 3))),
    "no calls": lambda: _of(lambda x: x),
    "a constant": lambda: _of(lambda x: T.zeros((2, 2))),
}


def _of(expression: Callable[[Any], Any]) -> tuple[Any, Any, Any]:
    x, w = T.dmatrix("x"), theano.shared(np.zeros(()))
    return x, expression(x), w


@pytest.mark.parametrize("name", PROGRAMS)
def test_any_plan_runs(name: str, device: str) -> None:
    results = []
    for mode in (None, NanGuardMode()):
        x, y, w = PROGRAMS[name]()
        function = theano.function(
            [x], y, updates=[(w, w + T.sum(y))], mode=mode, on_unused_input="ignore"
        )
        value = abs(X) if name == "a choice" else X
        results.append((function(value), w.get_value(), function(value)))
    for plain, guarded in zip(*results, strict=True):
        np.testing.assert_array_equal(plain, guarded)


@pytest.mark.parametrize(
    ("value", "message"),
    [(-np.ones((4, 3)), "makes a NaN"), (np.zeros((4, 3)), "makes an infinity")],
)
def test_the_first_call_that_fails_is_named(value: Any, message: str, device: str) -> None:
    function, w = step("nan_guard")
    function(np.ones((4, 3)))
    before = w.get_value()
    pattern = rf"(?s)call \d+ of the plan {message}: .*log\(i0\).*made at .*test_nanguard.py"
    with pytest.raises(AssertionError, match=pattern) as caught:
        function(value)
    assert isinstance(caught.value, NanGuardError)
    np.testing.assert_array_equal(w.get_value(), before)


def test_wrong_inputs_and_shared_values(device: str) -> None:
    function, w = step("NanGuardMode")
    with pytest.raises(NanGuardError, match="the input x has a NaN"):
        function(np.full((4, 3), np.nan))
    with pytest.raises(NanGuardError, match=r"the input x has a number beyond 1e\+10"):
        function(np.full((4, 3), 2e10))
    w.set_value(np.full((3, 2), np.inf))
    with pytest.raises(NanGuardError, match="the shared variable w has an infinity"):
        function(np.ones((4, 3)))


@pytest.mark.parametrize("looked_for", [(True, False, False), (False, True, False), (False,) * 3])
def test_what_is_looked_for(looked_for: tuple[bool, bool, bool], device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], T.exp(x), mode=NanGuardMode(*looked_for))
    np.testing.assert_array_equal(function([30.0]), np.exp([30.0]))
    if looked_for[0]:
        with pytest.raises(NanGuardError, match="a NaN"):
            function([np.nan])
    else:
        assert np.isnan(function([np.nan])).all()
    if looked_for[1]:
        with pytest.raises(NanGuardError, match="an infinity"):
            function([1e5])
    else:
        assert np.isinf(function([1e5])).all()


def test_a_branch_that_is_not_taken_makes_no_nan(device: str) -> None:
    x = T.dvector("x")
    y = ifelse(T.min(x) > 0, T.log(x), x)
    function = theano.function([x], [y, T.grad(T.sum(y), x)], mode="nan_guard")
    np.testing.assert_array_equal(function([-1.0, 0])[0], [-1, 0])
    with pytest.raises(NanGuardError, match="makes a NaN"):
        theano.function([x], T.switch(T.min(x) > 0, 1, 0) * T.log(x), mode="nan_guard")([-1.0])


def test_a_sweep_stops_at_the_step(device: str) -> None:
    x, w = T.dscalar("x"), theano.shared(0.0)
    function = theano.function([x], T.log(x), updates=[(w, w + x)], mode="nan_guard")
    with pytest.raises(NanGuardError) as caught:
        function.sweep([1.0, 2, -3, 4])
    done = swept(caught.value)
    assert done is not None
    assert done.steps == 2
    np.testing.assert_allclose(done.outputs, np.log([1, 2]))
    assert w.get_value() == 3


def test_other_errors_and_profiles(device: str) -> None:
    x, i = T.dvector("x"), T.lvector("i")
    function = theano.function([x, i], T.sum(x[i]), mode="nan_guard")
    with pytest.raises(IndexOutOfRangeError, match="out of range"):
        function([1.0, 2], [5])
    with pytest.raises(IndexOutOfRangeError, match="out of range"):
        function.sweep([1.0, 2], [[0], [5]])
    assert function.profile([1.0, 2], [1], repeats=2).steps == 2


def test_wrong_modes() -> None:
    with pytest.raises(GraphTypeError, match="nan_is_error is 'yes'"):
        NanGuardMode(nan_is_error="yes")  # type: ignore[arg-type]
    with pytest.raises(GraphTypeError, match="'nan_guard'"):
        theano.function([], T.zeros(1), mode="nan")


def test_the_settings_say_what_is_looked_for(device: str) -> None:
    x = T.dscalar("x")
    with theano.config.change_flags({"NanGuardMode.nan_is_error": False}):
        assert np.isnan(theano.function([x], T.log(x), mode="nan_guard")(-1))
        with pytest.raises(AssertionError, match="infinity"):
            theano.function([x], T.log(x), mode="nan_guard")(0)
    with pytest.raises(AssertionError, match="NaN"):
        theano.function([x], T.log(x), mode="nan_guard")(-1)
