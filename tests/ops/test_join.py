"""Joining and splitting: values, gradients, dtypes, errors, and what it costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(4)
V = _rng.normal(size=5)
M = _rng.normal(size=(3, 4))
N = _rng.normal(size=(2, 4))
A = _rng.normal(size=(2, 3, 4))
S = np.asarray(1.5)
ROW = _rng.normal(size=(1, 4))
INTS = np.array([[1, 2, 3, 4]], "int8")


def halves(x: Any, axis: int) -> list[Any]:
    return T.split(x, [1, 2], 2, axis) if isinstance(x, theano.Variable) else np.split(x, [1], axis)


CASES = [
    *(
        Case(
            f"concatenate {len(values)} along {axis}",
            lambda *xs, axis=axis: T.concatenate(xs, axis=axis),
            lambda *xs, axis=axis: np.concatenate(xs, axis=axis),
            values,
        )
        for axis, values in [
            (0, (M, N)), (0, (V, V, V)), (1, (M, M)), (-1, (A, A)), (1, (A, A[:, :1])), (0, (M,))
        ]
    ),
    Case(
        "of a row that broadcasts",
        lambda x, y: T.concatenate([x, y], axis=0),
        lambda x, y: np.concatenate([x, y], axis=0),
        (M, ROW),
        stretched=(1,),
    ),
    Case("vertical_stack", T.vertical_stack, lambda *xs: np.vstack(xs), (M, N, M)),
    Case("horizontal_stack", T.horizontal_stack, lambda *xs: np.hstack(xs), (M, M[:, :1])),
    Case(
        "stacklists",
        lambda x, y: T.stacklists([[x, y, x], [y, 2 * x, 0.5 * y]]),
        lambda x, y: np.array([[x, y, x], [y, 2 * x, 0.5 * y]]),
        (M, M + 1),
    ),
    Case("stacklists of one", T.stacklists, lambda x: x, (M,)),
    Case("join", lambda x, y: T.join(0, x, y), lambda x, y: np.concatenate([x, y]), (M, N)),
    Case(
        "with nothing",
        lambda x: T.concatenate([x[:0], x, x[5:]]),
        lambda x: x,
        (M,),
    ),
    Case("of nothing", lambda x: T.concatenate([x[:0], x[4:]]), lambda x: x[:0], (M,)),
    Case(
        "of itself, turned",
        lambda x: T.concatenate([x, x[::-1], x * 2], axis=1)[:, ::3],
        lambda x: np.concatenate([x, x[::-1], x * 2], axis=1)[:, ::3],
        (M,),
    ),
    Case(
        "of joins",
        lambda x, y: T.concatenate([T.concatenate([x, y]), T.concatenate([y * 2, x])], axis=1),
        lambda x, y: np.hstack([np.vstack([x, y]), np.vstack([y * 2, x])]),
        (M, N),
    ),
    Case(
        "of kernels' results",
        lambda x, y: T.concatenate([T.dot(x, y.T), T.exp(x).sum(axis=1, keepdims=True), x], axis=1),
        lambda x, y: np.hstack([x @ y.T, np.exp(x).sum(axis=1, keepdims=True), x]),
        (M, N),
    ),
    Case(
        "a part that is read twice",
        lambda x: T.concatenate([T.exp(x), x]) * T.sum(T.exp(x)),
        lambda x: np.concatenate([np.exp(x), x]) * np.exp(x).sum(),
        (M,),
    ),
    Case(
        "a reshaped part",
        lambda x, y: T.concatenate([T.exp(x).reshape((2, 6)), y.reshape((2, 4))], axis=1),
        lambda x, y: np.concatenate([np.exp(x).reshape(2, 6), y], axis=1),
        (M, N),
    ),
    Case(
        "numbers among them",
        lambda x: T.concatenate([x, [1.0, 2.0], np.zeros(3, "float32")]),
        lambda x: np.concatenate([x, [1.0, 2.0], np.zeros(3)]),
        (V,),
        dtype="float64",
    ),
    Case(
        "of different dtypes",
        lambda x, y: T.concatenate([T.cast(x, "int32"), y]),
        lambda x, y: np.concatenate([x.astype("int32"), y]),
        (M, INTS),
        dtype="int32",
        gradient=False,
    ),
    *(
        Case(
            f"stack along {axis}",
            lambda x, y, axis=axis: T.stack([x, y * 2, x], axis=axis),
            lambda x, y, axis=axis: np.stack([x, y * 2, x], axis=axis),
            (M, M + 1),
        )
        for axis in (0, 1, 2, -1)
    ),
    Case("stack of scalars", lambda x: T.stack([x, x * x, 2.0]), lambda x: [x, x * x, 2], (S,)),
    Case("stack(a, b)", lambda x, y: T.stack(x, y), lambda x, y: np.stack([x, y]), (V, V * 2)),
    *(
        Case(
            f"split along {axis}",
            lambda x, axis=axis: T.exp(halves(x, axis)[1]) * halves(x, axis)[0].sum(),
            lambda x, axis=axis: np.exp(halves(x, axis)[1]) * halves(x, axis)[0].sum(),
            (x,),
        )
        for axis, x in [(0, M), (1, A), (-1, A[:, :, :3])]
    ),
    Case("the gradient of one half", lambda x: halves(x, 0)[1], lambda x: x[1:], (M,)),
    Case(
        "split and joined",
        lambda x: T.concatenate(halves(x, 0)[::-1]) ** 2,
        lambda x: np.concatenate([x[1:], x[:1]]) ** 2,
        (M,),
    ),
    *(
        Case(
            f"repeat along {axis}",
            lambda x, axis=axis: T.repeat(x, 3, axis=axis) * 2,
            lambda x, axis=axis: np.repeat(x, 3, axis=axis) * 2,
            (M,),
        )
        for axis in (None, 0, 1, -2)
    ),
    *(
        Case(
            f"repeat {repeats} along {axis}",
            lambda x, repeats=repeats, axis=axis: T.repeat(x, repeats, axis) * 2,
            lambda x, repeats=repeats, axis=axis: np.repeat(x, repeats, axis) * 2,
            (M,),
        )
        for axis, repeats in [
            (0, [2, 0, 1]),
            (-1, np.array([1, 0, 3, 2])),
            (None, np.arange(12)),
            (1, (0, 0, 0, 0)),
            (0, [3]),
            (1, np.array(2)),
        ]
    ),
    Case(
        "repeat by a constant",
        lambda x: x.repeat(T.constant([1, 2, 3]), axis=0),
        lambda x: np.repeat(x, [1, 2, 3], axis=0),
        (M,),
    ),
    Case(
        "repeat by a vector made of shapes",
        lambda x: T.repeat(x, T.concatenate([x.shape - 2, x.shape[:1]]), axis=0),
        lambda x: np.repeat(x, [1, 2, 3], axis=0),
        (M,),
    ),
    Case(
        "repeat by a filled vector",
        lambda x: T.repeat(x, T.alloc(2, x.shape[1]), axis=1),
        lambda x: np.repeat(x, 2, axis=1),
        (M,),
    ),
    Case("x.repeat", lambda x: x.repeat(x.shape[0]), lambda x: x.repeat(5), (V,)),
    *(
        Case(
            f"tile by {reps}",
            lambda x, reps=reps: T.tile(x, reps),
            lambda x, reps=reps: np.tile(x, reps),
            (M,),
        )
        for reps in (2, (2, 3), (2, 1, 2), (3, 1))
    ),
]  # fmt: skip


test_value, test_gradient = make_tests(CASES)


def test_lengths_by_values_of_the_call(device: str) -> None:
    x, n = T.dmatrix("x"), T.lscalar("n")
    first, second = T.split(x, [n, x.shape[0] - n], axis=0)
    function = theano.function([x, n], [first, second, T.tile(x[0], n), T.repeat(x[0], n)])
    for k in (1, 2, 0):
        a, b, tiled, repeated = function(M, k)
        np.testing.assert_array_equal(a, M[:k])
        np.testing.assert_array_equal(b, M[k:])
        np.testing.assert_array_equal(tiled, np.tile(M[0], k))
        np.testing.assert_array_equal(repeated, np.repeat(M[0], k))
    with pytest.raises(ValueError, match=r"(?s)length 3 can't be split into \[4, -1\].*test_join"):
        function(M, 4)


def test_split_by_a_symbolic_vector(device: str) -> None:
    x, sizes = T.dvector("x"), T.lvector("sizes")
    with pytest.raises(TypeError, match="needs n_splits="):
        T.split(x, sizes)
    parts = T.split(x, x.shape, n_splits=1)
    np.testing.assert_array_equal(evaluate(device, [x], parts[0], V), V)


def test_shapes_that_do_not_fit(device: str) -> None:
    x, y = T.dmatrix("x"), T.dmatrix("y")
    function = theano.function([x, y], T.concatenate([x, y], axis=1))
    with pytest.raises(ValueError, match=r"(?s)\(3, 4\), \(2, 4\) can't be joined.*test_join.py"):
        function(M, N)


ERRORS: list[tuple[Callable[[], Any], str]] = [
    (lambda: T.concatenate([]), "at least one array"),
    (lambda: T.concatenate(T.matrix()), "it must be a list or tuple of arrays"),
    (lambda: T.concatenate([T.scalar(), T.scalar()]), "scalars can't be concatenated"),
    (lambda: T.concatenate([T.vector(), T.matrix()]), "with 1, 2 dimensions"),
    (lambda: T.concatenate([T.vector()], axis=1), "axis 1 is out of range for 1"),
    (lambda: T.concatenate([T.vector()], axis=0.5), "axis 0.5 is not an integer"),  # type: ignore[arg-type]
    (lambda: T.stack([T.vector(), T.matrix()]), "with 1 and 2 dimensions can't be stacked"),
    (lambda: T.stack([T.vector()], axis=3), "axis 3 is out of range"),
    (lambda: T.stack(), "at least one array"),
    (lambda: T.split(T.vector(), [1, 2], 3), "n_splits is 3; splits_size has 2"),
    (lambda: T.split(T.vector(), [0.5]), "must be an integer scalar"),
    (lambda: T.repeat(T.vector(), 0.5), "repeats must be an integer scalar"),
    (lambda: T.tile(T.vector(), (1.0,)), "must be an integer scalar"),
]


@pytest.mark.parametrize(("make", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors_when_an_expression_is_made(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.parametrize("repeats", [[1, 2], [1, 2, 3, 4], [1, 2, -1]])
def test_repeats_that_do_not_fit(device: str, repeats: list[int]) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], T.repeat(x, repeats, axis=0))
    with pytest.raises(ValueError, match=r"(?s)for an axis of length 3: one number.*made at"):
        function(M)


@pytest.mark.parametrize("repeats", [[1, 2], [1, 2, 3, 4], [1, 2, -1]])
def test_repeats_of_a_call_that_do_not_fit(device: str, repeats: list[int]) -> None:
    x, n = T.dmatrix("x"), T.lvector("n")
    function = theano.function([x, n], T.repeat(x, n, axis=0))
    with pytest.raises(ValueError, match=r"(?s)for an axis of length 3: one number.*made at"):
        function(M, repeats)
    np.testing.assert_array_equal(function(M, [0, 2, 1]), np.repeat(M, [0, 2, 1], axis=0))


def test_stack_with_the_axis_by_position(device: str) -> None:
    x = T.dmatrix("x")
    for y in (T.stack([x, x], 1), T.stack((x, x), axis=1), T.stack(x, x, axis=T.constant(1))):
        np.testing.assert_array_equal(evaluate(device, [x], y, M), np.stack([M, M], 1))


@pytest.mark.parametrize("ndim", range(1, 9))
def test_tile_and_repeat_of_many_axes(ndim: int) -> None:
    """Up to 8, beyond which kernels don't go."""
    rng = np.random.default_rng(ndim)
    a = rng.random(tuple(rng.integers(1, 3, ndim)))
    x = T.tensor("float64", (False,) * ndim, "x")

    def check(y: Any, expected: np.ndarray, copies: int) -> None:
        value, gradient = theano.function([x], [y, T.grad((y**2).sum(), x)])(a)
        np.testing.assert_array_equal(value, expected)
        np.testing.assert_allclose(gradient, 2 * copies * a)

    for reps in ((2,) * ndim, (3,), (2,) * min(ndim + 1, 8), (0,)):
        check(T.tile(x, reps), np.tile(a, reps), int(np.prod(reps)))
    for axis in range(ndim):
        check(T.repeat(x, 3, axis), np.repeat(a, 3, axis), 3)
