"""Sorting, orders, the greatest elements, searches and permutations, against NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from helpers.arrays import DTYPES
from helpers.backends import making_functions_for
from helpers.expressions import Case, assert_gradient, evaluate, make_tests
from helpers.native import AnyArray
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812

_rng = np.random.default_rng(9)
A = _rng.permutation(24).reshape(2, 3, 4) / 8 - 1.3
M = _rng.permutation(15).reshape(3, 5) / 4.0
V = M[0]
SCALAR = np.asarray(1.5)
AXES = (None, 0, 1, 2, -1, -2, -3, np.int64(1))


def greatest(x: AnyArray, k: int, axis: int | None) -> AnyArray:
    order = np.sort(x, axis)
    n = order.shape[-1 if axis is None else axis]
    part = np.arange(n - 1, n - 1 - k, -1) if k > 0 else np.arange(-k - 1, -1, -1)
    return np.take(order, part, -1 if axis is None else axis)


def permuted(x: AnyArray, y: AnyArray) -> AnyArray:
    x, y = np.atleast_2d(x), np.atleast_2d(y)
    n = max(len(x), len(y))
    x, y = (np.broadcast_to(v, (n, v.shape[1])) for v in (x, y))
    return np.take_along_axis(x, y, 1)


ROWS = np.stack([_rng.permutation(5) for _ in range(3)])
CASES = [
    *(
        Case(
            f"sort over {axis}",
            lambda x, axis=axis: T.sort(x, axis),
            lambda x, axis=axis: np.sort(x, axis),
            (A,),
        )
        for axis in AXES
    ),
    *(
        Case(
            f"argsort over {axis}",
            lambda x, axis=axis: T.argsort(x, axis=axis),
            lambda x, axis=axis: np.argsort(x, axis=axis, kind="stable"),
            (A,),
            dtype="int64",
            gradient=False,
        )
        for axis in AXES
    ),
    Case("sort, the last axis", T.sort, np.sort, (M,)),
    Case("of a scalar", lambda x: T.sort(x, None), lambda x: np.sort(x, None), (SCALAR,)),
    Case("of a transpose", lambda x: T.sort(x.T), lambda x: np.sort(x.T), (M,)),
    Case(
        "of reversed parts", lambda x: T.sort(x[:, ::-2], 0), lambda x: np.sort(x[:, ::-2], 0), (M,)
    ),
    Case("in descending order", lambda x: T.sort(x)[:, ::-1], lambda x: np.sort(x)[:, ::-1], (M,)),
    Case(
        "of a row that broadcasts",
        lambda x, y: T.sort(x) * y + T.sort(x, 0),
        lambda x, y: np.sort(x) * y + x,
        (M[:1], M),
        (0,),
    ),
    Case(
        "between others",
        lambda x: T.exp(T.sort(T.tanh(x), 0)) * x,
        lambda x: np.exp(np.sort(np.tanh(x), 0)) * x,
        (M,),
    ),
    Case("the median", lambda x: T.sort(x, 1)[:, 2], lambda x: np.median(x, 1), (M,)),
    *(
        Case(
            f"topk {k} over {axis}",
            lambda x, k=k, axis=axis: T.topk(x, k, axis),
            lambda x, k=k, axis=axis: greatest(x, k, axis),
            (A,),
        )
        for k in (1, 2, -1, -2)
        for axis in (None, 0, 1, -1)
    ),
    Case("all of them", lambda x: T.topk(x, 5), lambda x: np.sort(x)[:, ::-1], (M,)),
    Case(
        "argtopk of the greatest",
        lambda x: T.argtopk(x, 2, idx_dtype="int32"),
        lambda x: np.argsort(x)[:, :-3:-1],
        (M,),
        dtype="int32",
        gradient=False,
    ),
    Case(
        "argtopk of the least",
        lambda x: T.topk_and_argtopk(x, -3, 0)[1],
        lambda x: np.argsort(x, 0)[::-1],
        (M,),
        dtype="int64",
        gradient=False,
    ),
    Case(
        "rows permuted",
        lambda x: T.permute_row_elements(x, ROWS),
        lambda x: permuted(x, ROWS),
        (M,),
    ),
    Case(
        "rows permuted alike",
        lambda x: T.permute_row_elements(x, ROWS[0]),
        lambda x: permuted(x, ROWS[0]),
        (M,),
    ),
    Case(
        "a vector permuted in several ways",
        lambda x: T.permute_row_elements(x, ROWS),
        lambda x: permuted(x, ROWS),
        (V,),
    ),
    Case(
        "rows permuted and back",
        lambda x: T.permute_row_elements(T.permute_row_elements(x, ROWS), ROWS, inverse=1),
        lambda x: x,
        (M,),
    ),
]

test_value, test_gradient = make_tests(CASES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(40,), (4, 9), (3, 4, 5), (0,), (3, 0), (0, 3), (1, 1)])
def test_dtypes_and_shapes(device: str, dtype: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(0).integers(0, 9, shape).astype(dtype)
    x = T.tensor(dtype, [False] * len(shape), "x")
    for axis in (None, *range(-len(shape), len(shape))):
        result, order = evaluate(device, [x], [T.sort(x, axis), T.argsort(x, axis)], values)
        assert (result.dtype, order.dtype) == (dtype, "int64")
        np.testing.assert_array_equal(result, np.sort(values, axis))
        np.testing.assert_array_equal(order, np.argsort(values, axis, kind="stable"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_nan_comes_last(device: str, dtype: str) -> None:
    values = np.array([[np.nan, 1, -np.inf, np.nan, np.inf, -0.0, 0.0]], dtype)
    x = T.tensor(dtype, [False, False], "x")
    result, order, most = evaluate(device, [x], [T.sort(x), T.argsort(x), T.topk(x, 3)], values)
    np.testing.assert_array_equal(result, np.sort(values))
    np.testing.assert_array_equal(order, np.argsort(values, kind="stable"))
    np.testing.assert_array_equal(most, [[np.nan, np.nan, np.inf]])


def test_the_gradient_of_equal_elements(device: str) -> None:
    """Each place of the result has one element, the first of equal ones first."""
    x = T.dvector("x")
    weights = np.arange(1.0, 5)
    gradient = T.grad(T.sum(T.sort(x) * weights), x)
    assert_gradient(
        evaluate(device, [x], gradient, np.array([3.0, 1, 3, 1])), np.array([3.0, 1, 4, 2])
    )


def test_second_derivatives(device: str) -> None:
    x = T.dmatrix("x")
    weights = _rng.normal(size=M.shape)
    first = T.grad(T.sum(T.sort(x, 0) ** 3 * weights), x)
    second = T.grad(T.sum(first), x)
    expected = np.empty_like(M)
    np.put_along_axis(expected, np.argsort(M, 0), 6 * np.sort(M, 0) * weights, 0)
    assert_gradient(evaluate(device, [x], second, M), expected)


@pytest.mark.parametrize("kind", ["quicksort", "mergesort", "heapsort", "stable"])
def test_every_kind_is_stable(kind: str) -> None:
    x = T.lvector("x")
    values = np.array([1, 0] * 30)
    order = T.argsort(x, kind=kind).eval({x: values})
    np.testing.assert_array_equal(order, np.argsort(values, kind="stable"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: T.sort(x, 2), "axis 2 is out of range"),
        (lambda x: T.argsort(x, 0.5), "axis 0.5 is not an integer"),
        (lambda x: T.sort(x, kind="bubble"), "kind is 'bubble'"),
        (lambda x: T.sort(x, order="f"), "order is 'f'"),
        (lambda x: T.topk(x, 0), "kth is 0"),
        (lambda x: T.topk(x, 1.5), "kth must be an integer scalar"),
        (lambda x: T.topk(x, 2, idx_dtype="float32"), "idx_dtype is float32"),
        (lambda x: T.topk(x, 2, sorted=3), "sorted is 3"),
        (lambda x: T.searchsorted(x, 1), "searchsorted takes a vector"),
        (lambda x: T.searchsorted(x[0], 1, "middle"), "side is 'middle'"),
        (lambda x: T.inverse_permutation(x), "a permutation is a vector of integers"),
        (lambda x: T.permute_row_elements(x, x), "permute_row_elements takes"),
    ],
)
def test_wrong_arguments(make: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        make(T.dmatrix("x"))


@pytest.mark.parametrize("k", [4, -4])
def test_more_than_there_are(device: str, k: int) -> None:
    x = T.dvector("x")
    with pytest.raises(ValueError, match="axis 0 is shorter than kth"):
        evaluate(device, [x], T.topk(x, k), np.arange(3.0))
    np.testing.assert_array_equal(evaluate(device, [x], T.topk(x, k), np.arange(4.0)), [3, 2, 1, 0])


def test_a_number_of_elements_by_the_call(device: str) -> None:
    x, k = T.dmatrix("x"), T.lscalar("k")
    with making_functions_for(device):
        values, order = T.topk_and_argtopk(x, k, 0)
        function = theano.function([x, k], [values, order, T.grad(T.sum(T.sqr(values)), x)])
    for n in (1, 2, 3, -1, -3, -2):
        result, indices, slope = function(M, n)
        np.testing.assert_array_equal(result, greatest(M, n, 0))
        np.testing.assert_array_equal(np.take_along_axis(M, indices, 0), result)
        np.testing.assert_array_equal(slope, np.where((M[:, None] == result).any(1), 2 * M, 0))
    with pytest.raises(ValueError, match="kth is 0"):
        function(M, 0)
    with pytest.raises(ValueError, match="shorter than kth"):
        function(M, -4)


# --- searches and permutations ------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 20), special=st.booleans())
@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side: str, seed: int, n: int, special: bool) -> None:
    rng = np.random.default_rng(seed)
    among = [np.nan, np.inf, -np.inf, 0.0, 1.0] if special else np.arange(10.0)
    values = rng.choice(among, n)
    wanted = rng.choice(among, (3, int(rng.integers(4))))
    x, v = T.dvector("x"), T.dmatrix("v")
    order = np.argsort(values)
    by_order = T.searchsorted(x, v, side, sorter=T.argsort(x))
    results = evaluate(
        "reference" if seed % 2 else "cpu",
        [x, v],
        [T.searchsorted(T.sort(x), v, side), by_order],
        values,
        wanted,
    )
    for result in results:
        assert result.dtype == "int64"
        np.testing.assert_array_equal(result, np.searchsorted(values[order], wanted, side))


def test_searchsorted_of_a_number(device: str) -> None:
    x = T.lvector("x")
    result = evaluate(device, [x], T.searchsorted(x, 2.5), np.array([1, 2, 3]))
    assert result.shape == ()
    assert result == 2


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8"])
def test_inverse_permutation(device: str, dtype: str) -> None:
    p, rows = T.tensor(dtype, [False], "p"), T.tensor(dtype, [False] * 2, "rows")
    given_rows = ROWS.astype(dtype)
    one, several = evaluate(
        device,
        [p, rows],
        [T.inverse_permutation(p), T.inverse_permutation(rows)],
        given_rows[0],
        given_rows,
    )
    assert (one.dtype, several.dtype) == (dtype, dtype)
    np.testing.assert_array_equal(one, np.argsort(ROWS[0]))
    np.testing.assert_array_equal(several, np.argsort(ROWS, axis=1))
