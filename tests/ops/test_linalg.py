"""Matrix products: values, gradients, errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(5)
A = _rng.normal(size=(3, 4))
B = _rng.normal(size=(4, 2))
V = _rng.normal(size=4)
W = _rng.normal(size=3)
D = _rng.normal(size=(2, 3, 4))
E = _rng.normal(size=(3, 4, 2))
ROW = _rng.normal(size=(1, 4))


def inner(axes: Any) -> Any:
    """Axes of `batched_tensordot` as `tensordot` has them for each of the batch."""
    return axes if isinstance(axes, int) else [[a - 1 for a in each] for each in axes]


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
    *(
        Case(f"dot of {x.shape} and {y.shape}", T.dot, np.dot, (x, y))
        for x, y in [(D, B), (A, E), (D, E), (D, V), (V, E), (E, V[:2])]
    ),
    *(
        Case(
            f"tensordot over {axes}",
            lambda x, y, axes=axes: T.tensordot(x, y, axes=axes),
            lambda x, y, axes=axes: np.tensordot(x, y, axes=axes),
            (x, y),
        )
        for x, y, axes in [
            (A, B, 1),
            (A, A, 2),
            (V, W, 0),
            (D, E, [[2], [1]]),
            (D, E, [[2, 1], [1, 0]]),
            (D, E, [[1, 2], [0, 1]]),
            (D, A, [[-1, 1], [-1, 0]]),
            (D, A, [1, 0]),
            (D.transpose(2, 0, 1), D, [[0, 1, 2], [2, 0, 1]]),
            (D, D, 3),
        ]
    ),
    Case(
        "tensordot of a row",
        lambda x, y: T.tensordot(x, y, [[1], [0]]) + y[:3],
        lambda x, y: x @ y + y[:3],
        (ROW, B),
        (0,),
    ),
    Case("batched_dot", T.batched_dot, np.matmul, (D, D.transpose(0, 2, 1))),
    Case(
        "batched_dot with vectors",
        lambda x, y: T.batched_dot(T.batched_dot(y, x), y),
        lambda x, y: np.einsum("nij,ni,nj->n", x, y, y),
        (_rng.normal(size=(3, 4, 4)), A),
    ),
    Case(
        "batched_dot with numbers",
        lambda x, y: T.batched_dot(x, y),
        lambda x, y: x[:, None, None] * y,
        (V[:2], D),
    ),
    Case("T.outer", T.outer, np.outer, (V, B)),
    Case(
        "outer of integers",
        lambda x, i: T.outer(i, i),
        lambda x, i: np.outer(i, i),
        (A, np.arange(3, dtype="int8")),
        dtype="int8",
        gradient=False,
    ),
    Case(
        "integers",
        lambda x, i: T.dot(i, i.T),
        lambda x, i: i @ i.T,
        (A, np.arange(6, dtype="int32").reshape(2, 3)),
        dtype="int32",
        gradient=False,
    ),
    Case(
        "float by integers",
        lambda x, i: T.dot(x, T.cast(i, "int8")),
        np.dot,
        (A, np.arange(8, dtype="int32").reshape(4, 2)),
    ),
    *(
        Case(
            f"batched_tensordot {axes}",
            lambda x, y, axes=axes: T.batched_tensordot(x, y, axes),
            lambda x, y, axes=axes: np.stack(
                [np.tensordot(a, b, one) for a, b, one in zip(x, y, [inner(axes)] * 2, strict=True)]
            ),
            (_rng.normal(size=left), _rng.normal(size=right)),
        )
        for left, right, axes in (
            ((2, 3, 4), (2, 4, 5), 1),
            ((2, 3, 4), (2, 3, 4), 2),
            ((2, 3), (2, 4), 0),
            ((2, 3, 4), (2, 3), [[1], [1]]),
            ((2, 3, 4, 5), (2, 5, 6, 3), [[1, 3], [3, 1]]),
        )
    ),
    *(
        Case(
            f"cov {options}",
            lambda x, options=options: T.cov(x, **options),
            lambda x, options=options: np.cov(x, **options),
            (_rng.normal(size=(3, 5)),),
        )
        for options in ({}, {"rowvar": False}, {"bias": True}, {"ddof": 2})
    ),
    Case("cov of two", T.cov, np.cov, (_rng.normal(size=(2, 5)), _rng.normal(size=(3, 5)))),
]


test_value, test_gradient = make_tests(CASES)


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


def test_lengths_of_tensordot_that_differ(device: str) -> None:
    """Also where the products over all axes are equal."""
    x, y = T.dmatrix("x"), T.dmatrix("y")
    function = theano.function([x, y], T.tensordot(x, y, 2))
    with pytest.raises(ValueError, match=r"(?s)\(3, 4\) over \(0, 1\) and \(4, 3\).*test_linalg"):
        function(A, A.T)


def test_batches_of_different_sizes_and_of_none(device: str) -> None:
    x, y = T.tensor3("x", "float64"), T.tensor3("y", "float64")
    function = theano.function([x, y], [T.batched_dot(x, y), T.grad(T.batched_dot(x, y).sum(), x)])
    with pytest.raises(ValueError, match=r"(?s)\(2, 3, 4\) and a batch \(3, 4, 2\).*test_linalg"):
        function(D, E)
    for result, shape in zip(function(D[:0], D[:0].transpose(0, 2, 1)), (3, 4), strict=True):
        assert result.shape == (0, 3, shape)


def test_products_of_a_batch_are_written_into_their_places() -> None:
    x, y = T.tensor3("x", "float64"), T.tensor3("y", "float64")
    function = theano.function([x, y], T.batched_dot(x, y))
    function(D, D.transpose(0, 2, 1))
    assert [call.kernel for call in function.plan.calls] == ["gemm", "gemm"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: T.tensordot(T.matrix(), T.matrix(), [[0, 1], [0]]), "two lists equally long"),
        (lambda: T.tensordot(T.matrix(), T.matrix(), [[2], [0]]), "axis 2 is out of range for 2"),
        (
            lambda: T.tensordot(T.matrix(), T.matrix(), [[1, -1], [0, 1]]),
            r"an axis is named twice in \[1, -1\]",
        ),
        (lambda: T.tensordot(T.matrix(), T.matrix(), 3), "axes is 3; the operands are"),
        (lambda: T.batched_dot(T.tensor4(), T.tensor3()), "batched_dot takes 1 to 3 axes"),
        (lambda: T.batched_dot(T.scalar(), T.tensor3()), "batched_dot takes 1 to 3 axes"),
    ],
)
def test_errors_when_an_expression_is_made(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize(
    ("product", "shapes", "terms"),
    [
        (T.dot, [(3, 1), (1, 4)], (4, 3)),
        (lambda a, b: T.tensordot(a, b, axes=1), [(2, 3, 1), (1, 4)], (4, 6)),
        (T.batched_dot, [(2, 3, 1), (2, 1, 4)], (4, 3)),
    ],
    ids=["dot", "tensordot", "batched_dot"],
)
def test_gradients_broadcast_where_the_operands_do(
    product: Callable[..., T.Variable],
    shapes: list[tuple[int, ...]],
    terms: tuple[int, int],
    device: str,
) -> None:
    """The operands have axes that are 1 long and broadcast; the gradient of what they were computed
    from is longer there.
    """
    inputs = [T.tensor("float64", [n == 1 for n in shape]) for shape in shapes]
    operands = [
        T.prod(T.repeat(x, 2, axis=shape.index(1)), axis=shape.index(1), keepdims=True)
        for x, shape in zip(inputs, shapes, strict=True)
    ]
    values = [np.full(shape, 0.5) for shape in shapes]
    gradients = theano.function(inputs, T.grad(T.sum(product(*operands)), inputs))(*values)
    # Every element of an operand is 0.25, the square of 0.5, and has the slope 2 * 0.5.
    for gradient, shape, n in zip(gradients, shapes, terms, strict=True):
        np.testing.assert_allclose(gradient, np.full(shape, 0.25 * n))


@pytest.mark.parametrize("flags", range(64))
def test_where_products_of_batches_broadcast(flags: int) -> None:
    bits = [bool(flags >> k & 1) for k in range(6)]
    a, b = (T.TensorType("float64", bits[k : k + 3])() for k in (0, 3))
    assert T.batched_dot(a, b).broadcastable == (bits[0] and bits[3], bits[1], bits[5])
