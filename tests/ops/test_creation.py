"""Arrays made of a shape and a number: values, dtypes, symbolic lengths, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

M = np.random.default_rng(3).normal(size=(3, 4))
V = M[0]

CASES = [
    Case("zeros_like", T.zeros_like, np.zeros_like, (M,), gradient=False),
    Case("ones_like", lambda x: T.ones_like(x) - x, lambda x: 1 - x, (M,)),
    Case(
        "ones_like as int",
        lambda x: T.ones_like(x, "int32"),
        np.ones_like,
        (M,),
        dtype="int32",
        gradient=False,
    ),
    Case(
        "zeros",
        lambda x: T.zeros((2, x.shape[1]), dtype="int8"),
        lambda x: np.zeros((2, 4)),
        (M,),
        dtype="int8",
        gradient=False,
    ),
    Case(
        "ones",
        lambda x: T.ones(x.shape[0], dtype=x.dtype),
        lambda x: np.ones(3),
        (M,),
        gradient=False,
    ),
    Case(
        "arange",
        lambda x: T.arange(x.shape[0]),
        lambda x: np.arange(3),
        (M,),
        dtype="int64",
        gradient=False,
    ),
    Case(
        "arange with steps",
        lambda x: T.arange(1, 10, 4),
        lambda x: np.arange(1, 10, 4),
        (M,),
        dtype="int64",
        gradient=False,
    ),
    Case(
        "arange downwards",
        lambda x: T.arange(5, -1, -2),
        lambda x: np.arange(5, -1, -2),
        (M,),
        dtype="int64",
        gradient=False,
    ),
    Case(
        "arange as float",
        lambda x: T.arange(4, dtype="float32"),
        lambda x: np.arange(4),
        (M,),
        dtype="float32",
        gradient=False,
    ),
    Case(
        "empty arange",
        lambda x: T.arange(3, 3),
        lambda x: np.arange(0),
        (M,),
        dtype="int64",
        gradient=False,
    ),
    Case(
        "full",
        lambda x: T.full((x.shape[0], 2), 2.5, dtype=x.dtype) * x[:, :2],
        lambda x: x[:, :2] * 2.5,
        (M,),
    ),
    Case(
        "full of ints",
        lambda x: T.full(x.shape[1], 7),
        lambda x: np.full(4, 7),
        (M,),
        dtype="int64",
        gradient=False,
    ),
    Case(
        "full of a symbolic value",
        lambda x: T.full((2, 3), x[0, 1]) * 2,
        lambda x: np.full((2, 3), x[0, 1]) * 2,
        (M,),
    ),
    Case("full by a shape", lambda x: T.full(x.shape, x), lambda x: x, (V,)),
    Case("full_like", lambda x: T.full_like(x, 3) * x, lambda x: 3 * x, (M,)),
    Case(
        "full_like as int8",
        lambda x: T.full_like(x, -3, dtype="int8"),
        lambda x: np.full(x.shape, -3),
        (M,),
        dtype="int8",
        gradient=False,
    ),
    Case(
        "fill", lambda x, y: T.fill(x, y) * x, lambda x, y: np.broadcast_to(y, x.shape) * x, (M, V)
    ),
    Case("x.fill", lambda x: x.fill(2) - x, lambda x: 2 - x, (M,)),
    Case("x.zeros_like", lambda x: x.zeros_like() + x * x.ones_like(), lambda x: x, (M,)),
    *(
        Case(
            f"eye{arguments}",
            lambda x, a=arguments: T.eye(*a, dtype="int32"),
            lambda x, a=arguments: np.eye(*a),
            (M,),
            dtype="int32",
            gradient=False,
        )
        for arguments in ((3,), (2, 4), (4, 2), (3, 3, 1), (3, 4, -2), (2, 2, 5), (0,), (40, 30, 3))
    ),
    Case(
        "eye by lengths",
        lambda x: T.eye(x.shape[0], x.shape[1], dtype=x.dtype) * x,
        lambda x: np.eye(3, 4) * x,
        (M,),
    ),
    Case("identity_like", lambda x: T.identity_like(x) + x, lambda x: np.eye(3, 4) + x, (M,)),
    *(
        Case(
            f"arange{arguments}",
            lambda x, a=arguments: T.arange(*a, dtype=x.dtype),
            lambda x, a=arguments: np.arange(*a),
            (M,),
            gradient=False,
        )
        for arguments in ((0, 1, 0.1), (2.5,), (1, 0, -0.25), (0.5, 0.5), (3, 1.5, 0.5), (-1.5, 2))
    ),
    *(
        Case(
            f"mgrid of {len(key)}",
            lambda x, key=key: T.stack(T.mgrid[key]),
            lambda x, key=key: np.stack(np.mgrid[key]),
            (M,),
            dtype="int64",
            gradient=False,
        )
        for key in (np.s_[2:5,], np.s_[0:5, :3], np.s_[4:0:-2, :2, 1:3])
    ),
    *(
        Case(
            f"ogrid {axis}",
            lambda x, axis=axis: T.ogrid[0:3, 1:9:2][axis] + T.cast(x * 0, "int8"),
            lambda x, axis=axis: np.ogrid[0:3, 1:9:2][axis] + 0 * x,
            (M,),
            dtype="int64",
            gradient=False,
        )
        for axis in (0, 1)
    ),
    *(
        Case(
            f"bartlett {n}",
            lambda x, n=n: T.bartlett(n),
            lambda x, n=n: np.bartlett(n),
            (M,),
            dtype="float64",
            gradient=False,
        )
        for n in (0, 1, 2, 5, 8)
    ),
]


test_value, test_gradient = make_tests(CASES)


def test_arange_by_a_value_of_the_call(device: str) -> None:
    n = T.iscalar("n")
    function = theano.function([n], T.arange(n) * 2)
    np.testing.assert_array_equal(function(4), [0, 2, 4, 6])
    np.testing.assert_array_equal(function(2), [0, 2])
    np.testing.assert_array_equal(function(-3), [])


def test_lengths_and_diagonal_by_values_of_the_call(device: str) -> None:
    n, k = T.lscalar("n"), T.iscalar("k")
    function = theano.function([n, k], [T.eye(n, n + 1, k), T.zeros((n, 2)), T.full((2, n), k)])
    for values in ((3, 0), (2, -1), (0, 1)):
        identity, zeros, filled = function(*values)
        np.testing.assert_array_equal(identity, np.eye(values[0], values[0] + 1, values[1]))
        np.testing.assert_array_equal(zeros, np.zeros((values[0], 2)))
        np.testing.assert_array_equal(filled, np.full((2, values[0]), values[1]))


def test_filled_arrays_cost_no_call() -> None:
    x = T.dmatrix("x")
    function = theano.function([x], x * T.zeros_like(x) + T.ones((3, 4)) + T.full_like(x, 2.0))
    np.testing.assert_array_equal(function(M), np.full((3, 4), 3.0))
    assert len(function.plan.calls) == 1


@pytest.mark.parametrize("float_x", ["float32", "float64"])
def test_default_dtypes(float_x: str) -> None:
    theano.config.floatX = float_x
    floats = (
        T.zeros(2), T.ones((2, 3)), T.eye(3), T.full(2, 0.5), T.arange(0, 1, 0.1), T.arange(3.0)
    )  # fmt: skip
    assert {v.dtype for v in floats} == {float_x}
    assert {v.dtype for v in (T.arange(3), T.arange(T.iscalar()), T.full(2, 1))} == {"int64"}
    assert T.arange(np.float64(3)).dtype == T.full(2, np.float64(1)).dtype == "float64"
    assert T.full(2, True).dtype == "bool"
    assert T.zeros_like(T.matrix("m", "int8")).dtype == "int8"


def test_a_length_of_1_broadcasts(device: str) -> None:
    x = T.dmatrix("x")
    assert T.zeros((1, x.shape[1])).broadcastable == (True, False)
    result = evaluate(device, [x], x + T.ones((1, x.shape[1]), "float64"), M)
    np.testing.assert_array_equal(result, M + 1)


ERRORS: list[tuple[Any, type[Exception], str]] = [
    (lambda: T.arange(T.ivector()), TypeError, "an argument of arange must be an integer scalar"),
    (lambda: T.arange(0, T.vector("x"), 0.5), TypeError, "x is float32 vector: an argument of"),
    (lambda: T.arange(0, 1, 0.0), ValueError, "the step of arange is 0"),
    (lambda: T.zeros((2, 1.5)), TypeError, "a length in a shape must be an integer scalar"),
    (lambda: T.zeros(3, dtype="float16"), TypeError, "no dtype 'float16'"),
    (lambda: T.eye(3, k=0.5), TypeError, "the diagonal of eye must be an integer scalar"),
    (lambda: T.identity_like(T.vector()), TypeError, "identity_like takes a matrix"),
    (lambda: T.mgrid[3], TypeError, "a grid is made of slices that stop, not of 3"),
    (lambda: T.ogrid[:3, 1:], TypeError, "a grid is made of slices that stop"),
    (lambda: T.bartlett(1.5), TypeError, "the length of a window must be an integer scalar"),
    (lambda: T.full_like(T.vector(), T.vector()), TypeError, "fills with a scalar"),
    (lambda: T.fill(T.vector(), T.matrix()), TypeError, "has more dimensions"),
]


@pytest.mark.parametrize(("make", "kind", "message"), ERRORS, ids=[m for *_, m in ERRORS])
def test_errors_when_an_expression_is_made(make: Any, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        make()


def test_a_grid_of_floats() -> None:
    x, y = (v.eval() for v in T.mgrid[0:1:0.25, 2:4])
    np.testing.assert_array_equal([x, y], np.mgrid[0:1:0.25, 2:4])


def test_negative_lengths(device: str) -> None:
    n = T.lscalar("n")
    function = theano.function([n], T.zeros((n, 2)))
    with pytest.raises(ValueError, match=r"(?s)lengths can't be negative.*test_creation.py"):
        function(-1)
    assert function(0).shape == (0, 2)


def test_a_range_of_integers_in_floatx() -> None:
    assert T.arange(3, dtype="floatX").eval().dtype == theano.config.floatX
