"""Indexing: slices, single elements, integer vectors; values, gradients, bounds, slots."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from helpers.expressions import Case, evaluate, make_tests

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(4)
V = _rng.normal(size=7)
M = _rng.normal(size=(4, 5))
A = _rng.normal(size=(3, 4, 5))
ROW = _rng.normal(size=(1, 5))
PICKS = np.array([2, 0, 3, 2, -1], "int32")
OTHERS = np.array([1, -5, 4, 1, 0], "int64")

SLICES: list[tuple[str, Callable[[Any], Any], Any]] = [
    ("x[2]", lambda x: x[2], V),
    ("x[-3]", lambda x: x[-3], V),
    ("x[1:4]", lambda x: x[1:4], V),
    ("x[:-2]", lambda x: x[:-2], V),
    ("x[-3:]", lambda x: x[-3:], V),
    ("x[::2]", lambda x: x[::2], V),
    ("x[::-1]", lambda x: x[::-1], V),
    ("x[5:1:-2]", lambda x: x[5:1:-2], V),
    ("x[-2::-3]", lambda x: x[-2::-3], V),
    ("x[2:100]", lambda x: x[2:100], V),
    ("x[-100:2]", lambda x: x[-100:2], V),
    ("x[5:2]", lambda x: x[5:2], V),
    ("x[100:]", lambda x: x[100:], V),
    ("x[1]", lambda x: x[1], M),
    ("x[:, 1]", lambda x: x[:, 1], M),
    ("x[1, 2]", lambda x: x[1, 2], M),
    ("x[1:3, ::-2]", lambda x: x[1:3, ::-2], M),
    ("x[..., 0]", lambda x: x[..., 0], A),
    ("x[0, ..., 1:3]", lambda x: x[0, ..., 1:3], A),
    ("x[:, None, 2]", lambda x: x[:, None, 2], A),
    ("x[None]", lambda x: x[None], V),
    ("x[..., None]", lambda x: x[..., None], V),
    ("x[1:][::2][:, 1]", lambda x: x[1:][::2][:, 1], A),
    ("x.T[1:, ::2]", lambda x: x.T[1:, ::2], M),
    ("x[...]", lambda x: x[...], V),
]
CASES = [Case(name, function, function, (value,)) for name, function, value in SLICES]
CASES += [
    Case("sum of overlapping slices", lambda x: x[1:] * x[:-1], lambda x: x[1:] * x[:-1], (V,)),
    Case(
        "slice of a sum",
        lambda x, y: (x + y)[1:3, 2:],
        lambda x, y: (x + y)[1:3, 2:],
        (M, ROW),
        (1,),
    ),
    Case("row of a sum", lambda x, y: (x * y)[1], lambda x, y: (x * y)[1], (M, ROW), (1,)),
    Case("slice of a stretched row", lambda x: x[:, 1:3], lambda x: x[:, 1:3], (ROW,), (0,)),
    Case("empty slice of a sum", lambda x: (x + 1)[3:1], lambda x: (x + 1)[3:1], (V,)),
    Case("reversed slice of exp", lambda x: T.exp(x)[::-1], lambda x: np.exp(x)[::-1], (V,)),
    Case("index of a reduction", lambda x: T.sum(x, axis=0)[1:3], lambda x: x.sum(0)[1:3], (M,)),
    Case("rows by a vector", lambda x, i: x[i], lambda x, i: x[i], (M, PICKS)),
    Case(
        "elements by two vectors",
        lambda x, i, j: x[i, j],
        lambda x, i, j: x[i, j],
        (M, PICKS, OTHERS),
    ),
    Case(
        "blocks by two vectors",
        lambda x, i, j: x[i, j],
        lambda x, i, j: x[i, j],
        (A, PICKS % 3, OTHERS % 4),
    ),
    Case("vector by a vector", lambda x, i: x[i] * 2, lambda x, i: x[i] * 2, (V, PICKS)),
    Case("by a list", lambda x: x[[0, 2, 2]], lambda x: x[[0, 2, 2]], (M,)),
    Case("by an array", lambda x: x[np.array([3, 1])], lambda x: x[[3, 1]], (M,)),
    Case(
        "by arange and labels",
        lambda x, y: x[T.arange(y.shape[0]), y],
        lambda x, y: x[np.arange(4), y],
        (M, PICKS[:4]),
    ),
    Case(
        "by a matrix",
        lambda x, i: x[i.reshape((2, 2))],
        lambda x, i: x[i.reshape(2, 2)],
        (M, PICKS[:4]),
    ),
    Case("by int8", lambda x, i: x[i], lambda x, i: x[i], (M, PICKS.astype("int8"))),
    Case("by uint8", lambda x, i: x[i], lambda x, i: x[i], (M, np.uint8([3, 0]))),
    Case("rows of a transpose", lambda x, i: x.T[i], lambda x, i: x.T[i], (M, PICKS)),
    Case("by no index at all", lambda x, i: x[i], lambda x, i: x[i], (M, PICKS[:0])),
    Case(
        "integers by a vector",
        lambda x, i: i[i[:2]],
        lambda x, i: i[i[:2]],
        (V, PICKS),
        dtype="int32",
        gradient=False,
    ),
]


test_value, test_gradient = make_tests(CASES)


BOUNDS = [(0, 3), (2, 100), (-2, 7), (5, 2), (-100, -5), (100, 200), (-1, -3)]


@pytest.mark.parametrize("step", [1, 2, -1, -3])
def test_symbolic_bounds_are_clamped_as_numpy_does(device: str, step: int) -> None:
    x, i, j = T.dvector("x"), T.lscalar("i"), T.iscalar("j")
    function = theano.function([x, i, j], [x[i:j:step], x[i::step], x[:j:step]])
    for a, b in BOUNDS:
        results = function(V, a, b)
        for result, expected in zip(results, (V[a:b:step], V[a::step], V[:b:step]), strict=True):
            np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize("step", [1, -2])
def test_gradient_of_a_slice_with_symbolic_bounds(device: str, step: int) -> None:
    x, i, j = T.dvector("x"), T.lscalar("i"), T.lscalar("j")
    function = theano.function([x, i, j], T.grad(T.sum(x[i:j:step] ** 2), x))
    for a, b in BOUNDS:
        expected = np.zeros(7)
        expected[a:b:step] = 2 * V[a:b:step]
        np.testing.assert_allclose(function(V, a, b), expected, rtol=1e-12)


def test_symbolic_index(device: str) -> None:
    x, i = T.dmatrix("x"), T.lscalar("i")
    function = theano.function([x, i], [x[i], x[i, 1], x[:, -i], T.grad(x[i, 0] * 2, x)])
    for value in (1, 3, 2):
        row, element, column, gradient = function(M, value)
        np.testing.assert_array_equal(row, M[value])
        assert element == M[value, 1]
        np.testing.assert_array_equal(column, M[:, -value])
        assert gradient[value, 0] == 2
        assert gradient.sum() == 2
    assert len(function.plans) == 1


def test_arithmetic_of_bounds(device: str) -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    bounds = T.maximum(i - 1, 0), T.minimum(2 * i + 1, x.shape[0]), i // 2, i % 3, -i
    function = theano.function(
        [x, i], [x[bounds[0] : bounds[1]], x[bounds[2]], x[bounds[3]], x[bounds[4]]]
    )
    for value in (1, 2, 5):
        part, *elements = function(V, value)
        np.testing.assert_array_equal(part, V[max(value - 1, 0) : min(2 * value + 1, 7)])
        assert [float(e) for e in elements] == [V[value // 2], V[value % 3], V[-value]]


@pytest.mark.parametrize("index", [7, -8, 2**40])
def test_symbolic_index_out_of_range(device: str, index: int) -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    function = theano.function([x, i], x[i])
    for _ in range(2):  # with and without a plan that could have been used
        with pytest.raises(IndexError, match=rf"(?s)index {index} is out of range.*test_index.py"):
            function(V, index)
        assert function(V, -7) == V[0]


def test_constant_index_out_of_range(device: str) -> None:
    x = T.dvector("x")
    function = theano.function([x], x[7])
    with pytest.raises(IndexError, match=r"(?s)index 7 is out of range.*test_index.py"):
        function(V)
    assert function(np.arange(8.0)) == 7


@pytest.mark.parametrize("picks", [[0, 4, 1], [0, -5, 1], [0, 1, 127]])
def test_vector_out_of_range(device: str, picks: list[int]) -> None:
    x, i = T.dmatrix("x"), T.vector("i", "int8")
    function = theano.function([x, i], x[i])
    with pytest.raises(
        IndexError, match=r"(?s)the index i has to lie between -4 and 3.*test_index"
    ):
        function(M, picks)
    np.testing.assert_array_equal(function(M, [3, -4]), M[[3, -4]])


def test_constant_vector_out_of_range(device: str) -> None:
    x = T.dmatrix("x")
    function = theano.function([x], x[[0, 4]])
    with pytest.raises(IndexError, match="between -4 and 3"):
        function(M)


@pytest.mark.parametrize("n", [1, 3, 5])
def test_index_vectors_of_different_lengths(device: str, n: int) -> None:
    x, y = T.dmatrix("x"), T.ivector("y")
    function = theano.function([x, y], x[T.arange(x.shape[0]), y])
    with pytest.raises(ValueError, match=rf"(?s)\(4,\), \({n},\) can't index together.*test_index"):
        function(M, np.zeros(n, "int32"))


def test_gradient_adds_up_where_an_index_repeats(device: str) -> None:
    x, i = T.dvector("x"), T.ivector("i")
    weights = np.array([1.0, 10.0, 100.0, 1000.0])
    gradient = evaluate(
        device, [x, i], T.grad(T.sum(x[i] * weights), x), V, np.int32([2, 0, 2, -1])
    )
    np.testing.assert_array_equal(gradient, [10, 0, 101, 0, 0, 0, 1000])


def test_division_by_zero_in_a_bound(device: str) -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    function = theano.function([x, i], x[: 6 // i])
    for _ in range(2):
        with pytest.raises(ValueError, match=r"(?s)divides by 0.*test_index.py"):
            function(V, 0)
        np.testing.assert_array_equal(function(V, 2), V[:3])


ERRORS: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("too many", lambda: T.vector()[1, 2], TypeError, "2 indices for 1 dimensions"),
    ("float", lambda: T.vector()[1.5], TypeError, "an index must be an integer scalar"),
    (
        "float bound",
        lambda: T.vector()[T.scalar() :],
        TypeError,
        "is a float32 scalar; a slice bound must be an integer",
    ),
    ("zero step", lambda: T.vector()[::0], TypeError, "a nonzero integer"),
    ("float step", lambda: T.vector()[:: T.scalar()], TypeError, "a nonzero integer"),
    ("two ellipses", lambda: T.matrix()[..., ...], TypeError, "more than one"),
    ("mask of too many axes", lambda: T.vector()[T.matrix() > 0], IndexError, "2 indices for 1"),
]


@pytest.mark.parametrize(
    ("make", "kind", "message"), [e[1:] for e in ERRORS], ids=[e[0] for e in ERRORS]
)
def test_errors_when_an_expression_is_made(
    make: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        make()


@pytest.mark.parametrize("step", [1, 2, -1, -2, 7, -7])
def test_a_symbolic_step(step: int, device: str) -> None:
    x, i, j = T.dvector("x"), T.lscalar("i"), T.lscalar("j")
    function = theano.function([x, i, j], [x[::i], x[j::i], x[:j:i], T.set_subtensor(x[j::i], 0)])
    for start in (0, 1, -1):
        *values, changed = function(V, step, start)
        for value, expected in zip(
            values, (V[::step], V[start::step], V[:start:step]), strict=True
        ):
            np.testing.assert_array_equal(value, expected)
        copy = V.copy()
        copy[start::step] = 0
        np.testing.assert_array_equal(changed, copy)


def test_a_step_of_0(device: str) -> None:
    x, i = T.dvector("x"), T.lscalar("i")
    function = theano.function([x, i], x[::i])
    with pytest.raises(ValueError, match=r"(?s)the step of a slice is 0.*test_index.py"):
        function(V, 0)


@pytest.mark.parametrize(
    ("key", "broadcasts"),
    [
        (slice(None, None, -1), True),
        (slice(0, 1), True),
        (slice(None, 1), True),
        (slice(None, 5, 2), True),
        (slice(1, None), False),
        (slice(0, 0), False),
    ],
)
def test_a_slice_of_an_axis_that_broadcasts(key: slice, broadcasts: bool, device: str) -> None:
    """Where it takes the one element, the axis of the result broadcasts too."""
    row, x = T.row("row", dtype="float64"), T.dmatrix("x")
    part = row[key]
    assert part.broadcastable == (broadcasts, False)
    value = np.array([[1.0, 2.0]])
    np.testing.assert_array_equal(evaluate(device, [row], part, value), value[key])
    if broadcasts:
        added = evaluate(device, [row, x], part + x, value, np.ones((3, 2)))
        np.testing.assert_array_equal(added, value[key] + np.ones((3, 2)))


def test_a_list_with_slices_is_a_tuple(device: str) -> None:
    x = T.dmatrix("x")
    value = np.arange(6.0).reshape(2, 3)
    flipped = evaluate(device, [x], x[[slice(None), slice(None, None, -1)]], value)
    np.testing.assert_array_equal(flipped, value[:, ::-1])
