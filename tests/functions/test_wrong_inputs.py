"""Wrong arguments of functions: clear errors that name the input and its line, and no change."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.wrong_inputs import WRONG, raised_on_purpose

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ShapeError
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

X = np.ones(3, "float32")
NO_VALUES = [name for name in WRONG if name not in ("bool", "zero", "negative", "fraction", "nan")]


def updating() -> tuple[theano.Function, Any]:
    x, w = T.matrix("x"), theano.shared(np.ones((2, 2), "float32"), "w")
    return theano.function([x], x.sum(), updates=[(w, w + x)]), w


@pytest.mark.parametrize("name", WRONG)
def test_values_that_are_none(name: str) -> None:
    function, w = updating()
    with pytest.raises((TypeError, ValueError), match=r"input 0 \(x\)") as caught:
        function(WRONG[name]())
    assert raised_on_purpose(caught.value)
    assert "symbolic" in str(caught.value) or f"made at {__file__}" in str(caught.value)
    np.testing.assert_array_equal(w.get_value(), np.ones((2, 2)))


@pytest.mark.parametrize("name", WRONG)
def test_shared_variables_keep_their_value(name: str) -> None:
    w = theano.shared(np.ones((2, 2), "float32"), "w")
    with pytest.raises((TypeError, ValueError), match="the shared variable 'w'") as caught:
        w.set_value(WRONG[name]())
    assert raised_on_purpose(caught.value)
    np.testing.assert_array_equal(w.get_value(), np.ones((2, 2)))


@pytest.mark.parametrize("name", NO_VALUES)
def test_what_a_shared_variable_can_not_hold(name: str) -> None:
    try:
        theano.shared(WRONG[name]())
    except (TypeError, ValueError) as error:
        problem = None if raised_on_purpose(error) else repr(error)
    else:
        problem = None if name in ("empty list", "fractions", "mask") else "no error"
    assert problem is None


def test_messages_of_shared() -> None:
    with pytest.raises(TypeError, match="the value of a shared variable is 'abc'"):
        theano.shared("abc")
    masked = np.ma.masked_array([1.0, 2.0], [True, False])
    for value in (masked, [masked], np.ma.masked):
        with pytest.raises(TypeError, match="is a masked array, whose mask would be lost"):
            theano.shared(value)


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize(
    "argument", ["inputs", "outputs", "updates", "givens", "mode", "name", "on_unused_input", "In"]
)
def test_arguments_of_function(argument: str, name: str) -> None:
    x = T.vector("x")
    arguments: dict[str, Any] = {"inputs": [x], "outputs": x * 2}
    value = WRONG[name]()
    try:
        if argument == "In":
            theano.function([theano.In(x, value=value)], x)
        else:
            theano.function(**{**arguments, argument: value})
    except (TypeError, ValueError) as error:
        problem = None if raised_on_purpose(error) else repr(error)
    else:
        problem = None
    assert problem is None


LATE: dict[str, tuple[Callable[[Any], Any], str]] = {
    "negative size": (
        lambda x: RandomStreams(1).uniform(size=(-3,)) + x,
        r"uniform: \(-3,\) is not a shape: lengths can't be negative",
    ),
    "negative alloc": (lambda x: T.zeros((-3, 2)), r"alloc: \(-3, 2\) is not a shape"),
    "bad reshape": (lambda x: x.reshape((2, 2)), r"shape \(3,\) can't be reshaped to \(2, 2\)"),
    "bad split": (lambda x: T.split(x, [1, 1])[0], "axis of length 3 can't be split"),
    "bad take": (lambda x: T.take(T.as_tensor_variable([1, 2]), [5]) + x.sum(), "out of"),
}


@pytest.mark.parametrize("name", LATE)
def test_errors_of_calls_name_the_line(name: str, device: str) -> None:
    make, message = LATE[name]
    x = T.vector("x")
    function = theano.function([x], make(x), on_unused_input="ignore")
    with pytest.raises((ValueError, IndexError), match=rf"(?s){message}.*{__file__}"):
        function(X)


@pytest.mark.parametrize(
    "make",
    [lambda x: x * 2, lambda x: x.sum(axis=(0, 3)), lambda x: x.max(axis=1), lambda x: x.cumsum(8)],
)
def test_nine_dimensions(make: Callable[[Any], Any]) -> None:
    x = T.tensor("float32", (False,) * 9, "x")
    function = theano.function([x], make(x))
    message = rf"(?s)\w+: .* at most 8 dimensions.*{', '.join(['2'] * 9)}.*made at {__file__}"
    with pytest.raises(ShapeError, match=message):
        function(np.ones((2,) * 9, "float32"))
