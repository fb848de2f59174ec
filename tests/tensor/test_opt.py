"""Theano's `tensor.opt`."""

from __future__ import annotations

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError
from tinygrad_mnist.tensor.opt import Assert, assert_op


def test_assert_checks_all_conditions_at_every_call(device: str) -> None:
    x, n = T.dvector("x"), T.lscalar("n")
    total = theano.shared(0.0)
    checked = Assert("x is positive and n is not 0")(x, x > 0, n)
    step = theano.function([x, n], checked * 2, updates=[(total, total + checked.sum())])
    np.testing.assert_array_equal(step([1, 2], 1), [2, 4])
    for values, number in (([1, -2], 1), ([1, 2], 0)):
        with pytest.raises(ValueError, match="x is positive and n is not 0"):
            step(values, number)
    assert total.get_value() == 3


def test_gradients_pass_through() -> None:
    x = T.dvector("x")
    gradient = T.grad((assert_op(x, x.sum() > 0) ** 2).sum(), x)
    np.testing.assert_array_equal(theano.function([x], gradient)([1, 2]), [2, 4])


def test_wrong_arguments() -> None:
    with pytest.raises(GraphTypeError, match="the message of Assert is text, not 3"):
        Assert(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="never"):
        Assert("never")(T.dvector("x"), 0)
