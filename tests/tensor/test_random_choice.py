"""Multinomial and Poisson counts, choices and orders: right frequencies, with fixed seeds."""

from __future__ import annotations

from itertools import permutations
from math import exp, factorial, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers.expressions import evaluate

import tinygrad_mnist as theano
import tinygrad_mnist.tensor as T  # noqa: N812
from tinygrad_mnist.errors import ArgumentError
from tinygrad_mnist.graph.types import FLOATS, INTEGERS
from tinygrad_mnist.tensor.shared_randomstreams import RandomStreams

N = 6000
LINE = rf"made at .*{Path(__file__).name}:\d+"
P = np.array([0.1, 0.0, 0.4, 0.3, 0.2])


def chi_square(counts: Any, probabilities: Any) -> None:
    """Asserts that categories come as often as they should: 4 standard deviations of chi-square;
    those of probability 0 never."""
    counts, p = np.asarray(counts, "float64").ravel(), np.asarray(probabilities).ravel()
    assert counts.shape == p.shape
    assert not counts[p == 0].any()
    expected = counts.sum() * p[p > 0]
    degrees = len(expected) - 1
    chi2 = np.sum((counts[p > 0] - expected) ** 2 / expected)
    assert chi2 <= degrees + 4 * sqrt(2 * degrees) + 4


# --- multinomial ----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7])
@pytest.mark.parametrize("float_dtype", FLOATS)
def test_multinomial(device: str, n: int, float_dtype: str) -> None:
    drawn = RandomStreams(3).multinomial((N,), n, P.astype(float_dtype))
    values = evaluate(device, [], drawn)
    assert (values.dtype, values.shape) == ("int64", (N, 5))
    np.testing.assert_array_equal(values.sum(1), n)
    chi_square(values.sum(0), P)
    spread = n * P * (1 - P)
    np.testing.assert_allclose(values.var(0), spread, atol=0.1 * n)


def test_multinomial_of_rows_and_sizes(device: str) -> None:
    rows = np.array([[1.0, 0, 0], [0, 1, 0], [0.5, 0.25, 0.25]])
    p, n = T.dmatrix("p"), T.iscalar("n")
    stream = RandomStreams(4)
    outputs = [
        stream.multinomial(pvals=p),
        stream.multinomial((1000, 3), n, p),
        stream.multinomial((200, -1), 1, p),
        stream.multinomial(n=np.array([0, 2, 5]), pvals=p),
        stream.multinomial((2,)),
    ]
    one, many, borrowed, by_row, halves = evaluate(device, [p, n], outputs, rows, 4)
    np.testing.assert_array_equal(one[:2], [[1, 0, 0], [0, 1, 0]])
    assert one[2].sum() == 1
    assert many.shape == (1000, 3, 3)
    np.testing.assert_array_equal(many.sum(2), 4)
    np.testing.assert_allclose(many.mean(0), 4 * rows, atol=0.15)
    assert borrowed.shape == (200, 3, 3)
    np.testing.assert_array_equal(by_row.sum(1), [0, 2, 5])
    assert halves.shape == (2, 2)


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_dtypes_of_counts(dtype: str) -> None:
    stream = RandomStreams(4)
    outputs = [
        stream.multinomial((20,), 3, P, dtype=dtype),
        stream.poisson((20,), 2.0, dtype=dtype),
        stream.permutation((20,), 5, dtype=dtype),
        stream.choice((20,), 5, p=P, dtype=dtype),
        stream.choice((4,), 5, replace=False, dtype=dtype),
    ]
    for values in theano.function([], outputs)():
        assert values.dtype == dtype
        assert values.min() >= 0


@pytest.mark.parametrize(
    ("pvals", "message"),
    [
        ([0.5, -0.1, 0.6], "pvals are negative or NaN"),
        ([0.5, np.nan, 0.6], "pvals are negative or NaN"),
        ([0.7, 0.6, 0.0], "add up to more than 1"),
    ],
)
def test_what_are_no_probabilities(device: str, pvals: Any, message: str) -> None:
    stream, p = RandomStreams(4), T.dvector("p")
    with pytest.raises(ValueError, match=rf"(?s){message}.*{LINE}"):
        theano.function([], stream.multinomial((3,), pvals=pvals))()
    function = theano.function([p], stream.multinomial((3,), pvals=p))
    with pytest.raises(ValueError, match=message):
        function(pvals)
    assert function([0.25, 0.5, 0.25]).shape == (3, 3)


def test_rounded_probabilities_are_probabilities() -> None:
    p = np.random.default_rng(0).random((200, 50), "float32")
    p /= p.sum(1, keepdims=True)
    values = theano.function([], RandomStreams(1).multinomial(pvals=p))()
    np.testing.assert_array_equal(values.sum(1), 1)


# --- choice ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("floats", ["float32", "float64"])
def test_choice_by_probability(device: str, floats: str) -> None:
    stream, p = RandomStreams(6), T.vector("p", floats)
    outputs = [
        stream.choice((N // 2, 2), 5, p=p),
        stream.choice((N,), np.array([3.0, 1, 4, 1.5, 9]), p=P),
        stream.choice(a=5, p=p),
    ]
    indices, elements, one = evaluate(device, [p], outputs, P.astype(floats))
    assert (indices.shape, indices.dtype) == ((N // 2, 2), "int64")
    chi_square(np.bincount(indices.ravel(), minlength=5), P)
    chi_square([np.sum(elements == v) for v in (3.0, 1, 4, 1.5, 9)], P)
    assert one.shape == ()


def test_choice_without_replacement_is_a_choice_of_any_order(device: str) -> None:
    stream = RandomStreams(6)
    function = theano.function([], stream.choice((2,), 4, replace=False))
    drawn = function.sweep(n_steps=N // 4)
    pairs = list(permutations(range(4), 2))
    counts = [np.sum((drawn == pair).all(1)) for pair in pairs]
    assert sum(counts) == N // 4
    chi_square(counts, np.full(len(pairs), 1 / len(pairs)))


def test_choice_without_replacement_by_probability(device: str) -> None:
    """Elements are drawn one by one, each by the probabilities of those that are left."""
    p = np.array([0.5, 0.0, 0.3, 0.2])
    function = theano.function([], RandomStreams(6).choice((2, 1), 4, replace=False, p=p))
    drawn = function.sweep(n_steps=N // 4)[..., 0]
    pairs = list(permutations((0, 2, 3), 2))
    counts = [np.sum((drawn == pair).all(1)) for pair in pairs]
    assert sum(counts) == N // 4
    chi_square(counts, [p[i] * p[j] / (1 - p[i]) for i, j in pairs])


def test_symbolic_sizes_of_choices(device: str) -> None:
    n, m, a = T.lscalar("n"), T.lscalar("m"), T.lvector("a")
    stream = RandomStreams(6)
    outputs = [
        stream.choice((n,), m, replace=False),
        stream.choice(n, a, replace=False),
        stream.choice((n, 2), m, p=[0.25, 0.25, 0.5, 0, 0]),
    ]
    numbers, elements, repeated = evaluate(device, [n, m, a], outputs, 4, 5, [10, 20, 30, 40])
    assert len(set(numbers)) == 4
    assert sorted(elements) == [10, 20, 30, 40]
    assert repeated.shape == (4, 2)


@pytest.mark.parametrize("p", [None, [0.5, 0.5, 0]])
def test_more_than_there_are(device: str, p: Any) -> None:
    n = T.lscalar("n")
    function = theano.function([n], RandomStreams(1).choice((n,), 3, replace=False, p=p))
    assert len(function(2)) == 2
    with pytest.raises(ValueError, match=LINE):
        function(4)
    with pytest.raises(ValueError, match="fewer elements to choose from than are chosen"):
        theano.function([], RandomStreams(1).choice((3 if p else 4,), 3, replace=False, p=p))()


def test_probabilities_of_another_number(device: str) -> None:
    m, p = T.lscalar("m"), T.dvector("p")
    function = theano.function([m, p], RandomStreams(1).choice((3,), m, p=p))
    assert function(2, [0.5, 0.5]).shape == (3,)
    with pytest.raises(ValueError, match="p has another length than a"):
        function(3, [0.5, 0.5])


# --- orders ---------------------------------------------------------------------------------------


def test_permutations(device: str) -> None:
    values = evaluate(device, [], RandomStreams(2).permutation((N // 4,), 3))
    orders = list(permutations(range(3)))
    counts = [np.sum((values == order).all(1)) for order in orders]
    assert sum(counts) == N // 4
    chi_square(counts, np.full(6, 1 / 6))


def test_shapes_of_permutations(device: str) -> None:
    n = T.lscalar("n")
    stream = RandomStreams(2)
    outputs = [stream.permutation(n=n), stream.permutation((n, 3), 7), stream.permutation()]
    one, many, none = evaluate(device, [n], outputs, 5)
    assert sorted(one) == list(range(5))
    assert many.shape == (5, 3, 7)
    np.testing.assert_array_equal(np.sort(many), np.broadcast_to(np.arange(7), many.shape))
    np.testing.assert_array_equal(none, [0])


@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_shuffled_rows(device: str, ndim: int) -> None:
    x = T.tensor("float64", (False,) * ndim)
    shuffled = RandomStreams(2).shuffle_row_elements(x)
    gradient = T.grad(T.sum(shuffled**2), x)
    value = np.random.default_rng(0).random((3, 4, 10)[-ndim:])
    rows, order, slope = evaluate(device, [x], [shuffled, shuffled.permutation, gradient], value)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(rows, np.take_along_axis(value, order, -1))
    np.testing.assert_array_equal(np.sort(order), np.broadcast_to(np.arange(10), order.shape))
    np.testing.assert_allclose(slope, 2 * value)
    assert ndim == 1 or len(np.unique(order.reshape(-1, 10), axis=0)) == order.size // 10


# --- counts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [0.0, 0.3, 4.0, 60.0])
def test_poisson(device: str, lam: float) -> None:
    values = evaluate(device, [], RandomStreams(8).poisson((N // 2,), lam))
    assert values.dtype == "int64"
    assert abs(values.mean() - lam) <= 4 * sqrt(lam / (N // 2))
    assert abs(values.var() - lam) <= 4 * sqrt((lam + 2 * lam**2) / (N // 2))
    if 0 < lam < 10:
        few = 3 + int(lam)
        p = [exp(-lam) * lam**k / factorial(k) for k in range(few)]
        counts = [np.sum(values == k) for k in range(few)]
        chi_square([*counts, np.sum(values >= few)], [*p, 1 - sum(p)])


def test_poisson_of_arrays(device: str) -> None:
    lam = np.array([0.0, 2.0, 40.0])
    stream = RandomStreams(8)
    sized, like, alone = evaluate(
        device, [], [stream.poisson((2000, 3), lam), stream.poisson(lam=lam), stream.poisson()]
    )
    np.testing.assert_allclose(sized.mean(0), lam, atol=0.6)
    assert like.shape == (3,)
    assert alone.shape == ()
    for wrong in (-1.0, np.inf, np.nan):
        with pytest.raises(ArgumentError, match="poisson: lam is negative, infinite or NaN"):
            stream.poisson((3,), wrong)


def test_binomial_with_numbers_of_trials_of_their_own(device: str) -> None:
    values = evaluate(device, [], RandomStreams(8).binomial((2000, 3), np.array([0, 1, 30]), 0.5))
    assert set(values[:, 0]) == {0}
    assert set(values[:, 1]) == {0, 1}
    assert abs(values[:, 2].mean() - 15) < 0.3
    with pytest.raises(ArgumentError, match="n of binomial is negative"):
        RandomStreams(8).binomial((2,), np.array([1, -1]), 0.5)


# --- dtypes and states ----------------------------------------------------------------------------


def test_wider_variables_widen_a_draw(device: str) -> None:
    d, stream = T.dscalar("d"), RandomStreams(1)
    for drawn, dtype in (
        (stream.uniform((3,), high=d), "float64"),
        (stream.normal((3,), avg=d), "float64"),
        (stream.normal((3,), avg=d, dtype="float32"), "float32"),
        (stream.normal((3,), std=np.float64(0.5)), theano.config.floatX),
        (stream.uniform((3,), high=T.lscalar()), theano.config.floatX),
    ):
        assert drawn.dtype == dtype
    assert evaluate(device, [d], stream.binomial((50,), 3, d), 1.0).min() == 3


def test_a_draw_has_its_state() -> None:
    stream = RandomStreams(4)
    draw = stream.uniform((2,))
    function = theano.function([], draw)
    before = draw.rng.get_value(borrow=False)  # type: ignore[attr-defined]
    first = function()
    draw.rng.set_value(before)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(function(), first)
    assert draw.update in stream.updates()  # type: ignore[attr-defined]
    other = RandomStreams(9)
    again = theano.function([], other.uniform((2,)))
    stream.seed()
    for ours, theirs in zip(other.state_updates, stream.state_updates, strict=True):
        ours[0].set_value(theirs[0].get_value())
    np.testing.assert_array_equal(again(), first)
