"""Diagonals and one-hot rows: values, gradients, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.backends import making_functions_for
from helpers.expressions import Case, evaluate, make_tests
from helpers.native import AnyArray

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(4)
M = _rng.normal(size=(3, 5))
A = _rng.normal(size=(2, 3, 4))
OFFSETS = (-3, -1, 0, 1, 4, 6)
LABELS = np.array([2, 0, -1, 2], "int8")


def filled(x: AnyArray, value: Any, k: int = 0) -> AnyArray:
    indices = np.indices(x.shape)
    is_on = np.all(indices[1:] - indices[:-1] == k, axis=0)
    return np.where(is_on, value, x)


def diagonals(x: AnyArray, k: int, axis1: int, axis2: int) -> AnyArray:
    """Matrices that have the last axis of `x` as diagonal k."""
    side = x.shape[-1] + abs(k)
    square = np.zeros((*x.shape[:-1], side, side), x.dtype)
    for index in np.ndindex(x.shape[:-1]):
        square[index] = np.diag(x[index], k)
    return np.moveaxis(square, (-2, -1), (axis1, axis2))


CASES = [
    Case("diagonal", T.diag, np.diag, (M,)),
    Case("diagonal of a tall matrix", lambda x: T.diag(x.T) ** 2, lambda x: np.diag(x) ** 2, (M,)),
    Case("diagonal matrix", T.diag, np.diag, (M[0],)),
    *(
        Case(
            f"{name} {k}",
            lambda x, name=name, k=k: getattr(T, name)(x, k),
            lambda x, name=name, k=k: getattr(np, name)(x, k),
            (M,),
        )
        for name in ("diag", "diagonal", "trace", "tril", "triu")
        for k in OFFSETS
    ),
    *(
        Case(
            f"diag of a vector {k}",
            lambda x, k=k: T.diag(x, k),
            lambda x, k=k: np.diag(x, k),
            (M[0],),
        )
        for k in OFFSETS
    ),
    *(
        Case(
            f"{name} of axes {axes}",
            lambda x, name=name, axes=axes: getattr(T, name)(x, 1, *axes),
            lambda x, name=name, axes=axes: getattr(np, name)(x, 1, *axes),
            (A,),
        )
        for name in ("diagonal", "trace")
        for axes in ((0, 1), (1, 0), (0, 2), (2, 1), (-1, -2), (-3, 1))
    ),
    *(
        Case(
            f"AllocDiag({k}, {axes})",
            lambda x, k=k, axes=axes: T.AllocDiag(k, *axes)(x),
            lambda x, k=k, axes=axes: diagonals(x, k, *axes),
            (A,),
        )
        for k in (0, 2, -1)
        for axes in ((0, 1), (1, 0), (3, 2), (0, -1), (2, 0))
    ),
    *(
        Case(
            f"{name} of a batch",
            lambda x, name=name: getattr(T, name)(x, 1),
            lambda x, name=name: getattr(np, name)(x, 1),
            (A,),
        )
        for name in ("tril", "triu")
    ),
    *(
        Case(
            f"tri {arguments}",
            lambda arguments=arguments: T.tri(*arguments, dtype="int32"),
            lambda arguments=arguments: np.tri(*arguments),
            (),
            dtype="int32",
        )
        for arguments in ((3,), (3, 5), (5, 3, -1), (2, 4, 2), (3, 3, -7), (0, 2))
    ),
    *(
        Case(
            f"fill_diagonal of {x.shape}",
            lambda x, v: T.fill_diagonal(x, v) ** 2,
            lambda x, v: filled(x, v) ** 2,
            (x, np.asarray(0.5)),
        )
        for x in (M, M.T, A[:, :2, :2])
    ),
    *(
        Case(
            f"fill_diagonal_offset {k}",
            lambda x, v, k=k: T.fill_diagonal_offset(x, v, k) ** 2,
            lambda x, v, k=k: filled(x, v, k) ** 2,
            (M, np.asarray(0.5)),
        )
        for k in OFFSETS
    ),
    Case("filled with a number", lambda x: T.fill_diagonal(x, 3), lambda x: filled(x, 3), (M,)),
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


def test_offsets_by_values_of_the_call(device: str) -> None:
    x, v, k = T.dmatrix("x"), T.dvector("v"), T.lscalar("k")
    with making_functions_for(device):
        function = theano.function(
            [x, v, k], [T.diagonal(x, k), T.diag(v, k), T.tril(x, k), T.triu(x, k), T.tri(3, 4, k)]
        )
    for n in OFFSETS:
        expected = [np.diagonal(M, n), np.diag(M[0], n), np.tril(M, n), np.triu(M, n)]
        for result, exact in zip(function(M, M[0], n), [*expected, np.tri(3, 4, n)], strict=True):
            np.testing.assert_array_equal(result, exact)


def test_what_is_outside_a_triangle_has_no_say(device: str) -> None:
    x = T.dmatrix("x")
    values = np.where(np.tri(3, 5), M, np.nan)
    lower = T.tril(x)
    result, slope = evaluate(device, [x], [lower, T.grad(T.sum(T.sqr(lower)), x)], values)
    np.testing.assert_array_equal(result, np.tril(M))
    np.testing.assert_array_equal(slope, 2 * np.tril(M))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32"])
@pytest.mark.parametrize("shape", [(3, 4), (0, 3), (3, 0), (1, 1)])
def test_dtypes_and_empty_matrices(device: str, dtype: str, shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).integers(0, 5, shape).astype(dtype)
    x = T.tensor(dtype, [False, False], "x")
    functions = [(T.tril, np.tril), (T.triu, np.triu), (T.diagonal, np.diagonal)]
    square = evaluate(device, [x], T.AllocDiag()(x), values)
    assert square.dtype == dtype
    np.testing.assert_array_equal(square, diagonals(values, 0, 0, 1))
    outputs = [ours(x, k) for ours, _ in functions for k in (-1, 0, 1)]
    results = evaluate(device, [x], outputs, values)
    exact = [theirs(values, k) for _, theirs in functions for k in (-1, 0, 1)]
    for result, expected in zip(results, exact, strict=True):
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)


def test_errors_when_an_expression_is_made() -> None:
    with pytest.raises(TypeError, match="diag takes a vector or a matrix"):
        T.diag(T.scalar())
    with pytest.raises(TypeError, match="named twice"):
        T.diagonal(T.tensor3(), 0, 1, 1)
    with pytest.raises(TypeError, match="tril takes at least two axes"):
        T.tril(T.vector())
    with pytest.raises(TypeError, match="filled with a scalar"):
        T.fill_diagonal(T.matrix(), [1.0])
    with pytest.raises(TypeError, match="fill_diagonal_offset takes a matrix"):
        T.fill_diagonal_offset(T.tensor3(), 1.0, 0)
    with pytest.raises(TypeError, match="takes a vector of integers"):
        T.extra_ops.to_one_hot(T.vector(), 3)
