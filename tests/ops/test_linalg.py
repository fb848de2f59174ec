"""Matrix products: values, gradients, errors."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.expressions import Case, check_forward, check_gradient, evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(5)
A = _rng.normal(size=(3, 4))
B = _rng.normal(size=(4, 2))
V = _rng.normal(size=4)
W = _rng.normal(size=3)
ROW = _rng.normal(size=(1, 4))

CASES = [
    Case("matrix matrix", T.dot, np.dot, (A, B)),
    Case("matrix vector", T.dot, np.dot, (A, V)),
    Case("vector matrix", T.dot, np.dot, (W, A)),
    Case("vector vector", T.dot, np.dot, (V, V + 1)),
    Case("scalar matrix", T.dot, np.dot, (np.asarray(1.5), A)),
    Case("number matrix", lambda x: T.dot(2, x), lambda x: 2 * x, (A,)),
    Case("method", lambda x, y: x.dot(y), np.dot, (A, B)),
    Case("transposes", lambda x, y: T.dot(y.T, x.T), lambda x, y: y.T @ x.T, (A, B)),
    Case(
        "slices",
        lambda x, y: T.dot(x[::2, 1:], y[:0:-1]),
        lambda x, y: x[::2, 1:] @ y[:0:-1],
        (A, B),
    ),
    Case("row", lambda x, y: T.dot(x, y) + 1, lambda x, y: x @ y + 1, (ROW, B), (0,)),
    Case("with itself", lambda x: T.dot(x, x.T), lambda x: x @ x.T, (A,)),
    Case(
        "bias and activation",
        lambda x, y, b: T.nnet.sigmoid(T.dot(x, y) + b),
        lambda x, y, b: 1 / (1 + np.exp(-x @ y - b)),
        (A, B, V[:2]),
    ),
    Case("chain", lambda x, y, v: T.dot(T.dot(x, y), v), lambda x, y, v: x @ y @ v, (A, B, V[:2])),
    Case("inner length 1", lambda x, y: T.dot(x, y), np.dot, (A[:, :1], B[:1])),
    Case("outer", lambda x, y: T.dot(x.dimshuffle(0, "x"), y.dimshuffle("x", 0)), np.outer, (V, W)),
    Case(
        "integers in floatX",
        lambda x, i: T.dot(i, i.T),
        lambda x, i: i @ i.T,
        (A, np.arange(6, dtype="int32").reshape(2, 3)),
        dtype="float32",
        gradient=False,
    ),
    Case(
        "float by integers",
        lambda x, i: T.dot(x, T.cast(i, "int8")),
        np.dot,
        (A, np.arange(8, dtype="int32").reshape(4, 2)),
    ),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_value(case: Case, device: str, dtype: str) -> None:
    check_forward(case, device, dtype)


@pytest.mark.parametrize("case", [c for c in CASES if c.gradient], ids=str)
def test_gradient(case: Case, device: str) -> None:
    check_gradient(case, device)


@pytest.mark.parametrize("shapes", [((0, 4), (4, 2)), ((3, 0), (0, 2)), ((3, 4), (4, 0))])
def test_empty_matrices(device: str, shapes: tuple[tuple[int, int], tuple[int, int]]) -> None:
    x, y = T.dmatrix("x"), T.dmatrix("y")
    a, b = map(np.ones, shapes)
    np.testing.assert_array_equal(evaluate(device, [x, y], T.dot(x, y), a, b), a @ b)


def test_inner_lengths_that_differ(device: str) -> None:
    x, y = T.dmatrix("x"), T.dmatrix("y")
    function = theano.function([x, y], T.dot(x, y))
    with pytest.raises(ValueError, match=r"(?s)\(3, 4\) and \(3, 4\): 4 != 3.*test_linalg.py"):
        function(A, A)


def test_more_than_two_dimensions() -> None:
    with pytest.raises(TypeError, match="dot takes vectors and matrices"):
        T.dot(T.tensor3(), T.matrix())
