"""Shapes and views: values, gradients, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(3)
A = _rng.normal(size=(2, 3, 4))
M = _rng.normal(size=(3, 4))
V = _rng.normal(size=6)
ROW = _rng.normal(size=(1, 4))

CASES = [
    Case("reshape", lambda x: x.reshape((4, 6)), lambda x: x.reshape(4, 6), (A,)),
    Case("reshape -1", lambda x: x.reshape((2, -1)), lambda x: x.reshape(2, -1), (A,)),
    Case("reshape by an int", lambda x: x.reshape(24), lambda x: x.reshape(24), (A,)),
    Case("reshape to a scalar", lambda x: x.reshape(()), lambda x: x.reshape(()), (M[:1, :1],)),
    Case(
        "reshape of a scalar",
        lambda x: x.reshape((1, 1)),
        lambda x: x.reshape(1, 1),
        (np.asarray(2.0),),
    ),
    Case(
        "reshape by a length",
        lambda x: x.reshape((x.shape[2], -1)),
        lambda x: x.reshape(4, -1),
        (A,),
    ),
    Case(
        "reshape by a shape",
        lambda x, y: y.reshape(x.shape, ndim=2) * x,
        lambda x, y: y.reshape(x.shape) * x,
        (M[:2, :3], V),
    ),
    Case(
        "reshape of a transpose", lambda x: x.T.reshape((2, 6)), lambda x: x.T.reshape(2, 6), (M,)
    ),
    Case(
        "reshape of a slice",
        lambda x: x[:, ::2].reshape((3, 2, 2)),
        lambda x: x[:, ::2].reshape(3, 2, 2),
        (_rng.normal(size=(3, 8)),),
    ),
    Case(
        "reshape twice",
        lambda x: x.reshape((4, 6)).reshape((3, 8)),
        lambda x: x.reshape(3, 8),
        (A,),
    ),
    Case(
        "function reshape", lambda x: T.reshape(x, (3, 8)) * 2, lambda x: x.reshape(3, 8) * 2, (A,)
    ),
    Case("transpose", lambda x: x.T, lambda x: x.T, (A,)),
    Case("transpose by axes", lambda x: x.transpose(1, 0, 2), lambda x: x.transpose(1, 0, 2), (A,)),
    Case(
        "transpose by a tuple",
        lambda x: T.transpose(x, (2, 0, 1)),
        lambda x: x.transpose(2, 0, 1),
        (A,),
    ),
    Case(
        "dimshuffle adds axes",
        lambda x: x.dimshuffle("x", 0, "x", 1),
        lambda x: x[None, :, None, :],
        (M,),
    ),
    Case("dimshuffle drops an axis", lambda x: x.dimshuffle(1), lambda x: x[0], (ROW,), (0,)),
    Case(
        "dimshuffle stretched",
        lambda x, y: x.dimshuffle(0, 1, "x") * y.dimshuffle("x", "x", 0),
        lambda x, y: x[:, :, None] * y,
        (M, V),
    ),
    Case(
        "transpose times itself",
        lambda x: x[:, :3] * x[:, :3].T,
        lambda x: x[:, :3] * x[:, :3].T,
        (M,),
    ),
    Case("flatten", lambda x: x.flatten(), lambda x: x.ravel(), (A,)),
    Case("flatten to 2", lambda x: x.flatten(2), lambda x: x.reshape(2, 12), (A,)),
    Case("flatten of a transpose", lambda x: T.flatten(x.T), lambda x: x.T.ravel(), (M,)),
    Case("flatten of a scalar", lambda x: x.flatten(), lambda x: x.ravel(), (np.asarray(2.0),)),
    Case("alloc", lambda x: T.alloc(x, 2, 3), lambda x: np.full((2, 3), x), (np.asarray(1.5),)),
    Case(
        "alloc of a row",
        lambda x: T.alloc(x, 3, 4),
        lambda x: np.broadcast_to(x, (3, 4)),
        (ROW,),
        (0,),
    ),
    Case(
        "alloc of a vector",
        lambda x: T.alloc(x, 2, 6) ** 2,
        lambda x: np.broadcast_to(x, (2, 6)) ** 2,
        (V,),
    ),
    Case(
        "alloc by lengths",
        lambda x, y: T.alloc(x, y.shape[0], y.shape[1]) * y,
        lambda x, y: x * y,
        (np.asarray(1.5), M),
    ),
    Case("shape", lambda x: x.shape, np.shape, (A,), dtype="int64", gradient=False),
    Case("shape as a number", lambda x: x * x.shape[1], lambda x: x * 4, (M,), dtype="float64"),
    Case("size", lambda x: T.prod(x.shape), np.size, (A,), dtype="int64", gradient=False),
]


test_value, test_gradient = make_tests(CASES)


def test_views_cost_no_call() -> None:
    x = T.dmatrix("x")
    function = theano.function([x], T.exp(x.T.dimshuffle("x", 0, 1)[:, 1:, ::-1]))
    function(M)
    assert len(function.plan.calls) == 1


@pytest.mark.parametrize("shape", [(5, 5), (-1, -1), (7, -1), (2, -2, 6)])
def test_reshape_that_does_not_fit(device: str, shape: tuple[int, ...]) -> None:
    x = T.tensor3("x", "float64")
    function = theano.function([x], x.reshape(shape))
    with pytest.raises(
        ValueError, match=r"(?s)can't be reshaped|not a shape.*made at .*test_shape.py"
    ):
        function(A)


def test_reshaped_dimension_of_length_1_broadcasts(device: str) -> None:
    x, y = T.dvector("x"), T.dmatrix("y")
    result = evaluate(device, [x, y], x.reshape((1, -1)) + y, M[0], M)
    np.testing.assert_array_equal(result, M[:1] + M)


def test_reshape_by_a_value_of_the_call(device: str) -> None:
    x, n = T.dvector("x"), T.lscalar("n")
    function = theano.function([x, n], x.reshape((n, -1)))
    assert function(np.arange(12.0), 3).shape == (3, 4)
    assert function(np.arange(12.0), 4).shape == (4, 3)
    assert len(function.plans) == 2
    with pytest.raises(ValueError, match="can't be reshaped"):
        function(np.arange(12.0), 5)


def test_alloc_refuses_an_operand_that_does_not_broadcast(device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], T.alloc(x, 5))
    with pytest.raises(ValueError, match="doesn't fill"):
        function(np.ones(1))
    np.testing.assert_array_equal(function(np.arange(5.0)), np.arange(5.0))


ERRORS: list[tuple[Any, str]] = [
    (lambda: T.matrix().dimshuffle(0), "doesn't broadcast"),
    (lambda: T.matrix().dimshuffle(0, 0), "doesn't fit"),
    (lambda: T.matrix().dimshuffle(0, 1, 2), "doesn't fit"),
    (lambda: T.matrix().flatten(3), "flatten to 3 dimensions of 2"),
    (lambda: T.matrix().reshape((T.vector(), 2)), "a length in a shape must be an integer scalar"),
    (lambda: T.matrix().reshape(T.lvector()), "a symbolic shape needs ndim="),
    (lambda: T.alloc(T.matrix(), 3), "can't fill 1 dimensions"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors_when_an_expression_is_made(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()
