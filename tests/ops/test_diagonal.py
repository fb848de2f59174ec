"""Diagonals and one-hot rows: values, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

M = np.random.default_rng(4).normal(size=(3, 5))
LABELS = np.array([2, 0, -1, 2], "int8")

CASES = [
    Case("diagonal", T.diag, np.diag, (M,)),
    Case("diagonal of a tall matrix", lambda x: T.diag(x.T) ** 2, lambda x: np.diag(x) ** 2, (M,)),
    Case("diagonal matrix", T.diag, np.diag, (M[0],)),
    Case(
        "one-hot",
        lambda y: T.extra_ops.to_one_hot(y, 4, dtype="int32"),
        lambda y: np.eye(4)[y],
        (LABELS,),
        dtype="int32",
        gradient=False,
    ),
]


test_value, test_gradient = make_tests(CASES)


def test_one_hot_with_as_many_classes_as_the_call_says(device: str) -> None:
    y, n = T.ivector("y"), T.lscalar("n")
    function = theano.function([y, n], T.extra_ops.to_one_hot(y, n))
    np.testing.assert_array_equal(function([1, 0], 3), [[0, 1, 0], [1, 0, 0]])
    assert function([1], 2).dtype == theano.config.floatX
    with pytest.raises(IndexError, match=r"(?s)the index y has to lie between -2 and 1.*made at"):
        function([2], 2)


def test_a_diagonal_matrix_of_integers(device: str) -> None:
    v = T.vector("v", "int8")
    result = evaluate(device, [v], T.diag(v), LABELS)
    assert result.dtype == "int8"
    np.testing.assert_array_equal(result, np.diag(LABELS))


def test_errors_when_an_expression_is_made() -> None:
    with pytest.raises(TypeError, match="diag takes a vector or a matrix"):
        T.diag(T.tensor3())
    with pytest.raises(TypeError, match="takes a vector of integers"):
        T.extra_ops.to_one_hot(T.vector(), 3)
