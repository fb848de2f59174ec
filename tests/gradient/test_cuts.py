"""Jacobians, Hessians and products with Jacobians of functions that are cut."""

from __future__ import annotations

from typing import Any

import numpy as np

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.ifelse import ifelse
from tinygrad_mnist.tensor import nlinalg, slinalg

V = np.array([1.0, -2, 3])
M = np.eye(3) * 2 + 0.1


def compute(inputs: Any, outputs: Any, *values: Any) -> Any:
    return theano.function(inputs, outputs, on_unused_input="ignore")(*values)


def test_of_a_mask(device: str) -> None:
    x = T.dvector("x")
    result = compute([x], T.jacobian(x[x > 0] ** 2, x), V)
    np.testing.assert_array_equal(result, [[2, 0, 0], [0, 0, 6]])


def test_of_a_choice(device: str) -> None:
    c, x = T.dscalar("c"), T.dvector("x")
    y = ifelse(c > 0, x**2, T.exp(x))
    cost = ifelse(c > 0, T.sum(x**3), T.sum(T.log(x - x)))
    function = theano.function(
        [c, x], [T.jacobian(y, x), T.Rop(y, x, x), T.Lop(y, x, x)], on_unused_input="ignore"
    )
    for value, slopes in ((1, 2 * V), (0, np.exp(V))):
        matrix, forwards, backwards = function(value, V)
        np.testing.assert_allclose(matrix, np.diag(slopes))
        np.testing.assert_allclose(forwards, slopes * V)
        np.testing.assert_allclose(backwards, slopes * V)
    curvature = theano.function([c, x], T.hessian(cost, x))
    np.testing.assert_allclose(curvature(1, V), np.diag(6 * V))


def test_of_linear_algebra(device: str) -> None:
    """Rows that need a host op of their own, which replace the Jacobian before it is planned."""
    a, b = T.dmatrix("a"), T.dvector("b")
    inverse = np.linalg.inv(M)
    result = compute([a, b], T.jacobian(slinalg.solve(a, b), b), M, V)
    np.testing.assert_allclose(result, inverse, atol=1e-15)
    result = compute([a], T.jacobian(nlinalg.matrix_inverse(a).flatten(), a), M)
    expected = -np.einsum("ik,lj->ijkl", inverse, inverse).reshape(9, 3, 3)
    np.testing.assert_allclose(result, expected, atol=1e-15)


def test_known_gradients(device: str) -> None:
    c, x = T.dscalar("c"), T.dvector("x")
    y = ifelse(c > 0, x**2, T.log(x - x))
    gradient = T.grad(None, x, known_grads={y: T.exp(x)})
    np.testing.assert_allclose(compute([c, x], gradient, 1, V), 2 * V * np.exp(V))
    of_condition = T.grad(T.sum(ifelse(c > 0, x, x * c)), c)
    assert compute([c, x], of_condition, 1, V) == 0
    assert compute([c, x], of_condition, -1, V) == V.sum()
