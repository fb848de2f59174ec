"""`pp`: expressions in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

X, Y = T.dmatrix("x"), T.dmatrix("y")
B = theano.shared(np.zeros(4), "b")
I, V = T.lscalar("i"), T.lvector("v")  # noqa: E741


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ((X + Y) * 2, "(x + y) * 2.0"),
        (X + Y * 2, "x + y * 2.0"),
        (X - (Y - X), "x - (y - x)"),
        (X - Y - X, "x - y - x"),
        (X / (Y * X), "x / (y * x)"),
        (-(X**2), "-x ** 2.0"),
        ((-X) ** 2, "(-x) ** 2.0"),
        (X ** (Y + 1), "x ** (y + 1.0)"),
        (X * -0.1, "x * -0.1"),
        (X // 2 % 3, "x // 2.0 % 3.0"),
        ((X < Y) * X, "(x < y) * x"),
        (T.eq(X, 1), "eq(x, 1.0)"),
        (T.switch(X > 0, X, 0), "switch(x > 0.0, x, 0.0)"),
        (T.tanh(T.dot(X, Y) + B), "tanh(dot(x, y) + b)"),
        (T.maximum(0.0, X), "maximum(0.0, x)"),
        (T.cast(X + 1, "int32"), "cast(x + 1.0, 'int32')"),
        (X.T, "x.T"),
        ((X + Y).T, "(x + y).T"),
        (B.dimshuffle("x", 0, "x"), "b.dimshuffle('x', 0, 'x')"),
        (B.dimshuffle("x", 0) + X, "b + x"),
        (B.dimshuffle(0, "x") + X, "b.dimshuffle(0, 'x') + x"),
        (T.sum(X), "sum(x)"),
        (T.sum(X, axis=1), "sum(x, axis=1)"),
        (T.all(X > 0, axis=0), "all(x > 0.0, axis=0)"),
        (T.any(X > 0), "any(x > 0.0)"),
        (T.max(X, axis=0, keepdims=True), "max(x, axis=0, keepdims=True)"),
        (T.sum(T.tensor4("t"), axis=(0, 2)), "sum(t, axis=(0, 2))"),
        (T.argmax(X, axis=1), "argmax(x, axis=1)"),
        (T.argmin(X, axis=0, keepdims=True), "argmin(x, axis=0, keepdims=True)"),
        (X[I], "x[i]"),
        (X[:, 1], "x[:, 1]"),
        (X[I * 10 : (I + 1) * 10], "x[i * 10:(i + 1) * 10]"),
        (X[::-1, 2:], "x[::-1, 2:]"),
        (X[V], "x[v]"),
        (X[None, ..., V, 1:], "x[None, ..., v, 1:]"),
        (T.inc_subtensor(X[V, 1:], 2.0), "inc_subtensor(x[v, 1:], 2.0)"),
        (T.set_subtensor(X[0], X[1]) * 2, "set_subtensor(x[0], x[1]) * 2.0"),
        (T.concatenate([X, X * 2], axis=1), "concatenate([x, x * 2.0], axis=1)"),
        (X[V, V], "x[v, v]"),
        (X.shape[0] * 2, "x.shape[0] * 2"),
        (X.reshape((I, -1)), "x.reshape((i, -1))"),
        (X.flatten(), "x.reshape((-1,))"),
        (T.nnet.softmax(X), "softmax(x)"),
        (T.arange(I), "arange(i)"),
        (T.arange(1, I), "arange(1, i)"),
        (T.arange(I, 0, -2), "arange(i, 0, -2)"),
        (T.dmatrix() + X, "<float64 matrix> + x"),
        (X, "x"),
        (T.as_tensor_variable(-2), "-2"),
    ],
)
def test_expressions(expression: Any, text: str) -> None:
    assert theano.pp(expression) == text
    assert theano.printing.pp(expression) == text


def test_the_text_means_the_expression() -> None:
    """Evaluated as Python, it gives the numbers of the expression."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0.5, 2, (3, 4)), rng.uniform(0.5, 2, (3, 4))
    expressions = [
        -(((X - Y) / (X * Y)) ** 2) - (X - (Y - 1)),
        (X < Y) * (X**-Y) // 0.3 % 2,
        T.sum(X - Y, axis=0) * T.tanh(X[1:, ::-1].T.T[0]),
        T.exp(-X).reshape((4, 3)).T + Y,
    ]
    known = {"x": x, "y": y, "exp": np.exp, "tanh": np.tanh, "sum": np.sum}
    for expression in expressions:
        value = theano.function([X, Y], expression)(x, y)
        np.testing.assert_allclose(eval(theano.pp(expression), known), value, rtol=1e-12)


def test_what_is_long_is_written_once() -> None:
    w = X
    for _ in range(50):
        w = T.tanh(w) * w
    text = theano.pp(w)
    assert len(text) < 2000
    expression, _, definitions = text.partition(" where ")
    assert expression == "tanh(v48) * v48"
    assert definitions.startswith("v0 = tanh(x) * x; v1 = tanh(v0) * v0; ")


def test_every_name_is_used() -> None:
    w = X
    for _ in range(12):
        w = T.tanh(w * 0.5) / w + B
    expression, _, definitions = theano.pp(w * 0.5).partition(" where ")
    for definition in definitions.split("; "):
        name = definition.split(" = ")[0]
        assert (expression + definitions).count(name) > 1, name


def test_short_names_that_the_user_took_are_left_to_the_user() -> None:
    w = v0 = T.dmatrix("v0")
    for _ in range(20):
        w = T.tanh(w) * w
    assert "v1 = tanh(v0) * v0; " in theano.pp(w)
    assert v0.name == "v0"


def test_only_variables() -> None:
    with pytest.raises(TypeError, match="pp prints a variable; 3 is none"):
        theano.pp(3)  # type: ignore[arg-type]
