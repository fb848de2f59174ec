"""Test values: expressions are computed as they are written."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import GraphTypeError, ShapeError
from tinygrad_mnist.functions.test_values import get_test_value
from tinygrad_mnist.graph.op import as_variable
from tinygrad_mnist.ifelse import ifelse
from tinygrad_mnist.network3 import ConvPoolLayer
from tinygrad_mnist.sandbox.rng_mrg import MRG_RandomStreams

A = np.arange(6.0).reshape(2, 3)
LINE = rf"made at .*{Path(__file__).name}:\d+"


@pytest.fixture
def on() -> None:
    theano.config.compute_test_value = "raise"


def example(value: Any, name: str | None = None) -> Any:
    """An input with a test value."""
    array = np.asarray(value)
    x = T.tensor(str(array.dtype), (False,) * array.ndim, name)
    x.tag.test_value = array
    return x


EXPRESSIONS = [
    lambda x, i: T.exp(x) * 2 + x.sum(axis=0),
    lambda x, i: T.dot(x, x.T) / 3,
    lambda x, i: x[i:, ::-1],
    lambda x, i: x[i],
    lambda x, i: x[[1, 0, 1], i],
    lambda x, i: x.reshape((x.shape[1], x.shape[0])),
    lambda x, i: T.concatenate([x, T.zeros((i, 3))]),
    lambda x, i: T.arange(i * 4) + i,
    lambda x, i: T.set_subtensor(x[i], 7.0),
    lambda x, i: T.nnet.softmax(x).max(axis=1, keepdims=True),
    lambda x, i: T.switch(T.gt(x, i), x, -x).argmax(axis=0),
    lambda x, i: T.cumsum(x, axis=1).mean(),
    lambda x, i: T.alloc(x[0, 0], i + 1, 2),
    lambda x, i: T.grad(T.sum(T.tanh(x[i]) ** 2), x),
    lambda x, i: T.split(x, [1, 2], 2, axis=1)[1],
    lambda x, i: T.nnet.conv2d(x[None, None], T.ones((1, 1, 2, 2))),
    lambda x, i: T.nnet.categorical_crossentropy(T.nnet.softmax(x), T.arange(2)).sum(),
    lambda x, i: T.join(0, x.flatten(), T.eye(2).flatten()),
]


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_values_are_those_of_a_function(expression: Any) -> None:
    x, i = example(A), example(np.int64(1))
    y = expression(x, i)
    value = get_test_value(y)
    theano.config.device = "reference"
    expected = theano.function([x, i], y, on_unused_input="ignore")(A, 1)
    assert value.dtype == y.dtype
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    assert y.tag.test_value is value


@pytest.mark.usefixtures("on")
def test_leaves() -> None:
    w = theano.shared(A, "w")
    np.testing.assert_array_equal(get_test_value(w), A)
    np.testing.assert_array_equal(get_test_value(w * 2), 2 * A)
    w.set_value(A + 1)
    np.testing.assert_array_equal(get_test_value(w * 2), 2 * A + 2)
    assert get_test_value(as_variable(2.5)) == 2.5
    assert get_test_value(3) == 3
    np.testing.assert_array_equal(get_test_value([1, 2]), [1, 2])
    x = example([1.0, 2])
    assert get_test_value(x).dtype == "float64"


@pytest.mark.usefixtures("on")
def test_an_error_of_shapes_is_raised_where_it_is_written() -> None:
    x, y = example(A, "x"), example(A, "y")
    for wrong in (
        lambda: T.dot(x, y),
        lambda: x + y[:, :2],
        lambda: x.reshape((4, 2)),
        lambda: T.concatenate([x, y[:, :1]]),
        lambda: x[5],
    ):
        with pytest.raises((ShapeError, IndexError), match=LINE):
            wrong()
    p = T.dscalar("p")
    p.tag.test_value = 2.0
    with pytest.raises(ValueError, match="p is not between 0 and 1"):
        MRG_RandomStreams().binomial((2,), p=p)


def test_missing_test_values() -> None:
    x = T.dmatrix("x")
    with pytest.raises(AttributeError, match="x has no test value"):
        get_test_value(x)
    theano.config.compute_test_value = "raise"
    with pytest.raises(AttributeError, match=rf"(?s)test value of exp can't be .*x has no.*{LINE}"):
        T.exp(x)
    theano.config.compute_test_value = "warn"
    with pytest.warns(UserWarning, match="x has no test value"):
        y = T.exp(x)
    assert not hasattr(y.tag, "test_value")
    theano.config.compute_test_value = "ignore"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        T.exp(y) + example(A)
    theano.config.compute_test_value = "off"
    assert not hasattr((example(A) + 1).tag, "test_value")


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize(
    ("value", "error"),
    [(A[0], GraphTypeError), ("text", GraphTypeError), (A + 1j, GraphTypeError)],
)
def test_values_of_another_type(value: Any, error: type[Exception]) -> None:
    x = T.dmatrix("x")
    x.tag.test_value = value
    with pytest.raises(error, match="the test value of x"):
        T.exp(x)
    column = T.dcol("column")
    column.tag.test_value = A
    with pytest.raises(ShapeError, match="the test value of column"):
        T.exp(column)


@pytest.mark.usefixtures("on")
def test_functions_are_made_and_run_as_ever(device: str) -> None:
    x, w = example(A, "x"), theano.shared(A, "w")
    cost = T.sum(T.tanh(x * w))
    step = theano.function([x], cost, updates=[(w, w - T.grad(cost, w))], givens={})
    theano.config.compute_test_value = "off"
    w2 = theano.shared(A, "w")
    plain = T.sum(T.tanh(x * w2))
    other = theano.function([x], plain, updates=[(w2, w2 - T.grad(plain, w2))])
    for _ in range(2):
        assert step(A) == other(A)
    assert [c.kernel for c in step.plan.calls] == [c.kernel for c in other.plan.calls]


@pytest.mark.usefixtures("on")
def test_layers_and_draws() -> None:
    x = example(np.random.default_rng(0).random((2, 64), "float32"))
    layer = ConvPoolLayer((2, 1, 3, 3), (2, 1, 8, 8))
    layer.set_inpt(x, x, 2)
    assert get_test_value(layer.output).shape == (2, 2, 3, 3)
    draw = MRG_RandomStreams(3).normal((4,))
    np.testing.assert_allclose(get_test_value(draw), draw.eval(), rtol=1e-6)
    with pytest.raises(ShapeError, match=LINE):
        layer.set_inpt(x[:, :60], x, 2)


def test_what_is_cut_has_a_test_value(device: str) -> None:
    """The branch that is taken, a gradient through it, and derivatives that the engine makes of
    variables of its own."""
    with theano.config.change_flags(compute_test_value="raise"):
        y = T.dvector("y")
        y.tag.test_value = np.array([1.0, 2.0, -4.0])
        chosen = ifelse(y.sum() > 0, y, y * 2)
        np.testing.assert_array_equal(chosen.tag.test_value, [2, 4, -8])
        slope = T.grad((chosen**2).sum(), y)
        np.testing.assert_array_equal(slope.tag.test_value, [8, 16, -32])
        positive = y[y > 0]
        np.testing.assert_array_equal(positive.tag.test_value, [1, 2])
        rows = T.jacobian(y**2, y)
        np.testing.assert_array_equal(rows.tag.test_value, np.diag([2, 4, -8]))
        matrix = T.hessian((y**3).sum(), y)
        np.testing.assert_array_equal(matrix.tag.test_value, np.diag([6, 12, -24]))
        along = T.Rop(y**2, y, T.ones_like(y))
        np.testing.assert_array_equal(along.tag.test_value, [2, 4, -8])
        T.verify_grad(lambda v: v**2, [np.ones(3)], rng=np.random.default_rng(0))
