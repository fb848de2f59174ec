"""Inputs, givens and updates when a function is made."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.lines import line_of, made_in

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError, MissingInputError, UnusedInputError

HERE = made_in(__file__)


def test_an_unused_input(device: str) -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    with pytest.raises(UnusedInputError, match="depends on the input y" + HERE):
        theano.function([x, y], x)
    assert theano.function([x, y], x, on_unused_input="ignore")(1, 2) == 1
    with pytest.warns(UserWarning, match="depends on the input y"):
        theano.function([x, y], x, on_unused_input="warn")
    with pytest.raises(GraphTypeError, match="on_unused_input is 'no'"):
        theano.function([x], x, on_unused_input="no")


def test_a_missing_input() -> None:
    x, y = T.dscalar("x"), T.dscalar("y")
    with pytest.raises(MissingInputError, match="depend on y, which is neither" + HERE):
        theano.function([x], x * y)


def test_inputs_that_are_none() -> None:
    x = T.dscalar("x")
    for wrong in (x + 1, theano.shared(1.0), 3.0):
        with pytest.raises(GraphTypeError, match="can't be an input of a function"):
            theano.function([wrong], x)  # type: ignore[list-item]
    with pytest.raises(GraphTypeError, match="twice among the inputs"):
        theano.function([x, x], x)


def test_givens_as_dict_and_as_pairs(device: str) -> None:
    x, y, i = T.dvector("x"), T.dvector("y"), T.lscalar("i")
    data = theano.shared(np.arange(10.0))
    batch = data[i * 2 : (i + 1) * 2]
    cost = T.sum(x * y)
    for givens in ({x: batch, y: batch + 1}, [(x, batch), (y, batch + 1)]):
        function = theano.function([i], cost, givens=givens)
        assert function(2) == 4 * 5 + 5 * 6


def test_givens_reach_updates_and_intermediate_expressions(device: str) -> None:
    x, w = T.dvector("x"), theano.shared(np.zeros(3))
    hidden = T.exp(x)
    function = theano.function(
        [x], T.sum(hidden), updates=[(w, w + hidden)], givens={hidden: x * 2}
    )
    assert function(np.arange(3.0)) == 6
    np.testing.assert_array_equal(w.get_value(), [0, 2, 4])


def test_a_given_shared_variable(device: str) -> None:
    w, x = theano.shared(np.ones(3)), T.dvector("x")
    assert theano.function([x], T.sum(w * 2), givens={w: x})(np.arange(3.0)) == 6


def test_givens_that_do_not_fit() -> None:
    x, y = T.fvector("x"), T.dvector("y")
    with pytest.raises(GraphTypeError, match="what is given for x is float64; it needs float32"):
        theano.function([y], x, givens={x: y})
    with pytest.raises(GraphTypeError, match="what is given for x has 2 dimensions; it needs 1"):
        theano.function([], x, givens={x: T.matrix()})
    with pytest.raises(GraphTypeError, match="'x' among the givens is no variable"):
        theano.function([x], x, givens={"x": y})


def test_updates_that_do_not_fit() -> None:
    w, x = theano.shared(np.float32([1, 2]), "w"), T.dvector("x")
    with pytest.raises(
        GraphTypeError, match=r"the update of w is float64; it needs float32: use"
    ) as e:
        theano.function([x], [], updates=[(w, w - 0.1 * x)])
    assert "T.cast(..., 'float32')" in str(e.value)
    assert f"made at {line_of(test_updates_that_do_not_fit, 5)}" in str(e.value)
    with pytest.raises(GraphTypeError, match="the update of w has 0 dimensions; it needs 1"):
        theano.function([], [], updates=[(w, T.sum(w))])
    with pytest.raises(GraphTypeError, match="x can't be updated; only shared variables can"):
        theano.function([x], [], updates=[(x, x)])
    with pytest.raises(GraphTypeError, match="w is updated twice"):
        theano.function([], [], updates=[(w, w), (w, w)])


def test_narrower_updates_are_converted(device: str) -> None:
    w, n = theano.shared(np.zeros(2)), theano.shared(np.int64(0))
    x, i = T.fvector("x"), T.iscalar("i")
    updates = {w: x * 2, n: i}
    theano.function([x, i], [], updates=updates)(np.float32([1, 2]), 3)
    np.testing.assert_array_equal(w.get_value(), [2, 4])
    assert w.get_value().dtype == "float64"
    assert n.get_value() == 3


def test_inputs_are_a_list() -> None:
    x = T.dscalar("x")
    with pytest.raises(GraphTypeError, match="the inputs of a function are a list"):
        theano.function(x, x)


def test_eval(device: str) -> None:
    x, w = T.dvector("x"), theano.shared(2.0)
    np.testing.assert_array_equal((x * w).eval({x: [1, 2]}), [2, 4])
    assert (w + 1).eval() == 3
